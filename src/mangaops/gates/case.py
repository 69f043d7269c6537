"""What is judged: all evidence of one challenger, and the specs that say what the evidence must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mangaops.evidence import Binding, Evidence
from mangaops.gates.finding import Finding
from mangaops.stack import DataSpec, ModelSpec, UnitSpec
from mangaops.vocabulary import Digest, EvidenceKind


@dataclass(frozen=True)
class Case:
    """One challenger before the judge.

    `binding` is what every piece of evidence must have been measured on; shadow and review evidence is
    bound to the traffic window `traffic` in the dataset's place (None: no traffic was replayed).
    `look` counts from 1. `seed` makes the bootstrap repeatable. `model` and `data` are those of the unit's
    classifying model.
    """

    binding: Binding
    evidence: Mapping[EvidenceKind, Evidence]
    unit: UnitSpec
    model: ModelSpec
    data: DataSpec
    traffic: Digest | None = None
    look: int = 1
    seed: int = 0
    simulated: bool = False
    resamples: int = 2000
    comparisons: int = 1
    others: Callable[[Case], tuple[Finding, ...]] | None = None
