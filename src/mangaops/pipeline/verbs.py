"""Single verbs by the names that people type: promote, roll back, reopen, review, train, reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mangaops.errors import InputError, UsageError
from mangaops.pipeline.files import whole
from mangaops.pipeline.kinds import kind_of
from mangaops.pipeline.steps import Steps, code_sha
from mangaops.pipeline.training_run import Making, train_model, training_request
from mangaops.pipeline.views import Row, find_record, find_release
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import Permit, ReviewRef, files, is_fallback, measuring
from mangaops.release import promote as promotion
from mangaops.release import reopen as reopening
from mangaops.release import review, rollback
from mangaops.release.cutover import Switched
from mangaops.release.desk import next_run, state, traffic_option
from mangaops.stack import guess
from mangaops.vocabulary import Family


def promote(shop: Workshop, name: str, *, reason: str, progress: Progress | None = None) -> Row:
    """The release is champion, if its stored decision says so for exactly these digests."""
    named = find_release(shop, name)
    done = promotion.promote(
        shop.desk, named.unit, named.release.name, prove=shop.load, reason=reason, progress=progress
    )
    says = f"{done.champion} is champion; rollback pointer {done.rollback_pointer}"
    return {**vars(done), "says": says + Switched(done.acknowledged, done.silent, done.seconds).says}


def roll_back(
    shop: Workshop, unit: str, *, reason: str, to: str | None = None, progress: Progress | None = None
) -> Row:
    """The rollback pointer serves again; `warning` says so where that is the fallback, and is None else."""
    done = rollback.roll_back(shop.desk, unit, prove=shop.load, reason=reason, to=to, progress=progress)
    says = f"{unit} went back from {done.left} to {done.to}, generation {done.generation}"
    warning = _no_release(shop, unit, done.left, done.to) if is_fallback(done.to) else None
    switched = Switched(done.acknowledged, done.silent, done.seconds).says
    return {**vars(done), "says": says + switched, "warning": warning}


def _no_release(shop: Workshop, unit: str, left: str, fallback: str) -> str:
    current = state(shop.desk, unit)
    anew = next_run(shop.desk, current, of=current.releases.get(left))
    return (
        f"no release of {unit} answers users now, its {fallback} does; to come back: "
        f"mangaops release reopen {left} --reason '...', then, with the very data that it was made of, "
        f"{anew}, which judges it again (other data make another one)"
    )


def reopen(shop: Workshop, name: str, *, reason: str) -> Row:
    """A rejected release is a candidate again; what was open in its place is told to be withdrawn."""
    named = find_release(shop, name)
    release, before = named.release.name, state(shop.desk, named.unit)
    reopening.reopen(shop.desk, named.unit, release, reason=reason)
    lost = before.challenger if before.challenger not in (None, release) else None
    instead = f", {lost} is withdrawn: a unit has one open release" if lost else ""
    anew = next_run(shop.desk, before, of=named.release, traffic=traffic_option(shop.desk, named.release))
    says = f"{release} is a candidate again{instead}; next, with the data that it was made of: {anew}"
    return {"release": release, "withdrawn": lost, "says": says}


def open_review(shop: Workshop, name: str, *, seed: int, reason: str) -> Row:
    """A queue of the release's newest disagreements is open."""
    named = find_release(shop, name)
    opened = review.open_review(shop.desk, named.unit, named.release.name, seed=seed, reason=reason)
    says = f"{opened} is open; next: mangaops review export {named.release.name} --out queue.csv"
    return {"review": opened, "release": named.release.name, "says": says}


def export_review(shop: Workshop, name: str, out: Path, *, bom: bool, wanted: str | None = None) -> Row:
    """A queue of the release is a CSV file with the answers imported so far, or a page; written whole.

    A file that ends in `.html` is the page: the same items to look at, both answers side by side. `wanted`
    names the review; None: the newest that waits for answers, else the newest.

    Raises:
        UsageError: the release has no such review, or `out` is a folder or lies in none.
    """
    _require_place(out)
    named, chosen = _review(shop, name, wanted)
    page = out.suffix == ".html"
    if page:
        whole(out, review.export_page(shop.desk, named.unit, chosen))
    else:
        whole(out, review.export_review(shop.desk, named.unit, chosen, bom=bom))
    then = (
        "open it in a browser; answers go into the CSV file of the same command"
        if page
        else f"fill in the column answer, then: mangaops review import {named.release.name} {out}"
    )
    return {"review": chosen, "wrote": str(out), "says": f"wrote {out}; {then}"}


def import_answers(shop: Workshop, name: str, path: Path, *, reason: str, wanted: str | None = None) -> Row:
    """The answers are review evidence of the release; `wanted` names the review as for the export.

    Raises:
        UsageError: the release has no such review.
        InputError: the file is missing, or is no answered export of this review.
    """
    named, chosen = _review(shop, name, wanted)
    if not path.is_file():
        raise InputError(
            f"{path} was refused: there is no such file",
            next_step=f"mangaops review export {named.release.name} --out {path}",
        )
    evidence = review.import_answers(
        shop.desk, named.unit, chosen, path.read_bytes(), reason=reason, source=path.name
    )
    anew = next_run(
        shop.desk,
        state(shop.desk, named.unit),
        of=named.release,
        traffic=traffic_option(shop.desk, named.release),
    )
    says = f"{chosen} is answered by {shop.desk.actor}; next, with the same inputs: {anew}"
    return {"review": chosen, "evidence": evidence.digest, "says": says}


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


def _review(shop: Workshop, name: str, wanted: str | None) -> tuple[Any, str]:
    """The review of the release that is wanted; else the newest that waits for answers, else the newest."""
    named = find_release(shop, name)
    known = named.release.reviews
    if not known:
        raise UsageError(
            f"{named.release.name} has no review", next_step=f"mangaops review open {named.release.name}"
        )
    if wanted is None:
        waiting = [each for each in known if _waits(shop, each)]
        return named, (waiting or known)[-1].review
    if wanted not in [each.review for each in known]:
        raise UsageError(
            f"review {wanted!r} was refused: {named.release.name} has none such",
            accepted=", ".join(each.review for each in known),
            next_step=f"mangaops review list {named.release.name}",
        )
    return named, wanted


def _waits(shop: Workshop, ref: ReviewRef) -> bool:
    return ref.answer is None or bool(shop.desk.evidence.get(ref.answer).facts.get("unanswered"))


def train(
    shop: Workshop,
    model: str,
    dataset: str | None,
    *,
    adapter: str | None = None,
    reason: str,
    progress: Progress,
) -> Row:
    """The model is trained on a recorded dataset version and registered; its registry record.

    `adapter`: the registered version that draws the candidates, for a model that learns on such.

    Raises:
        UsageError: the stack has no such model, no dataset version is recorded, or an adapter is missing or
            named for a model that needs none.
        Untracked: no such adapter version is registered.
    """
    unit = _unit_of(shop, model)
    spec = shop.desk.stack.models[model]
    kind = kind_of(shop.desk.stack, spec.data)
    snapshot = kind.find(shop, dataset, spec.data) if dataset else kind.newest(shop, spec.data)
    if snapshot is None:
        given = files(searches=spec.data in shop.desk.stack.search_data, logged=None)
        raise UsageError(
            f"no version of {spec.data} is recorded",
            next_step=f"mangaops data snapshot --data {spec.data} {given}",
        )
    drawn_by = _drawn_by(shop, unit, model, adapter)
    with shop.leases.hold(f"run/{unit}", owner=shop.desk.actor) as lease:
        steps = Steps(shop.journal, f"train-{model}", shop.seconds, lambda _step, _what: None, lease.check)
        making = Making(shop, steps, unit, snapshot, reason, progress, drawn_by)
        return find_record(shop, train_model(making, model))


def _unit_of(shop: Workshop, model: str) -> str:
    units = [unit for unit, spec in shop.desk.stack.units.items() if model in spec.models]
    if not units:
        raise UsageError(
            f"model {model!r} was refused: no unit of the stack has it{guess(model, shop.desk.stack.models)}",
            accepted=", ".join(shop.desk.stack.models),
            next_step="name one of these, or add it under `models:` in stack.yaml and to a unit",
        )
    return units[0]


def _drawn_by(shop: Workshop, unit: str, model: str, adapter: str | None) -> Permit | None:
    """Leave to draw candidates with the named adapter version; None where none is named."""
    if adapter is None:
        return None
    found, spec = measuring(state(shop.desk, unit), adapter), shop.desk.stack.models[model]
    if spec.family != Family.CROSS_ENCODER_RERANKER or found.family != Family.EMBEDDING_ADAPTER:
        raise UsageError(
            f"--adapter {adapter} was refused",
            found=f"families {found.family} of {adapter} and {spec.family} of {model}",
            accepted="a version of an embedding adapter, for a cross-encoder reranker",
            next_step="leave --adapter out, or name such a version: mangaops registry list",
        )
    return found


def reproduce(shop: Workshop, model_version: str, *, progress: Progress) -> Any:
    """What retraining from the record gave: the identical artifact, or how far its answers differ.

    A reranker's candidates are drawn again by the adapter version that its record names.
    """
    from mangaops.training import reproduce as again

    model = find_record(shop, model_version)["model_name"]
    unit = _unit_of(shop, model)
    known = state(shop.desk, unit).models[model_version]
    snapshot = kind_of(shop.desk.stack, shop.desk.stack.models[model].data).find(shop, known.dataset, None)
    drawn = known.config.get("candidates_from")
    drawn_by = _drawn_by(shop, unit, model, drawn["version"] if drawn else None)
    steps = Steps(shop.journal, f"reproduce-{model}", shop.seconds, lambda _step, _what: None, lambda: None)
    making = Making(shop, steps, unit, snapshot, "reproduced", progress, drawn_by)
    request = training_request(making, model)
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
