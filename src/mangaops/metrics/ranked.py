"""Ranking evidence as arrays: queries, the lists of both sides, grades, weights and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Evidence, require
from mangaops.vocabulary import NO_MODEL, Cell, EvidenceKind, Side, Stage, Unjudged


@dataclass(frozen=True)
class Ranked:
    """Golden queries that both sides answered with lists, seen at one stage and by one policy.

    `queries`, `ranked` and `judgments` have the columns of ranking evidence, `facts` are its facts. `stage`
    says which lists are read, `unjudged` what an item counts as that nobody judged, and `cells` whose lists
    stand for the baseline and for the release.
    """

    kind: ClassVar[EvidenceKind] = EvidenceKind.RANKING
    counted: ClassVar[str] = "queries"
    bearer: ClassVar[str] = "query"

    queries: pl.DataFrame
    ranked: pl.DataFrame
    judgments: pl.DataFrame
    facts: Mapping[str, Any]
    stage: Stage = Stage.SEARCH
    unjudged: Unjudged = Unjudged.IRRELEVANT
    cells: tuple[Cell, Cell] = (Cell.BASELINE, Cell.RELEASE)

    @classmethod
    def of(cls, evidence: Evidence) -> Ranked:
        """The view on complete ranking evidence: search, unjudged items irrelevant, release and baseline.

        Raises:
            IntegrityError: the evidence lacks a fact, table or column, or contradicts itself.
        """
        tables = require(evidence).tables
        return cls(tables["queries"], tables["ranked"], tables["judgments"], evidence.facts)

    def at(self, stage: Stage, unjudged: Unjudged) -> Ranked:
        """The same queries at another stage, by another policy."""
        return replace(self, stage=stage, unjudged=unjudged)

    def between(self, first: Cell, second: Cell) -> Ranked:
        """The same queries with other lists in the places of baseline and release."""
        return replace(self, cells=(first, second))

    def where(self, keep: pl.Expr) -> Ranked:
        """The view on the queries that `keep` selects."""
        return replace(self, queries=self.queries.filter(keep))

    @property
    def place(self) -> str:
        """What a rule writes after `on`."""
        return str(self.stage)

    @property
    def rows(self) -> pl.DataFrame:
        """One row an example: the queries."""
        return self.queries

    @property
    def depth(self) -> int:
        """How many places were asked for at this stage; 0 where nothing was measured there."""
        return int(self.facts["depth"].get(self.stage, 0))

    @cached_property
    def measured(self) -> frozenset[Cell]:
        """Whose lists there are at this stage: a cross of the models of one side is that side's."""
        named = self.facts["cells"].get(self.stage, ())
        return frozenset(cell for cell in Cell if self._same(cell) in named)

    @property
    def against_pair(self) -> bool:
        """Whether the baseline is a pair: that of a first champion has no adapter (BM25)."""
        return bool(self.facts["models"][str(Side.BASELINE)]["adapter"] != NO_MODEL)

    @property
    def changed(self) -> tuple[str, ...]:
        """Which of `adapter` and `reranker` differ between release and baseline."""
        baseline, release = (self.facts["models"][str(side)] for side in Side)
        return tuple(name for name in ("adapter", "reranker") if baseline[name] != release[name])

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each query back to the traffic mix."""
        return self.queries.get_column("weight").to_numpy()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of each query's group: 0 to groups - 1, in sorted order."""
        return self.queries.get_column("group").rank("dense").to_numpy().astype(np.int64) - 1

    @cached_property
    def relevant(self) -> NDArray[np.int64]:
        """How many items of each query are judged relevant: of a grade over 0."""
        return self.count(self.graded.filter(pl.col("grade") > 0))

    @cached_property
    def graded(self) -> pl.DataFrame:
        """The judgments with `row`, the place of their query, best grade first within a query."""
        found = self._numbered.join(self.judgments, on="query_id")
        return found.sort(["row", "grade", "item_id"], descending=[False, True, False])

    def shown(self, side: Side, k: int | None = None) -> pl.DataFrame:
        """The first `k` places of a side's lists as they were shown, `grade` null where nobody judged.

        Columns `row` (place of the query), `query_id`, `item_id`, `rank` and `grade`, in order of row, rank.
        """
        found = self._shown[self.cells[side is Side.RELEASE]]
        return found if k is None else found.filter(pl.col("rank") <= k)

    def top(self, side: Side, k: int | None = None) -> pl.DataFrame:
        """The first `k` places of a side's lists by the policy, all graded; `rank` counts what is left.

        Source: Sakai (2007), SIGIR, section 3: lists from which unjudged items are left out are condensed.
        """
        found = self.shown(side)
        if self.unjudged is Unjudged.IRRELEVANT:
            found = found.with_columns(pl.col("grade").fill_null(0.0))
        else:
            found = found.filter(pl.col("grade").is_not_null())
            found = found.with_columns(rank=pl.int_range(1, pl.len() + 1).over("row"))
        return found if k is None else found.filter(pl.col("rank") <= k)

    def count(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """Rows of the frame by query."""
        return np.bincount(frame.get_column("row").to_numpy(), minlength=self.queries.height)

    def total(self, frame: pl.DataFrame, column: pl.Expr) -> NDArray[np.float64]:
        """Sums of an expression over the frame by query."""
        both = frame.select("row", value=column)
        row, value = (both.get_column(name).to_numpy() for name in ("row", "value"))
        found = np.bincount(row, weights=value, minlength=self.queries.height)
        return found.astype(np.float64)

    @cached_property
    def _numbered(self) -> pl.DataFrame:
        return (
            self.queries.select("query_id").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        )

    @cached_property
    def _shown(self) -> dict[Cell, pl.DataFrame]:
        return {cell: self._lists(cell) for cell in dict.fromkeys(self.cells)}

    def _lists(self, cell: Cell) -> pl.DataFrame:
        wanted = (pl.col("stage") == self.stage) & (pl.col("side") == self._same(cell))
        lists = self.ranked.filter(wanted)
        found = self._numbered.join(lists.select("query_id", "item_id", "rank"), on="query_id")
        grades = self.judgments.select("query_id", "item_id", "grade")
        return found.join(grades, on=["query_id", "item_id"], how="left").sort("row", "rank")

    def _same(self, cell: Cell) -> Cell:
        """A cell of the same models: a cross equals one side where only one model differs, or none."""
        if cell not in (Cell.NEW_ADAPTER, Cell.NEW_RERANKER) or len(self.changed) == 2:
            return cell
        lone_reranker = self.changed == ("reranker",)
        return Cell.RELEASE if (cell is Cell.NEW_RERANKER) == lone_reranker else Cell.BASELINE
