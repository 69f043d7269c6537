"""What a promotion stands on: a stored PROMOTE that nothing has overtaken, and a way back that loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mangaops.errors import IntegrityError, RefusedError
from mangaops.gates import Decision
from mangaops.registry import TRANSITIONS, Permit, Release, UnitState, fold_data, permit
from mangaops.release.bootstrap import rules_for, specs_digest
from mangaops.release.desk import Desk, bind, next_run, traffic_option, unit_spec
from mangaops.release.review import counted_review
from mangaops.vocabulary import FALLBACK, Digest, EventKind, EvidenceKind, Outcome, Purpose

Prove = Callable[[Mapping[str, Permit]], object]
"""Loads the permitted release as serving would, and raises what that raises."""


def standing_promotion(desk: Desk, current: UnitState, subject: Release) -> Digest:
    """The digest of the stored PROMOTE that holds for the release as it is now, against today's champion.

    Raises:
        RefusedError: there is none, or something was registered, measured or promoted since.
        IntegrityError: the stored document is not what was judged.
    """
    if not subject.decisions or subject.decisions[-1].outcome != Outcome.PROMOTE:
        said = str(subject.decisions[-1].outcome) if subject.decisions else "nothing: it was never judged"
        raise _refused(desk, current, subject, f"the newest decision says {said}")
    ref = subject.decisions[-1]
    document = read_decision(desk, ref.digest)
    decision = Decision.from_dict(document["decision"])
    if document["rules"] != [rule.as_dict() for rule in rules_for(desk, current, subject)]:
        raise _refused(desk, current, subject, "the gate list of stack.yaml is another one than was judged")
    if document.get("specs") != specs_digest(desk, current.unit):
        found = "stack.yaml says other things of the unit, its models or their data than were judged"
        raise _refused(desk, current, subject, found)
    if decision.binding != bind(current, subject, decision.binding.dataset):
        raise _refused(desk, current, subject, "the decision compares other digests than those of today")
    require_golden(desk, current, subject, decision.binding.dataset)
    for kind, digest in decision.evidence.items():
        if _newest(desk, subject, EvidenceKind(kind), decision) != digest:
            found = f"{kind} was measured again after the decision, or on other traffic"
            raise _refused(desk, current, subject, found)
        desk.evidence.get(digest)
    return ref.digest


def _newest(desk: Desk, subject: Release, kind: EvidenceKind, decision: Decision) -> Digest | None:
    """The digest of the evidence of that kind which would be judged on now."""
    shadow = decision.evidence.get(EvidenceKind.SHADOW)
    if kind is EvidenceKind.REVIEW and shadow is not None:
        asked = counted_review(desk, subject, shadow)
        return asked.answer if asked else None
    return next((known.digest for known in reversed(subject.evidence) if known.kind == kind), None)


def require_golden(desk: Desk, current: UnitState, subject: Release, dataset: Digest) -> None:
    """Nothing happens where the golden set of that dataset version is the one that is frozen today.

    Who appends afterwards names revisions that were read before, so that none is frozen in between.

    Raises:
        RefusedError: the golden set was frozen anew since.
    """
    for name in sorted({desk.stack.models[model].data for model in subject.models}):
        data = fold_data(desk.ledger.read(f"data/{name}"))
        for version in data.versions.values():
            if version.digest == dataset and version.golden_digest != data.golden:
                found = f"the golden set of {name} was frozen anew after {version.name}"
                raise RefusedError(
                    f"deciding on {subject.name} was refused: it was compared on an older golden set",
                    found=found,
                    accepted="evidence on the newest golden set",
                    next_step=next_run(desk, current, of=subject),
                )


def _refused(desk: Desk, current: UnitState, subject: Release, found: str) -> RefusedError:
    closed = EventKind.REOPENED in TRANSITIONS[subject.state]
    reopen = f"it is {subject.state}: mangaops release reopen {subject.name} --reason '...', then "
    anew = next_run(desk, current, of=subject, traffic=traffic_option(desk, subject))
    return RefusedError(
        f"promoting {subject.name} was refused",
        found=found,
        accepted="a stored PROMOTE for exactly this release, this champion and the newest evidence",
        next_step=f"{reopen if closed else ''}judge it again: {anew}",
    )


def rollback_pointer(desk: Desk, current: UnitState, prove: Prove) -> str:
    """The champion's name, once it was proven to load; the fallback where there is none.

    Raises:
        IntegrityError: an artifact of the champion does not load: there would be no way back.
    """
    if current.champion is None:
        return FALLBACK + unit_spec(desk, current.unit).fallback
    prove(permit(current, current.champion, Purpose.SERVE))
    return current.champion


def read_decision(desk: Desk, digest: Digest) -> Mapping[str, Any]:
    """The stored document of a decision: decision, rules, specs (their digest), unit, release, reason.

    Raises:
        IntegrityError: it is missing or was changed.
    """
    try:
        document = json.loads(desk.documents.get(digest))
        Decision.from_dict(document["decision"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"decision {digest} was refused: the stored document is not one",
            found=str(error),
            next_step="mangaops audit verify",
        ) from error
    body: Mapping[str, Any] = document
    return body
