"""Reviewed disagreements as arrays: what people preferred, and how many requests each answer stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Evidence, require
from mangaops.vocabulary import EvidenceKind, Side

SHADOW_REVIEW: Final = "shadow_review"
"""What a rule writes after `on` where it is judged by reviewed traffic."""


@dataclass(frozen=True)
class Reviewed:
    """The items of a review that people were asked about to learn what they prefer: no planted ones.

    `items` has the columns of review evidence.
    """

    kind: ClassVar[EvidenceKind] = EvidenceKind.REVIEW
    counted: ClassVar[str] = "reviewed requests"
    bearer: ClassVar[str] = "reviewed request"
    place: ClassVar[str] = SHADOW_REVIEW

    items: pl.DataFrame

    @classmethod
    def of(cls, evidence: Evidence) -> Reviewed:
        """The view on complete review evidence.

        Raises:
            IntegrityError: the evidence lacks a fact, table or column.
        """
        return cls(require(evidence).tables["items"].filter(~pl.col("planted") & ~pl.col("by_action")))

    @property
    def rows(self) -> pl.DataFrame:
        """One row an item."""
        return self.items

    @property
    def weight(self) -> NDArray[np.float64]:
        """How many disagreements each item stands for."""
        return 1.0 / self.items.get_column("probability").to_numpy()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of each item's group: 0 to groups - 1, in sorted order."""
        return self.items.get_column("group").rank("dense").to_numpy().astype(np.int64) - 1

    def prefers(self, side: Side) -> NDArray[np.float64]:
        """1 where people chose that side's answer, else 0: also where they are not sure, or chose neither."""
        chosen = self.items.get_column("answer") == self.items.get_column(f"{side}_label")
        return chosen.fill_null(False).cast(pl.Float64).to_numpy()

    def where(self, keep: pl.Expr) -> Reviewed:
        """The view on the items that `keep` selects."""
        return Reviewed(self.items.filter(keep))
