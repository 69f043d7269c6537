"""What is judged: all evidence of one challenger, and the specs that say what the evidence must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mangaops.evidence import Binding, Evidence
from mangaops.gates.finding import Finding
from mangaops.metrics import Ranked, Scored
from mangaops.stack import DataSpec, ModelSpec, SearchDataSpec, UnitSpec
from mangaops.vocabulary import Digest, EvidenceKind


@dataclass(frozen=True)
class Case:
    """One challenger before the judge.

    `binding` is what every piece of evidence must have been measured on; shadow and review evidence is
    bound to the traffic window `traffic` in the dataset's place (None: no traffic was replayed).
    `look` counts looks at labels from 1, `timing` looks at timings. `seed` makes the resampling repeatable.
    `served`: the release is compared with a champion, and not with the plain baseline in its place.
    `logged`: its models learnt from logs of searches; None where it cannot be told.
    `model` and `data` are those of the unit's first model. With `verdicts_only` findings carry
    verdicts and point estimates, and no interval that a verdict does not need: for simulations, where
    nobody reads them.

    The judge sets `comparisons` (how many share `fail_confidence`) and `others` (judges the other rules).
    `any_number` lets a rule decide on fewer examples than its `min_examples`.
    """

    binding: Binding
    evidence: Mapping[EvidenceKind, Evidence]
    unit: UnitSpec
    model: ModelSpec
    data: DataSpec | SearchDataSpec
    name: str = ""
    traffic: Digest | None = None
    look: int = 1
    timing: int = 1
    seed: int = 0
    simulated: bool = False
    served: bool = True
    logged: bool | None = None
    resamples: int = 2000
    comparisons: int = 1
    others: Callable[[Case], tuple[Finding, ...]] | None = None
    verdicts_only: bool = False
    any_number: bool = False

    @property
    def called(self) -> str:
        """How commands name the release; the unit, which means its newest one, where that is not told."""
        return self.name or self.binding.unit

    @property
    def searches(self) -> bool:
        """Whether the unit's models learn from what people searched for."""
        return isinstance(self.data, SearchDataSpec)

    @cached_property
    def proven(self) -> dict[EvidenceKind, Evidence]:
        """Evidence that was looked through and found complete, so that it is looked through once."""
        return {}

    @cached_property
    def scored(self) -> Scored:
        """The golden rows of the evaluation evidence, read once for all rules.

        Raises:
            KeyError: there is none; gates ask `proof.scored`.
        """
        return Scored.of(self.evidence[EvidenceKind.EVALUATION], self.model)

    @cached_property
    def ranked(self) -> Ranked:
        """The lists of the ranking evidence, read once for all rules.

        Raises:
            KeyError: there is none; gates ask `proof.ranked`.
        """
        return Ranked.of(self.evidence[EvidenceKind.RANKING])
