"""What gateways leave behind and nobody needs any more: local copies of artifacts, and old logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from mangaops.errors import UsageError
from mangaops.pipeline.views import Row
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import OPEN, UnitState, fold
from mangaops.registry.permit import ALLOWED
from mangaops.store import Artifacts
from mangaops.store.log_form import COLUMNS
from mangaops.store.objects import open_objects
from mangaops.store.roll import LOGS
from mangaops.vocabulary import STACK_STREAM, Digest, EventKind, Purpose, State


@dataclass(frozen=True)
class _Unit:
    """A unit of the ledger, declared in stack.yaml or not; the shadow that runs, and since when."""

    state: UnitState
    shadow: str | None
    since: date | None


def prune(shop: Workshop, home: Path, *, name: str | None, older_than: int | None, dry_run: bool) -> Row:
    """What nobody needs is gone, or with `dry_run` only named.

    Of the gateways of this home, or of the named one: copies of artifacts that no release names which may
    be loaded to serve or to shadow. With `older_than`: rolled logs whose last row is of a day so many days
    ago or more, of all gateways, but none from the day on which a shadow began that still runs. Journals
    stay as they are.

    Raises:
        UsageError: no gateway of that name was served from this home.
        SetupError: a folder or the store of the logs cannot be read or written.
    """
    units = list(_units(shop))
    folders = _folders(home, name)
    copies = list(_copies(folders, units, dry_run=dry_run))
    told: Row = {
        "dry_run": dry_run,
        "gateways": [folder.name for folder in folders],
        "copies": [{"gateway": gateway, "artifact": digest} for gateway, digest in copies],
        "logs": [],
        "logs_before": None,
        "kept_for": None,
    }
    if older_than is None:
        return told
    before, kept_for = _before(units, shop.desk.clock(), older_than)
    logs = list(_logs(shop.files, before, dry_run=dry_run))
    return told | {"logs": logs, "logs_before": before.isoformat(), "kept_for": kept_for}


def _units(shop: Workshop) -> Iterator[_Unit]:
    for stream in sorted(shop.desk.ledger.heads()):
        if stream == STACK_STREAM or stream.startswith("data/"):
            continue
        events = shop.desk.ledger.read(stream)
        state = fold(events)
        running = {each.name for each in state.releases.values() if each.state == State.SHADOW}
        begun = [
            event
            for event in events
            if event.kind == EventKind.SHADOW_STARTED and event.body["release"] in running
        ]
        last = begun[-1] if begun else None
        yield _Unit(
            state,
            last.body["release"] if last else None,
            datetime.fromisoformat(last.at).date() if last else None,
        )


def _folders(home: Path, name: str | None) -> list[Path]:
    there = sorted(path for path in (home / "gateway").glob("*") if path.is_dir())
    if name is None:
        return there
    named = [folder for folder in there if folder.name == name]
    if not named:
        raise UsageError(
            f"pruning gateway {name!r} was refused: none of that name was served from {home}",
            accepted=", ".join(folder.name for folder in there) or "none: no gateway was served from here",
            next_step="name one of these, or none for all of them",
        )
    return named


def _copies(folders: list[Path], units: list[_Unit], *, dry_run: bool) -> Iterator[tuple[str, Digest]]:
    needed = {digest for unit in units for digest in _loadable(unit.state)}
    for folder in folders:
        held = Artifacts(folder / "artifacts")
        for digest in held.digests():
            if digest in needed:
                continue
            if not dry_run:
                held.forget(digest)
            yield folder.name, digest


def _loadable(state: UnitState) -> Iterator[Digest]:
    """The artifacts of every release that a gateway may load, now or once it is proven."""
    states = ALLOWED[Purpose.SERVE] | ALLOWED[Purpose.SHADOW] | OPEN
    named = {*state.rollback, *([state.prepared.release] if state.prepared else [])}
    for release in state.releases.values():
        if release.state in states or release.name in named:
            yield from (
                state.models[f"{model}@{version}"].artifact for model, version in release.models.items()
            )
            yield from release.parts.values()


def _before(units: list[_Unit], now: datetime, older_than: int) -> tuple[date, str | None]:
    """The day before which logs go, and the shadow for which older ones stay than were asked for."""
    asked = (now - timedelta(days=older_than)).date()
    older = [(unit.since, unit.shadow) for unit in units if unit.since is not None and unit.since < asked]
    if not older:
        return asked, None
    first, release = min(older, key=lambda each: each[0])
    return first, f"{release}, in shadow since {first}"


def _logs(root: str, before: date, *, dry_run: bool) -> Iterator[str]:
    objects = open_objects(root)
    for kind in COLUMNS:
        for name in objects.names(f"{LOGS}/{kind}", ".parquet"):
            if name.split("/")[-2] >= before.isoformat():
                continue
            if not dry_run:
                objects.remove(name)
            yield name
