"""What a release run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from mangaops.datasets import Source
from mangaops.vocabulary import Because, EvidenceKind


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do."""

    unit: str
    source: Source
    traffic: Source | None = None
    truth: str | None = None
    because: Because = Because.MANUAL
    reason: str = "weekly release"
    grow_golden: bool = False
    again: frozenset[EvidenceKind] = frozenset()
    bootstrap: bool = False
