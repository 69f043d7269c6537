"""Legal histories of a unit, as drafts and as events, for tests of registry and store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from mangaops.registry import GENESIS, Draft, Event, drafts, seal
from mangaops.vocabulary import Because, EvidenceKind, Outcome, Verdict

AT = "2026-04-20T03:00:00Z"
WHO: dict[str, str] = {"reason": "because of the test", "actor": "tester"}
FALLBACK = "fallback:offer_human"


def digest(word: str) -> str:
    return "sha256:" + hashlib.sha256(word.encode()).hexdigest()


def model(version: int, unit: str = "router", **changed: Any) -> Draft:
    body: dict[str, Any] = {
        "model": "intent-classifier",
        "version": f"v{version}",
        "family": "intent-classifier",
        "artifact": digest(f"artifact {version}"),
        "fingerprint": f"fingerprint-{version}",
        "dataset_version": "intent-data-2026-04-20",
        "dataset": digest("dataset"),
        "training_code_sha": "abc123",
        "config": {"epochs": 3, "learning_rate": 2e-4},
        "metrics": {"parity": 0.997},
    }
    return drafts.model_registered(unit, **{**body, **changed}, **WHO)


def release(number: int, unit: str = "router", **changed: Any) -> Draft:
    body: dict[str, Any] = {
        "release": f"{unit}-{number}",
        "digest": digest(f"release {number}"),
        "models": {"intent-classifier": f"v{number}"},
        "because": Because.SCHEDULE,
        "bootstrap": number == 1,
    }
    return drafts.release_registered(unit, **{**body, **changed}, **WHO)


def evidence(number: int, kind: EvidenceKind = EvidenceKind.EVALUATION, **changed: Any) -> Draft:
    body: dict[str, Any] = {
        "release": f"router-{number}",
        "evidence_kind": kind,
        "digest": digest(f"evidence {number} {kind}"),
        "binding": {
            "unit": "router",
            "release": digest(f"release {number}"),
            "baseline": "b",
            "dataset": "d",
        },
        "attempt": 1,
        "metrics": {"intent-classifier": {"accuracy": 0.92, "rare_accuracy": 0.88}},
    }
    return drafts.evidence_recorded("router", **{**body, **changed}, **WHO)


def passed(number: int) -> Draft:
    return drafts.offline_passed("router", release=f"router-{number}", **WHO)


def shadowed(number: int) -> Draft:
    return drafts.shadow_started("router", release=f"router-{number}", **WHO)


def decided(number: int, outcome: Outcome = Outcome.PROMOTE, look: int = 1) -> Draft:
    return drafts.decided(
        "router",
        release=f"router-{number}",
        decision=digest(f"decision {number} {outcome} {look}"),
        outcome=outcome,
        verdicts={"leakage": Verdict.PASS},
        look=look,
        **WHO,
    )


def prepared(number: int, *, after: int | None, generation: int, **changed: Any) -> Draft:
    body: dict[str, Any] = {
        "release": f"router-{number}",
        "decision": digest(f"decision {number} {Outcome.PROMOTE} 1"),
        "generation": generation,
        "from_": f"router-{after}" if after else None,
    }
    return drafts.cutover_prepared("router", **{**body, **changed}, **WHO)


def aborted(number: int) -> Draft:
    refusals = {"gateway/0/ab": "no memory"}
    return drafts.cutover_aborted("router", release=f"router-{number}", refusals=refusals, **WHO)


def load_refused(number: int) -> Draft:
    body: dict[str, Any] = {"release": f"router-{number}", "gateway": "gateway", "worker": 0}
    return drafts.load_refused("router", **body, error="FingerprintMismatch", found="other tokens", **WHO)


def promoted(number: int, *, after: int | None, generation: int, **changed: Any) -> Draft:
    body: dict[str, Any] = {
        "release": f"router-{number}",
        "decision": digest(f"decision {number} {Outcome.PROMOTE} 1"),
        "rollback_pointer": f"router-{after}" if after else FALLBACK,
        "generation": generation,
        "from_": f"router-{after}" if after else None,
    }
    return drafts.promoted("router", **{**body, **changed}, **WHO)


def rejected(number: int, **changed: Any) -> Draft:
    return drafts.rejected("router", **{"release": f"router-{number}", "decision": None, **changed}, **WHO)


def withdrawn(number: int) -> Draft:
    return drafts.withdrawn("router", release=f"router-{number}", **WHO)


def reopened(number: int) -> Draft:
    return drafts.reopened("router", release=f"router-{number}", **WHO)


def rolled_back(number: int, to: str, generation: int) -> Draft:
    return drafts.rolled_back("router", release=f"router-{number}", to=to, generation=generation, **WHO)


def requested(number: int, stream: str = "stack") -> Draft:
    return drafts.run_requested(stream, run=f"run-{number}", because=Because.MANUAL, **WHO)


def dataset(number: int, data: str = "intent-data") -> Draft:
    return drafts.dataset_recorded(
        data,
        name=f"{data}-{number}",
        digest=digest(f"rows {number}"),
        rows=1000 + number,
        golden_digest=digest("golden"),
        **WHO,
    )


def week(number: int, *, after: int | None, generation: int) -> list[Draft]:
    """A release from training to promotion."""
    return [
        model(number),
        release(number),
        evidence(number),
        passed(number),
        shadowed(number),
        decided(number),
        promoted(number, after=after, generation=generation),
    ]


def weeks(count: int) -> list[Draft]:
    """So many promotions, one after another."""
    return [draft for n in range(1, count + 1) for draft in week(n, after=n - 1 or None, generation=n)]


def sealed(told: Iterable[Draft], before: Sequence[Event] = ()) -> list[Event]:
    """The drafts as events of one stream, after those of `before`; both together."""
    events = list(before)
    for draft in told:
        previous = events[-1].hash if events else GENESIS
        events.append(seal(draft, revision=len(events) + 1, at=AT, previous_hash=previous))
    return events
