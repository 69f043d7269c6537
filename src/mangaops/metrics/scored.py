"""Evaluation evidence as arrays: truth, both sides' answers, weights, groups and the costs of mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Evidence, require
from mangaops.stack import ModelSpec
from mangaops.vocabulary import EvidenceKind, Side


@dataclass(frozen=True)
class Scored:
    """Golden rows that both sides answered, seen with a model's labels and costs.

    `outcomes` has the columns of evaluation evidence. `labels` holds the declared labels in their order,
    then every other word that occurs as truth or answer, sorted.
    """

    kind: ClassVar[EvidenceKind] = EvidenceKind.EVALUATION
    counted: ClassVar[str] = "golden rows"
    bearer: ClassVar[str] = "golden row"
    place: ClassVar[str] = "golden"

    outcomes: pl.DataFrame
    labels: tuple[str, ...]
    model: ModelSpec

    @classmethod
    def of(cls, evidence: Evidence, model: ModelSpec) -> Scored:
        """The view on complete evaluation evidence.

        Raises:
            IntegrityError: the evidence lacks a fact, table or column.
        """
        return cls.over(require(evidence).tables["outcomes"], evidence.facts["labels"], model)

    @classmethod
    def over(cls, outcomes: pl.DataFrame, labels: Sequence[str], model: ModelSpec) -> Scored:
        """The view on a frame of outcomes."""
        found: set[str] = set()
        for column in ("truth", "baseline_label", "release_label"):
            found |= set(outcomes.get_column(column).unique().to_list())
        return cls(outcomes, (*dict.fromkeys(labels), *sorted(found - set(labels))), model)

    @property
    def rows(self) -> pl.DataFrame:
        """One row an example."""
        return self.outcomes

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """Position of each row's true label in `labels`."""
        return self._codes("truth")

    @cached_property
    def baseline(self) -> NDArray[np.int64]:
        """Position of the baseline's answer in `labels`."""
        return self._codes("baseline_label")

    @cached_property
    def release(self) -> NDArray[np.int64]:
        """Position of the release's answer in `labels`."""
        return self._codes("release_label")

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each row back to the traffic mix."""
        return self.outcomes.get_column("weight").to_numpy()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of each row's group: 0 to groups - 1, in sorted order."""
        return self.outcomes.get_column("group").rank("dense").to_numpy().astype(np.int64) - 1

    @cached_property
    def cost(self) -> NDArray[np.float64]:
        """Matrix of costs, truth by answer."""
        return np.array([[self.model.cost(truth, answer) for answer in self.labels] for truth in self.labels])

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Weighted share of each label among the truths: the traffic mix."""
        total = np.bincount(self.truth, weights=self.weight, minlength=len(self.labels))
        return total / max(float(total.sum()), np.finfo(float).tiny)

    @cached_property
    def rare(self) -> NDArray[np.bool_]:
        """Which labels occur, and in less traffic than `rare_under`."""
        return (self.shares > 0) & (self.shares < self.model.rare_under)

    @cached_property
    def escalating(self) -> NDArray[np.bool_]:
        """Which labels are answered by offering a human."""
        return np.array([label in self.model.actions.offer_human for label in self.labels], dtype=bool)

    def answers(self, side: Side) -> NDArray[np.int64]:
        """Answers of one side as positions in `labels`."""
        return self.release if side is Side.RELEASE else self.baseline

    def confidence(self, side: Side) -> NDArray[np.float64]:
        """Confidence of one side's answers, 0 to 1."""
        return self.outcomes.get_column(f"{side}_confidence").to_numpy()

    def where(self, keep: pl.Expr) -> Scored:
        """The view on the rows that `keep` selects, with the same labels."""
        return Scored(self.outcomes.filter(keep), self.labels, self.model)

    def _codes(self, column: str) -> NDArray[np.int64]:
        words = self.outcomes.get_column(column).cast(pl.Enum(self.labels))
        return words.to_physical().to_numpy().astype(np.int64)
