"""Single verbs by the names that people type: promote, roll back, reopen, review, train, reproduce."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mangaops.errors import InputError, UsageError
from mangaops.pipeline.dataset_run import find_version, newest_version
from mangaops.pipeline.steps import Steps, code_sha
from mangaops.pipeline.training_run import train_model, training_request
from mangaops.pipeline.views import Row, find_record, find_release
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release import promote as promotion
from mangaops.release import reopen as reopening
from mangaops.release import review, rollback
from mangaops.release.desk import state


def promote(shop: Workshop, name: str, *, reason: str) -> Row:
    """The release is champion, if its stored decision says so for exactly these digests."""
    named = find_release(shop, name)
    done = promotion.promote(shop.desk, named.unit, named.release.name, prove=shop.load, reason=reason)
    return {**vars(done), "says": f"{done.champion} is champion; rollback pointer {done.rollback_pointer}"}


def roll_back(shop: Workshop, unit: str, *, reason: str, to: str | None = None) -> Row:
    """The rollback pointer serves again."""
    done = rollback.roll_back(shop.desk, unit, prove=shop.load, reason=reason, to=to)
    return {
        **vars(done),
        "says": f"{unit} went back from {done.left} to {done.to}, generation {done.generation}",
    }


def reopen(shop: Workshop, name: str, *, reason: str) -> Row:
    """A rejected release is a candidate again."""
    named = find_release(shop, name)
    reopening.reopen(shop.desk, named.unit, named.release.name, reason=reason)
    return {"release": named.release.name, "says": f"{named.release.name} is a candidate again"}


def open_review(shop: Workshop, name: str, *, seed: int, reason: str) -> Row:
    """A queue of the release's newest disagreements is open."""
    named = find_release(shop, name)
    opened = review.open_review(shop.desk, named.unit, named.release.name, seed=seed, reason=reason)
    says = f"{opened} is open; next: mangaops review export {named.release.name} --out queue.csv"
    return {"review": opened, "release": named.release.name, "says": says}


def export_review(shop: Workshop, name: str, out: Path, *, bom: bool) -> Row:
    """The newest queue of the release is a CSV file, written whole, with the answers imported so far.

    Raises:
        UsageError: the release has no review, or `out` is a folder or lies in none.
    """
    _require_place(out)
    named, newest = _newest_review(shop, name)
    half = out.with_name(out.name + ".half")
    half.write_bytes(review.export_review(shop.desk, named.unit, newest, bom=bom))
    os.replace(half, out)
    says = f"wrote {out}; fill in the column answer, then: mangaops review import {named.release.name} {out}"
    return {"review": newest, "wrote": str(out), "says": says}


def import_answers(shop: Workshop, name: str, path: Path, *, reason: str) -> Row:
    """The answers are review evidence of the release.

    Raises:
        InputError: the file is missing, or is no answered export of this review.
    """
    named, newest = _newest_review(shop, name)
    if not path.is_file():
        raise InputError(
            f"{path} was refused: there is no such file", next_step="mangaops review export writes one"
        )
    evidence = review.import_answers(
        shop.desk, named.unit, newest, path.read_bytes(), reason=reason, source=path.name
    )
    says = f"{newest} is answered by {shop.desk.actor}; next: mangaops release run {named.unit}, same inputs"
    return {"review": newest, "evidence": evidence.digest, "says": says}


def _require_place(out: Path) -> None:
    if out.is_dir():
        found, remedy = "a folder of that name", f"name a file in it, as in --out {out / 'queue.csv'}"
    elif not out.parent.is_dir():
        found, remedy = f"no folder {out.parent}", "make the folder, or name another file with --out"
    else:
        return
    raise UsageError(
        f"the export to {out} was refused",
        found=found,
        accepted="a file in a folder that is there",
        next_step=remedy,
    )


def _newest_review(shop: Workshop, name: str) -> tuple[Any, str]:
    named = find_release(shop, name)
    if not named.release.reviews:
        raise UsageError(
            f"{named.release.name} has no review", next_step=f"mangaops review open {named.release.name}"
        )
    return named, named.release.reviews[-1].review


def train(shop: Workshop, model: str, dataset: str | None, *, reason: str, progress: Progress) -> Row:
    """The model is trained on a recorded dataset version and registered; its registry record.

    Raises:
        UsageError: the stack has no such model, or no dataset version is recorded.
    """
    units = [unit for unit, spec in shop.desk.stack.units.items() if model in spec.models]
    if not units:
        raise UsageError(
            f"model {model!r} was refused: no unit of the stack has it",
            accepted=", ".join(shop.desk.stack.models),
        )
    data = shop.desk.stack.models[model].data
    snapshot = find_version(shop, dataset) if dataset else newest_version(shop, data)
    if snapshot is None:
        raise UsageError(f"no version of {data} is recorded", next_step="mangaops data snapshot --logs ...")
    with shop.leases.hold(f"run/{units[0]}", owner=shop.desk.actor) as lease:
        steps = Steps(shop.journal, f"train-{model}", shop.seconds, lambda _step, _what: None, lease.check)
        name = train_model(shop, steps, units[0], model, snapshot, reason=reason, progress=progress)
    return find_record(shop, name)


def reproduce(shop: Workshop, model_version: str, *, progress: Progress) -> Any:
    """What retraining from the record gave: the identical artifact, or how far its answers differ."""
    from mangaops.training import reproduce as again

    record = find_record(shop, model_version)
    model = record["model_name"]
    known = next(
        current.models[model_version]
        for current in (state(shop.desk, unit) for unit in shop.desk.stack.units)
        if model_version in current.models
    )
    request = training_request(shop, model, find_version(shop, known.dataset))
    with shop.making() as scratch:
        return again(
            shop.recipes[known.family],
            request,
            known,
            shop.desk.artifacts.open(known.artifact),
            code_sha(),
            progress,
            scratch=scratch,
        )
