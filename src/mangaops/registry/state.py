"""What the fold of a stream yields: frozen facts about datasets, models, releases and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mangaops.registry.events import GENESIS
from mangaops.vocabulary import Because, Digest, EvidenceKind, Family, Outcome, Part, State


@dataclass(frozen=True)
class EvidenceRef:
    """Evidence that was recorded for a release; the body lies in the evidence store under `digest`."""

    kind: EvidenceKind
    digest: Digest
    binding: Mapping[str, str]
    at: str
    attempt: int
    revision: int


@dataclass(frozen=True)
class DecisionRef:
    """A decision on a release. `generation` is the unit's at that moment: whom it was compared with."""

    digest: Digest
    outcome: Outcome
    verdicts: Mapping[str, str]
    look: int
    at: str
    revision: int
    generation: int
    reason: str


@dataclass(frozen=True)
class ReviewRef:
    """A review: opened on shadow evidence, and answered by review evidence, or not yet (`answer` None)."""

    review: str
    evidence: Digest
    at: str
    revision: int
    answer: Digest | None = None
    simulated: bool | None = None
    actor: str | None = None


@dataclass(frozen=True)
class ModelRecord:
    """One sealed model version. `metrics` grow as evidence of releases that hold it is recorded."""

    model: str
    version: str
    family: Family
    artifact: Digest
    fingerprint: str
    dataset_version: str
    dataset: Digest
    training_code_sha: str
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    at: str
    revision: int

    @property
    def name(self) -> str:
        """`model@version`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class Release:
    """A release and all that happened to it, oldest first.

    `models` maps each model to its version; `parts` has the artifacts that belong to the release and are no
    model. `reopened_at` is the revision of the last reopening, 0 where
    there was none. `stands_because` is the reason of the event that led to the present state.
    """

    name: str
    digest: Digest
    models: Mapping[str, str]
    parts: Mapping[Part, Digest]
    state: State
    evidence: tuple[EvidenceRef, ...]
    decisions: tuple[DecisionRef, ...]
    reviews: tuple[ReviewRef, ...]
    error_reviews: tuple[Digest, ...]
    because: Because
    at: str
    reason: str
    actor: str
    revision: int
    reopened_at: int
    stands_since: str
    stands_because: str

    def latest(self, kind: EvidenceKind) -> EvidenceRef | None:
        """The newest evidence of a kind, None where nothing was measured."""
        return next((ref for ref in reversed(self.evidence) if ref.kind == kind), None)


@dataclass(frozen=True)
class Run:
    """A release run as the ledger knows it: requested, started, finished, or only the first of these."""

    run: str
    because: Because | None
    requested_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    outcome: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cutover:
    """A promotion that gateways were asked to prepare; `generation` is the one that it would give."""

    release: str
    decision: Digest
    generation: int
    revision: int
    at: str


@dataclass(frozen=True)
class UnitState:
    """A unit as of `revision`, whose hash is `head`.

    `models` is keyed `model@version`, `releases` by name. `rollback` is the stack of rollback pointers, the
    newest last: releases, and at its bottom the fallback. `challenger` is the open release, if any.
    `prepared` is the cutover that is under way: gateways load its release, and do not serve it yet.
    """

    unit: str
    revision: int = 0
    head: Digest = GENESIS
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    releases: Mapping[str, Release] = field(default_factory=dict)
    champion: str | None = None
    rollback: tuple[str, ...] = ()
    generation: int = 0
    challenger: str | None = None
    prepared: Cutover | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetRecord:
    """A dataset version as the ledger knows it."""

    name: str
    digest: Digest
    rows: int
    golden_digest: Digest
    at: str
    revision: int


@dataclass(frozen=True)
class DataState:
    """A dataset's versions, by name in the order of recording, and its present golden set."""

    data: str
    revision: int = 0
    head: Digest = GENESIS
    versions: Mapping[str, DatasetRecord] = field(default_factory=dict)
    golden: Digest | None = None
