"""What each event does to a unit that is being folded: one short function a kind, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from mangaops.registry.building import Building, Life, refused, some_of
from mangaops.registry.events import Event
from mangaops.registry.judging import judging
from mangaops.registry.lifecycle import OPEN, TRANSITIONS, is_fallback
from mangaops.registry.state import Cutover, DecisionRef, EvidenceRef, ModelRecord, Release, ReviewRef, Run
from mangaops.vocabulary import (
    SEARCHING,
    STACK_STREAM,
    Because,
    Digest,
    EventKind,
    EvidenceKind,
    Family,
    Outcome,
    Part,
    State,
)

Body = dict[str, Any]


def _model_registered(unit: Building, event: Event, body: Body) -> None:
    name = f"{body['model']}@{body['version']}"
    if name in unit.models:
        raise refused(event, f"{name} is registered already", "the next version")
    fields = ("artifact", "fingerprint", "dataset_version", "dataset", "training_code_sha", "config")
    unit.models[name] = ModelRecord(
        model=body["model"],
        version=body["version"],
        family=Family(body["family"]),
        metrics=body["metrics"],
        at=event.at,
        revision=event.revision,
        **{key: body[key] for key in fields},
    )


def _release_registered(unit: Building, event: Event, body: Body) -> None:
    name, digest = body["release"], body["digest"]
    if name in unit.releases or digest in unit.digests:
        found = f"{name} ({digest}) is registered as {unit.digests.get(digest, name)}"
        raise refused(event, found, "another name and digest")
    unknown = [f"{model}@{v}" for model, v in body["models"].items() if f"{model}@{v}" not in unit.models]
    if unknown or not body["models"]:
        raise refused(event, f"models {', '.join(unknown) or '(none)'}", f"one of {some_of(unit.models)}")
    _none_is_open(unit, event)
    release = Release(
        name=name,
        digest=digest,
        models=body["models"],
        parts={Part(part): artifact for part, artifact in body["parts"].items()},
        state=State.CANDIDATE,
        evidence=(),
        decisions=(),
        reviews=(),
        error_reviews=(),
        because=Because(body["because"]),
        at=event.at,
        reason=body["reason"],
        actor=event.actor,
        revision=event.revision,
        reopened_at=0,
        stands_since=event.at,
        stands_because=body["reason"],
    )
    unit.releases[name], unit.digests[digest], unit.opened = release, name, name


def _none_is_open(unit: Building, event: Event) -> None:
    if (other := unit.open_release()) is not None:
        raise refused(event, f"{other} is {unit.thaw(other).state}", "one open release a unit", "withdraw it")


def _plain_move(unit: Building, event: Event, body: Body) -> None:
    unit.life(event, body["release"]).move(event)


def _evidence_recorded(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    life.move(event)
    kind = EvidenceKind(body["evidence_kind"])
    ref = EvidenceRef(kind, body["digest"], body["binding"], event.at, body["attempt"], event.revision)
    life.evidence.append(ref)
    for model, metrics in body["metrics"].items():
        name = f"{model}@{life.start.models.get(model)}"
        if name not in unit.models:
            raise refused(event, f"metrics of {model}", f"a model of {life.start.name}")
        record = unit.models[name]
        unit.models[name] = replace(record, metrics={**record.metrics, **metrics})


def _review_opened(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    life.move(event)
    if any(ref.review == body["review"] for ref in life.reviews):
        raise refused(event, f"review {body['review']} is open already", "another name")
    life.reviews.append(ReviewRef(body["review"], body["evidence"], event.at, event.revision))


def _review_answered(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    life.move(event)
    for place, ref in enumerate(life.reviews):
        if ref.review == body["review"]:
            life.reviews[place] = replace(
                ref, answer=body["evidence"], simulated=body["simulated"], actor=event.actor
            )
            return
    raise refused(event, f"no review {body['review']} of {life.start.name}", "a review that was opened")


def _decided(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    life.move(event)
    life.decisions.append(
        DecisionRef(
            digest=body["decision"],
            outcome=Outcome(body["outcome"]),
            verdicts=body["verdicts"],
            look=body["look"],
            at=event.at,
            revision=event.revision,
            generation=unit.generation,
            reason=body["reason"],
        )
    )
    unit.unprepare(life.start.name)


def _cutover_prepared(unit: Building, event: Event, body: Body) -> None:
    life = _promotable(unit, event, body)
    _replaces_champion(unit, event, body)
    life.move(event)
    unit.prepared = Cutover(life.start.name, body["decision"], body["generation"], event.revision, event.at)


def _cutover_aborted(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    if unit.prepared is None or unit.prepared.release != life.start.name:
        found = f"prepared is {unit.prepared.release if unit.prepared else 'nothing'}"
        raise refused(event, found, "the release whose cutover is prepared")
    life.move(event)
    unit.prepared = None


def _promoted(unit: Building, event: Event, body: Body) -> None:
    life = _promotable(unit, event, body)
    _pointers_fit(unit, event, body)
    life.move(event)
    unit.prepared = None
    if unit.champion is not None:
        unit.thaw(unit.champion).move(event)
    unit.rollback.append(body["rollback_pointer"])
    unit.champion, unit.generation = life.start.name, unit.generation + 1


def _promotable(unit: Building, event: Event, body: Body) -> Life:
    """The release, which is open and has a decision that promotes it against the present champion."""
    life = unit.life(event, body["release"])
    if life.state not in OPEN:
        found, accepted = f"{life.start.name} is {life.state}", "a release that is challenger or shadow"
        raise refused(event, found, accepted, _way_back(life))
    _decision_allows(unit, event, life, body["decision"])
    return life


def _way_back(life: Life) -> str:
    name = life.start.name
    if EventKind.REOPENED in TRANSITIONS[life.state]:
        return f"mangaops release reopen {name} --reason '...', then judge it again"
    return f"mangaops release show {name}"


def _decision_allows(unit: Building, event: Event, life: Life, decision: Digest) -> None:
    searches = any(record.family in SEARCHING for record in unit.models.values())
    again = judging(unit.unit, served=unit.champion is not None, searches=searches, logged=None)
    judge = f"judge again: {again}"
    latest = life.decisions[-1] if life.decisions else None
    if latest is None or latest.digest != decision:
        found = f"latest decision {latest.digest} ({latest.outcome})" if latest else "no decision"
        raise refused(event, found, f"decision {decision}, recorded last for {life.start.name}", judge)
    if latest.outcome != Outcome.PROMOTE:
        raise refused(event, f"decision {decision} says {latest.outcome}", "a decision PROMOTE", judge)
    if latest.revision < life.reopened_at:
        raise refused(event, f"{life.start.name} was reopened since", "a decision made after that", judge)
    if latest.generation != unit.generation:
        found = f"decided at generation {latest.generation}, now {unit.generation}"
        raise refused(event, found, "a decision against the present champion", judge)


def _pointers_fit(unit: Building, event: Event, body: Body) -> None:
    pointer = body["rollback_pointer"]
    fits = is_fallback(pointer) if unit.champion is None else pointer == unit.champion
    if not fits:
        raise refused(event, f"rollback pointer {pointer}", unit.champion or "a fallback")
    _replaces_champion(unit, event, body)


def _replaces_champion(unit: Building, event: Event, body: Body) -> None:
    if body["from"] != unit.champion:
        raise refused(event, f"from {body['from']}", f"from {unit.champion}", "decide again")
    _next_generation(unit, event, body)


def _next_generation(unit: Building, event: Event, body: Body) -> None:
    if body["generation"] != unit.generation + 1:
        raise refused(event, f"generation {body['generation']}", f"generation {unit.generation + 1}")


def _rolled_back(unit: Building, event: Event, body: Body) -> None:
    to = body["to"]
    if unit.champion is None or body["release"] != unit.champion:
        raise refused(event, f"champion {unit.champion}", f"champion {body['release']}")
    if to not in unit.rollback:
        raise refused(event, f"to {to}", f"one of {', '.join(reversed(unit.rollback))}")
    _next_generation(unit, event, body)
    unit.thaw(unit.champion).move(event)
    if not is_fallback(to):
        unit.thaw(to).move(event)
    while unit.rollback.pop() != to:
        pass
    unit.champion = None if is_fallback(to) else to
    unit.generation += 1
    unit.prepared = None


def _reopened(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    if EventKind.REOPENED in TRANSITIONS[life.state]:
        _none_is_open(unit, event)
    life.move(event)
    life.reopened_at = event.revision
    unit.opened, unit.prepared = life.start.name, None


def _rejected(unit: Building, event: Event, body: Body) -> None:
    life, decision = unit.life(event, body["release"]), body["decision"]
    outcomes = {ref.digest: ref.outcome for ref in life.decisions}
    if decision is not None and outcomes.get(decision) != Outcome.REJECT:
        found = f"decision {decision} says {outcomes.get(decision, 'nothing: it was not recorded')}"
        raise refused(event, found, "a recorded decision REJECT, or none")
    life.move(event)
    unit.unprepare(life.start.name)


def _withdrawn(unit: Building, event: Event, body: Body) -> None:
    _plain_move(unit, event, body)
    unit.unprepare(body["release"])


def _error_review_opened(unit: Building, event: Event, body: Body) -> None:
    life = unit.life(event, body["release"])
    life.move(event)
    life.error_reviews.append(body["document"])


def _run(unit: Building, event: Event, body: Body) -> None:
    name, kind = body["run"], event.kind
    run = unit.runs.get(name, Run(name, None))
    if kind == EventKind.RUN_REQUESTED:
        run = replace(run, because=Because(body["because"]), requested_at=event.at)
    elif kind == EventKind.RUN_STARTED:
        run = replace(run, because=Because(body["because"]), started_at=event.at)
    else:
        run = replace(run, finished_at=event.at, outcome=body["outcome"])
    unit.runs[name] = replace(run, details={**run.details, **body["details"]})


def _of_the_stack(unit: Building, event: Event, _body: Body) -> None:
    """Told for people: no unit changes by it, and no unit's stream holds it."""
    if unit.unit != STACK_STREAM:
        raise refused(event, f"stream {unit.unit}", f"stream {STACK_STREAM}")


HANDLERS: Final[dict[EventKind, Callable[[Building, Event, Body], None]]] = {
    EventKind.MODEL_REGISTERED: _model_registered,
    EventKind.RELEASE_REGISTERED: _release_registered,
    EventKind.RUN_REQUESTED: _run,
    EventKind.RUN_STARTED: _run,
    EventKind.RUN_FINISHED: _run,
    EventKind.EVIDENCE_RECORDED: _evidence_recorded,
    EventKind.OFFLINE_PASSED: _plain_move,
    EventKind.SHADOW_STARTED: _plain_move,
    EventKind.REVIEW_OPENED: _review_opened,
    EventKind.REVIEW_ANSWERED: _review_answered,
    EventKind.DECIDED: _decided,
    EventKind.CUTOVER_PREPARED: _cutover_prepared,
    EventKind.CUTOVER_ABORTED: _cutover_aborted,
    EventKind.PROMOTED: _promoted,
    EventKind.REJECTED: _rejected,
    EventKind.WITHDRAWN: _withdrawn,
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.REOPENED: _reopened,
    EventKind.ERROR_REVIEW_OPENED: _error_review_opened,
    EventKind.LOAD_REFUSED: _of_the_stack,
}
"""What each kind of event does to a unit; kinds about data have their own fold."""
