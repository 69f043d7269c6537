"""What a promotion stands on: a stored PROMOTE that nothing has overtaken, and a way back that loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mangaops.errors import IntegrityError, RefusedError
from mangaops.gates import Decision
from mangaops.registry import Permit, Release, UnitState, permit
from mangaops.release.bootstrap import rules_for
from mangaops.release.desk import Desk, bind, unit_spec
from mangaops.vocabulary import FALLBACK, Digest, Outcome, Purpose


def standing_promotion(desk: Desk, current: UnitState, subject: Release) -> Digest:
    """The digest of the stored PROMOTE that holds for the release as it is now, against today's champion.

    Raises:
        RefusedError: there is none, or something was registered, measured or promoted since.
        IntegrityError: the stored document is not what was judged.
    """
    if not subject.decisions or subject.decisions[-1].outcome != Outcome.PROMOTE:
        said = str(subject.decisions[-1].outcome) if subject.decisions else "nothing: it was never judged"
        raise _refused(current, subject, f"the newest decision says {said}")
    ref = subject.decisions[-1]
    document = read_decision(desk, ref.digest)
    decision = Decision.from_dict(document["decision"])
    if document["rules"] != [rule.as_dict() for rule in rules_for(desk, current, subject)]:
        raise _refused(current, subject, "the gate list of stack.yaml is another one than was judged")
    if decision.binding != bind(current, subject, decision.binding.dataset):
        raise _refused(current, subject, "the decision compares other digests than those of today")
    for kind, digest in decision.evidence.items():
        latest = next((known for known in reversed(subject.evidence) if known.kind == kind), None)
        if latest is None or latest.digest != digest:
            raise _refused(current, subject, f"{kind} was measured again after the decision")
        desk.evidence.get(digest)
    return ref.digest


def _refused(current: UnitState, subject: Release, found: str) -> RefusedError:
    return RefusedError(
        f"promoting {subject.name} was refused",
        found=found,
        accepted="a stored PROMOTE for exactly this release, this champion and the newest evidence",
        next_step=f"judge it again: mangaops release run {current.unit}",
    )


def rollback_pointer(desk: Desk, current: UnitState, prove: Callable[[Permit], object]) -> str:
    """The champion's name, once every model of it was proven to load; the fallback where there is none.

    Raises:
        IntegrityError: an artifact of the champion does not load: there would be no way back.
    """
    if current.champion is None:
        return FALLBACK + unit_spec(desk, current.unit).fallback
    for each in permit(current, current.champion, Purpose.SERVE).values():
        prove(each)
    return current.champion


def read_decision(desk: Desk, digest: Digest) -> Mapping[str, Any]:
    """The stored document of a decision: decision, rules, unit, release, reason.

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
