"""One function an event: the only place that knows how each body is spelled.

Each returns a checked `Draft` and raises UsageError where a reason, an actor or a field is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mangaops.registry.events import Draft, check
from mangaops.vocabulary import STACK_STREAM, Because, Digest, EventKind, EvidenceKind, Outcome, Verdict

Facts = Mapping[str, Any]


def _draft(stream: str, kind: EventKind, actor: str, reason: str, **body: Any) -> Draft:
    return check(Draft(stream, kind, {**body, "reason": reason}, actor))


def dataset_recorded(
    data: str, *, name: str, digest: Digest, rows: int, golden_digest: Digest, reason: str, actor: str
) -> Draft:
    """A dataset version exists. `data` is the dataset's name; the stream is `data/<name>`."""
    body = {"name": name, "digest": digest, "rows": rows, "golden_digest": golden_digest}
    return _draft(f"data/{data}", EventKind.DATASET_RECORDED, actor, reason, **body)


def golden_frozen(
    data: str, *, name: str, golden_digest: Digest, rows: int, labels: Sequence[str], reason: str, actor: str
) -> Draft:
    """A golden set is frozen; `name` is the dataset version that froze it."""
    body = {"name": name, "golden_digest": golden_digest, "rows": rows, "labels": list(labels)}
    return _draft(f"data/{data}", EventKind.GOLDEN_FROZEN, actor, reason, **body)


def model_registered(
    unit: str,
    *,
    model: str,
    version: str,
    family: str,
    artifact: Digest,
    fingerprint: str,
    dataset_version: str,
    dataset: Digest,
    training_code_sha: str,
    config: Facts,
    metrics: Mapping[str, float],
    reason: str,
    actor: str,
) -> Draft:
    """A model version is sealed. `dataset` is the digest of the snapshot named `dataset_version`."""
    body = {
        "model": model,
        "version": version,
        "family": str(family),
        "artifact": artifact,
        "fingerprint": fingerprint,
        "dataset_version": dataset_version,
        "dataset": dataset,
        "training_code_sha": training_code_sha,
        "config": dict(config),
        "metrics": dict(metrics),
    }
    return _draft(unit, EventKind.MODEL_REGISTERED, actor, reason, **body)


def release_registered(
    unit: str,
    *,
    release: str,
    digest: Digest,
    models: Mapping[str, str],
    because: Because,
    parts: Mapping[str, Digest] = MappingProxyType({}),
    bootstrap: bool = False,
    reason: str,
    actor: str,
) -> Draft:
    """A release exists as a candidate. `models` maps models to versions, `parts` parts to artifacts."""
    body = {
        "release": release,
        "digest": digest,
        "models": dict(models),
        "parts": {str(part): artifact for part, artifact in parts.items()},
        "because": str(because),
    }
    return _draft(unit, EventKind.RELEASE_REGISTERED, actor, reason, **body, bootstrap=bootstrap)


def run_requested(
    unit: str, *, run: str, because: Because, details: Facts | None = None, reason: str, actor: str
) -> Draft:
    """Somebody asks for a release run."""
    body = {"run": run, "because": str(because), "details": dict(details or {})}
    return _draft(unit, EventKind.RUN_REQUESTED, actor, reason, **body)


def run_started(
    unit: str, *, run: str, because: Because, details: Facts | None = None, reason: str, actor: str
) -> Draft:
    """A release run is under way."""
    body = {"run": run, "because": str(because), "details": dict(details or {})}
    return _draft(unit, EventKind.RUN_STARTED, actor, reason, **body)


def run_finished(
    unit: str, *, run: str, outcome: str, details: Facts | None = None, reason: str, actor: str
) -> Draft:
    """A release run came to its end; `outcome` is a word of its own (`PROMOTE`, `failed`, ...)."""
    body = {"run": run, "outcome": str(outcome), "details": dict(details or {})}
    return _draft(unit, EventKind.RUN_FINISHED, actor, reason, **body)


def evidence_recorded(
    unit: str,
    *,
    release: str,
    evidence_kind: EvidenceKind,
    digest: Digest,
    binding: Mapping[str, str],
    attempt: int,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    reason: str,
    actor: str,
) -> Draft:
    """Something was measured. `metrics` completes registry records: `{model: {metric: value}}`."""
    body = {
        "release": release,
        "evidence_kind": str(evidence_kind),
        "digest": digest,
        "binding": dict(binding),
        "attempt": attempt,
        "metrics": {model: dict(values) for model, values in (metrics or {}).items()},
    }
    return _draft(unit, EventKind.EVIDENCE_RECORDED, actor, reason, **body)


def offline_passed(unit: str, *, release: str, reason: str, actor: str) -> Draft:
    """The offline gates are done and none is a hard FAIL: the candidate is the challenger."""
    return _draft(unit, EventKind.OFFLINE_PASSED, actor, reason, release=release)


def shadow_started(unit: str, *, release: str, reason: str, actor: str) -> Draft:
    """The challenger answers a copy of traffic."""
    return _draft(unit, EventKind.SHADOW_STARTED, actor, reason, release=release)


def review_opened(
    unit: str, *, release: str, review: str, evidence: Digest, reason: str, actor: str
) -> Draft:
    """People are asked; `evidence` is the shadow evidence whose disagreements were sampled."""
    body = {"release": release, "review": review, "evidence": evidence}
    return _draft(unit, EventKind.REVIEW_OPENED, actor, reason, **body)


def review_answered(
    unit: str, *, release: str, review: str, evidence: Digest, simulated: bool, reason: str, actor: str
) -> Draft:
    """The review is answered; `evidence` is the review evidence, `actor` whoever answered."""
    body = {"release": release, "review": review, "evidence": evidence, "simulated": simulated}
    return _draft(unit, EventKind.REVIEW_ANSWERED, actor, reason, **body)


def decided(
    unit: str,
    *,
    release: str,
    decision: Digest,
    outcome: Outcome,
    verdicts: Mapping[str, Verdict | str],
    look: int,
    reason: str,
    actor: str,
) -> Draft:
    """All gates were judged; `decision` is the digest of the stored document."""
    spelled = {gate: v.name if isinstance(v, Verdict) else str(v) for gate, v in verdicts.items()}
    body = {"release": release, "decision": decision, "outcome": str(outcome), "verdicts": spelled}
    return _draft(unit, EventKind.DECIDED, actor, reason, **body, look=look)


def cutover_prepared(
    unit: str, *, release: str, decision: Digest, generation: int, from_: str | None, reason: str, actor: str
) -> Draft:
    """Gateways may load the release beside the champion; `generation` is the one that it will serve as."""
    body = {"release": release, "decision": decision, "generation": generation, "from": from_}
    return _draft(unit, EventKind.CUTOVER_PREPARED, actor, reason, **body)


def cutover_aborted(
    unit: str, *, release: str, refusals: Mapping[str, str], reason: str, actor: str
) -> Draft:
    """The prepared release is not promoted; `refusals` says why, by member of a gateway."""
    body = {"release": release, "refusals": dict(refusals)}
    return _draft(unit, EventKind.CUTOVER_ABORTED, actor, reason, **body)


def promoted(
    unit: str,
    *,
    release: str,
    decision: Digest,
    rollback_pointer: str,
    generation: int,
    from_: str | None,
    reason: str,
    actor: str,
) -> Draft:
    """The release is champion. `from_` was champion before, None where there was none."""
    body = {"release": release, "decision": decision, "rollback_pointer": rollback_pointer}
    return _draft(unit, EventKind.PROMOTED, actor, reason, **body, generation=generation, **{"from": from_})


def rejected(unit: str, *, release: str, decision: Digest | None, reason: str, actor: str) -> Draft:
    """The release is proven worse; the champion stays."""
    return _draft(unit, EventKind.REJECTED, actor, reason, release=release, decision=decision)


def withdrawn(unit: str, *, release: str, decision: Digest | None = None, reason: str, actor: str) -> Draft:
    """The release is superseded by a newer one, or expired."""
    return _draft(unit, EventKind.WITHDRAWN, actor, reason, release=release, decision=decision)


def reopened(unit: str, *, release: str, decision: Digest | None = None, reason: str, actor: str) -> Draft:
    """The release is a candidate again; `decision` is the one that is called into question."""
    return _draft(unit, EventKind.REOPENED, actor, reason, release=release, decision=decision)


def rolled_back(unit: str, *, release: str, to: str, generation: int, reason: str, actor: str) -> Draft:
    """`to` serves again (a release, or the fallback); `release` is what was rolled away from."""
    return _draft(unit, EventKind.ROLLED_BACK, actor, reason, release=release, to=to, generation=generation)


def error_review_opened(unit: str, *, release: str, document: Digest, reason: str, actor: str) -> Draft:
    """The document that says why a challenger was not promoted is stored."""
    return _draft(unit, EventKind.ERROR_REVIEW_OPENED, actor, reason, release=release, document=document)


def load_refused(
    unit: str, *, release: str, gateway: str, worker: int, error: str, found: str, reason: str, actor: str
) -> Draft:
    """A worker of a gateway could not load the release; the stream is that of the stack."""
    body = {"unit": unit, "release": release, "gateway": gateway, "worker": worker}
    return _draft(STACK_STREAM, EventKind.LOAD_REFUSED, actor, reason, **body, error=error, found=found)
