"""What every verb works with. The only place in the house that owns the clock and the transactions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mangaops.errors import MangaopsError, RevisionConflict, UsageError
from mangaops.evidence import Binding, Evidence, require
from mangaops.registry import Draft, Event, EvidenceRef, Release, UnitState, drafts, fold, judging, traffic_of
from mangaops.stack import ModelSpec, Stack, UnitSpec
from mangaops.store import Artifacts, Documents, EvidenceStore, Gateways, Ledger, Snapshots
from mangaops.vocabulary import Digest, EvidenceKind

Progress = Callable[[str, int, int], None] | None
"""Told now and then: what is being done, how many are done, of how many."""


@dataclass(frozen=True)
class Desk:
    """The stores, the stack, the clock, and who is acting."""

    stack: Stack
    ledger: Ledger
    gateways: Gateways
    artifacts: Artifacts
    evidence: EvidenceStore
    snapshots: Snapshots
    documents: Documents
    clock: Callable[[], datetime]
    actor: str

    def now(self) -> str:
        """The clock's time as the text that the ledger stores: UTC, microseconds, `Z`."""
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def state(desk: Desk, unit: str) -> UnitState:
    """The unit as the fold of its events.

    Raises:
        UsageError: the stack declares no such unit.
    """
    unit_spec(desk, unit)
    return replace(fold(desk.ledger.read(unit)), unit=unit)


def unit_spec(desk: Desk, unit: str) -> UnitSpec:
    """What stack.yaml says of the unit.

    Raises:
        UsageError: the stack declares no such unit.
    """
    return desk.stack.unit(unit)


def model_spec(desk: Desk, unit: str) -> ModelSpec:
    """What stack.yaml says of the unit's classifying model: its first."""
    return desk.stack.models[unit_spec(desk, unit).models[0]]


def of_first_model(desk: Desk, unit: str, metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The metrics as those of the unit's classifying model, which is the one that answers alone."""
    return {unit_spec(desk, unit).models[0]: dict(metrics)}


def next_run(
    desk: Desk,
    current: UnitState,
    *,
    of: Release | None = None,
    again: EvidenceKind | None = None,
    traffic: str = "",
) -> str:
    """The command line that judges a release of the unit next; `again` and `traffic` as in `judging`.

    It names the kinds of files that the release `of` was made of; without one, the newest.
    """
    searches = desk.stack.ranks(current.unit)
    return judging(
        current.unit,
        served=current.champion is not None,
        searches=searches,
        logged=searches and learnt_from_logs(desk, current, of),
        again=again,
        traffic=traffic,
    )


def learnt_from_logs(desk: Desk, current: UnitState, release: Release | None = None) -> bool | None:
    """Whether models of the release, or else of the newest, learnt from logs of searches.

    None where there is no release, or the store cannot tell now.
    """
    release = release or next(reversed(list(current.releases.values())), None)
    if release is None:
        return None
    learnt = {current.models[f"{model}@{version}"].dataset for model, version in release.models.items()}
    try:
        return any(desk.snapshots.rows(digest).get("searches", 0) for digest in learnt)
    except MangaopsError:
        return None


def release_of(current: UnitState, release: str) -> Release:
    """The release as the ledger tells it.

    Raises:
        UsageError: the unit has no such release.
    """
    if release not in current.releases:
        raise UsageError(
            f"release {release!r} was refused: {current.unit} has no such release",
            accepted=", ".join(current.releases) or "none is registered yet",
            next_step=f"mangaops release list {current.unit}",
        )
    return current.releases[release]


def binding(
    desk: Desk, unit: str, release: str, dataset: Digest, *, against: Digest | None = None
) -> Binding:
    """What evidence about this release is bound to today: see `bind`.

    `against` is the digest of what stands on the other side of a measurement; None: whatever stands there.

    Raises:
        RevisionConflict: another champion stands there today than the one that is measured.
    """
    current = state(desk, unit)
    bound = bind(current, release_of(current, release), dataset)
    if against not in (None, bound.baseline):
        raise _moved(current, release)
    return bound


def _moved(current: UnitState, release: str) -> RevisionConflict:
    return RevisionConflict(
        f"measuring {release} was refused: the champion changed while it was measured",
        found=f"{current.champion or 'no champion'} at revision {current.revision}",
        accepted="the champion that the release is compared with, from the first request to the last",
        next_step="run the same command again: it measures against today's champion",
    )


def opponent(current: UnitState, release: str) -> str | None:
    """The champion that the release is compared with; None: the plain baseline stands in its place."""
    return current.champion if current.champion != release else None


def bind(current: UnitState, subject: Release, dataset: Digest) -> Binding:
    """The release's digest, the digest of the champion that it is compared with, and the dataset's.

    Where the unit has no champion, the plain baseline stands in its place; its digest is derived from
    the unit and the release's own training snapshots, so that it changes when they do.
    """
    champion = opponent(current, subject.name)
    if champion is not None:
        return Binding(current.unit, subject.digest, current.releases[champion].digest, dataset)
    return Binding(current.unit, subject.digest, plain_baseline_digest(current, subject), dataset)


def plain_baseline_digest(current: UnitState, release: Release) -> Digest:
    """The digest of the plain baseline: the unit and the training snapshots that it learns from."""
    snapshots = sorted(
        current.models[f"{model}@{version}"].dataset for model, version in release.models.items()
    )
    text = "\n".join(["plain baseline", current.unit, *snapshots])
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def revisions(desk: Desk, current: UnitState, subject: Release) -> dict[str, int]:
    """The revision of every stream that evidence on this release read: the unit's, and its models' data."""
    streams = {f"data/{desk.stack.models[model].data}" for model in subject.models}
    heads = desk.ledger.heads()
    read = {stream: heads[stream].revision for stream in sorted(streams) if stream in heads}
    return {current.unit: current.revision, **read}


def append(
    desk: Desk,
    made: Sequence[Draft],
    *,
    expect: Mapping[str, int],
    check: Callable[[Any], None] | None = None,
) -> list[Event]:
    """The drafts are in the ledger, all or none, if each stream in `expect` still stands where it was read.

    `check` is asked in the same transaction; what it raises keeps them out.

    Raises:
        RevisionConflict: another verb appended first.
    """
    return desk.ledger.append(list(made), expect=expect, at=desk.now(), check=check)


def record_evidence(
    desk: Desk,
    unit: str,
    release: str,
    evidence: Evidence,
    *,
    reason: str,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    first: Sequence[Draft] = (),
) -> Evidence:
    """The evidence is stored and listed as the newest attempt of its kind; an equal one is not listed twice.

    `metrics` completes registry records (`{model: {metric: value}}`); `first` goes in with it, before it.
    Answers to a review are about the shadow that was reviewed; all else is about today's champion.

    Raises:
        RevisionConflict: the champion changed since it was measured, or another verb appended first.
    """
    digest = desk.evidence.put(require(evidence))
    current = state(desk, unit)
    subject, bound = release_of(current, release), evidence.binding
    if evidence.kind != EvidenceKind.REVIEW and bound != bind(current, subject, bound.dataset):
        raise _moved(current, release)
    earlier = [ref for ref in subject.evidence if ref.kind == evidence.kind]
    if earlier and earlier[-1].digest == digest:
        return evidence
    listed = drafts.evidence_recorded(
        unit,
        release=release,
        evidence_kind=evidence.kind,
        digest=digest,
        binding=vars(evidence.binding),
        attempt=len(earlier) + 1,
        metrics=metrics,
        reason=reason,
        actor=desk.actor,
    )
    append(desk, [*first, listed], expect={unit: current.revision})
    return evidence


def newest(desk: Desk, subject: Release, kind: EvidenceKind, bound: Binding | None = None) -> Evidence | None:
    """The newest attempt of that kind (with that binding, where one is given); None where there is none."""
    for ref in reversed(subject.evidence):
        if ref.kind == kind and (bound is None or _same(ref, bound)):
            return desk.evidence.get(ref.digest)
    return None


def traffic_option(desk: Desk, subject: Release) -> str:
    """The option that names the requests of the release's newest shadow; empty where it has none."""
    shadow = newest(desk, subject, EvidenceKind.SHADOW)
    return traffic_of(shadow.facts.get("mode")) if shadow else ""


def _same(ref: EvidenceRef, bound: Binding) -> bool:
    return dict(ref.binding) == vars(bound)
