"""`catalogue append|show`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Reason, shared

if TYPE_CHECKING:
    from mangaops.store import CatalogueDelta

group = typer.Typer(help="Items that come and go while releases serve.", no_args_is_help=True)
Data = Annotated[str, typer.Argument(help="Data of kind search of stack.yaml.")]

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command(
        epilog="Example: mangaops catalogue append search-data --items new.parquet --reason 'week 17'"
    )(append)
    group.command(epilog="Example: mangaops catalogue show search-data")(show)
    app.add_typer(group, name="catalogue")


@shared
def append(
    call: Call,
    data: Data,
    items: Annotated[
        list[str],
        typer.Option(
            "--items",
            help="New and changed items: files or SQL, in the columns of the catalogue. Repeatable.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    query: Annotated[
        str | None, typer.Option("--query", help="With a SQLAlchemy URL as --items: the SELECT to run.")
    ] = None,
    removed: Annotated[
        list[str], typer.Option("--removed", help="The id of an item that is gone. Repeatable.")
    ] = [],  # noqa: B006
    reason: Reason = "the catalogue changed",
) -> None:
    """Add a numbered delta to the log of a catalogue; every release that serves it follows.

    An item that is there already is replaced as a whole. What changes nothing is left out.
    """
    from mangaops.datasets import Source
    from mangaops.pipeline.catalogue_run import append_delta

    with call.progress() as progress:
        source = Source(tuple(items), query) if items else None
        done = append_delta(call.workshop(), data, source, removed, reason=reason, progress=progress)
    change = done.change
    warning = "; ".join(filter(None, (_untitled(change.added), change.unchecked))) or None
    told = {
        "data": data,
        "number": done.delta.number if done.delta else None,
        **_counts(change.added, change.removed),
        "unchanged": len(change.same),
        "gone_already": len(change.gone),
        "actor": call.settings.actor,
        "reason": reason,
        "warning": warning,
    }
    call.finish(told, lambda: typer.echo(_said(data, told)), why=warning or "")


def _untitled(added: Mapping[str, Mapping[str, Any]]) -> str:
    """Which items shoppers would see without a name; empty where there is none."""
    bare = sorted(item for item, each in added.items() if not str(each.get("title") or "").strip())
    count = "1 item has" if len(bare) == 1 else f"{len(bare):,} items have"
    return f"{count} no title, the first is {bare[0]}: append it again with one" if bare else ""


def _said(data: str, told: Mapping[str, Any]) -> str:
    """The delta and its counts, and what was left out of it; or that there is none."""
    idle = {
        "{:,} as they are": told["unchanged"],
        "{:,} gone already": told["gone_already"],
    }
    left_out = ", ".join(words.format(count) for words, count in idle.items() if count)
    if told["number"] is None:
        return f"no delta of {data} was written, as nothing changes: {left_out}"
    said = (
        f"delta {told['number']} of {data}: {told['added']:,} added or changed, {told['removed']:,} removed"
    )
    return f"{said}; left out: {left_out}" if left_out else said


@shared
def show(call: Call, data: Data) -> None:
    """The log of a catalogue: its last number, and how many items each delta added and removed."""
    from mangaops.pipeline.catalogue_run import deltas

    found = deltas(call.workshop(), data)
    rows = [_counted(each) for each in found]
    told: dict[str, Any] = {"data": data, "last": found[-1].number if found else 0, "deltas": rows}
    call.finish(told, lambda: _render(data, rows))


def _counted(delta: CatalogueDelta) -> dict[str, Any]:
    return {
        "number": delta.number,
        **_counts(delta.added, delta.removed),
        "actor": delta.actor,
        "reason": delta.reason,
    }


def _counts(added: Collection[str], removed: Collection[str]) -> dict[str, int]:
    return {"added": len(added), "removed": len(removed)}


def _render(data: str, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        typer.echo(f"the catalogue of {data} has no delta yet: what serves is what its releases hold")
        return
    more = len(rows) - _SHOWN
    count = "1 delta" if len(rows) == 1 else f"{len(rows):,} deltas"
    title = f"{data}: {count}" + (f", the last {_SHOWN}" if more > 0 else "")
    screen.records(title, ("number", "added", "removed", "actor", "reason"), rows[-_SHOWN:])
