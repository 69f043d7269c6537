"""Judged pairs in: checked, and put into numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.errors import TrainingError
from mangaops.training.request import PairRequest

_LEAST = 8


@dataclass(frozen=True)
class Judged:
    """Queries with at least one relevant item, in the order of their first row.

    `grades[q]` has the grade of each relevant item of query q by the item's row number: all are over 0.
    """

    ids: tuple[str, ...]
    queries: tuple[str, ...]
    grades: tuple[dict[int, float], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def pairs(self) -> NDArray[np.int64]:
        """Each query with each of its relevant items, of shape (pairs, 2)."""
        found = [(query, item) for query, grades in enumerate(self.grades) for item in sorted(grades)]
        return np.asarray(found, dtype=np.int64).reshape(-1, 2)

    def first(self, most: int) -> Judged:
        """At most so many queries, evenly spread: the same ones every time."""
        chosen = np.linspace(0, len(self) - 1, min(len(self), most)).round().astype(int).tolist()
        return Judged(
            tuple(self.ids[row] for row in chosen),
            tuple(self.queries[row] for row in chosen),
            tuple(self.grades[row] for row in chosen),
        )


def judged(request: PairRequest) -> tuple[Judged, Judged]:
    """The training and the validation queries of a request that can be trained on.

    Raises:
        TrainingError: too few queries with a relevant item, items that the catalogue lacks, or queries of
            both sides.
    """
    items = request.items.get_column("item_id")
    if items.n_unique() != items.len():
        raise refused("the same item_id on more than one row of the items", "one row an item")
    both = set(request.train.get_column("query_id")) & set(request.validation.get_column("query_id"))
    if both:
        raise refused(f"{len(both)} queries in training and validation alike", "a query on one side only")
    place = {item: row for row, item in enumerate(items)}
    return _side(request.train, place, "training", _LEAST), _side(request.validation, place, "validation", 1)


def _side(frame: pl.DataFrame, place: dict[str, int], name: str, least: int) -> Judged:
    unknown = sorted(set(frame.get_column("item_id")) - place.keys(), key=str)
    if unknown:
        raise refused(
            f"{name} judgments of {len(unknown)} unknown items: {unknown[:3]}", "items of the snapshot"
        )
    texts: dict[str, str] = {}
    grades: dict[str, dict[int, float]] = {}
    relevant = frame.filter(pl.col("grade") > 0).select("query_id", "query", "item_id", "grade")
    for query_id, query, item, grade in relevant.iter_rows():
        texts.setdefault(query_id, query)
        grades.setdefault(query_id, {})[place[item]] = float(grade)
    if len(texts) < least:
        raise refused(f"{len(texts)} {name} queries with a relevant item", f"at least {least}")
    return Judged(tuple(texts), tuple(texts.values()), tuple(grades.values()))


class Candidate(NamedTuple):
    """What is offered for a query: a text, and how near it is by the adapter that drew it."""

    text: str
    similarity: float


class Shortlists:
    """Queries, and for each the first `depth` items that the adapter drew, best first, as row numbers.

    `similarities` are by the adapter, in the order of `candidates`.
    """

    def __init__(self, request: PairRequest, queries: Judged, depth: int) -> None:
        """Raises TrainingError: no candidates at all, none for a query, or items that the catalogue lacks."""
        self.queries = queries
        drawn = _drawn(request, queries, depth)
        self.candidates = [[item for item, _ in row] for row in drawn]
        self.similarities = [[near for _, near in row] for row in drawn]
        self.texts: list[str] = request.items.get_column("text").to_list()

    def asked(self) -> list[tuple[str, list[Candidate]]]:
        """Each query with its candidates, in their order."""
        pairs = zip(self.queries.queries, range(len(self.queries)), strict=True)
        return [(query, self.offered(row, range(len(self.candidates[row])))) for query, row in pairs]

    def offered(self, row: int, places: Iterable[int]) -> list[Candidate]:
        """The candidates at these places of a query's list."""
        items, near = self.candidates[row], self.similarities[row]
        return [Candidate(self.texts[items[place]], near[place]) for place in places]

    def relevant(self, row: int) -> NDArray[np.float64]:
        """The grade of each candidate of a query; 0 where it is not relevant or not judged."""
        grades = self.queries.grades[row]
        return np.asarray([grades.get(item, 0.0) for item in self.candidates[row]])

    def reranked(self, scores: Sequence[NDArray[np.float32]]) -> list[list[int]]:
        """The candidates by falling score; of equal ones the adapter's order."""
        pairs = zip(self.candidates, scores, strict=True)
        return [[items[place] for place in np.argsort(-row, kind="stable")] for items, row in pairs]


def _drawn(request: PairRequest, queries: Judged, depth: int) -> list[list[tuple[int, float]]]:
    if request.candidates is None or request.candidates_from is None:
        raise refused(
            "no candidates, or nothing that says which adapter drew them",
            "the candidates of every query, drawn by a registered version of an embedding adapter",
            "register an adapter, and draw each query's nearest items with that version",
        )
    if "similarity" not in request.candidates.columns:
        raise refused(
            f"candidates without a similarity, only {', '.join(request.candidates.columns)}",
            "query_id, item_id, rank and similarity",
            "draw the candidates with `draw_candidates`",
        )
    place = {item: row for row, item in enumerate(request.items.get_column("item_id"))}
    unknown = sorted(set(request.candidates.get_column("item_id")) - place.keys(), key=str)
    if unknown:
        raise refused(
            f"{len(unknown)} unknown items among the candidates: {unknown[:3]}", "items of the snapshot"
        )
    near = request.candidates.filter(pl.col("rank") <= depth).sort("query_id", "rank", "item_id")
    found: dict[str, list[tuple[int, float]]] = {query: [] for query in queries.ids}
    for query_id, item, similarity in near.select("query_id", "item_id", "similarity").iter_rows():
        if query_id in found:
            found[query_id].append((place[item], similarity))
    lacking = [query for query, items in found.items() if not items]
    if lacking:
        raise refused(
            f"no candidates for {len(lacking)} of {len(found)} queries: {lacking[:3]}",
            f"candidates of every query, drawn by {request.candidates_from.version}",
            "draw the candidates anew for exactly this snapshot's queries",
        )
    return list(found.values())


def refused(found: str, accepted: str, next_step: str = "see `mangaops data show`") -> TrainingError:
    """The error of rows that cannot be trained on."""
    return TrainingError(
        "training was refused before it began", found=found, accepted=accepted, next_step=next_step
    )


def recall_and_ndcg(ranked: Sequence[Sequence[int]], queries: Judged, top: int) -> tuple[float, float]:
    """Mean recall and NDCG in the first `top` of each ranking; (-1, -1) without queries."""
    rows = recalls_and_ndcgs(ranked, queries, top)
    return (float(rows[0].mean()), float(rows[1].mean())) if rows.size else (-1.0, -1.0)


def recalls_and_ndcgs(ranked: Sequence[Sequence[int]], queries: Judged, top: int) -> NDArray[np.float64]:
    """Recall and NDCG in the first `top` of each ranking, of shape (2, queries).

    As the metrics `recall@k` and `ndcg@k`: recall is of all relevant items, gains are the grades themselves.

    Source: Järvelin and Kekäläinen 2002, Cumulated Gain-Based Evaluation of IR Techniques, section 2.2.
    """
    rows = np.empty((2, len(queries)))
    discount = 1.0 / np.log2(np.arange(2, top + 2))
    for at, (items, grades) in enumerate(zip(ranked, queries.grades, strict=True)):
        found = np.asarray([grades.get(item, 0.0) for item in items[:top]])
        ideal = np.sort(np.asarray(list(grades.values())))[::-1][:top]
        rows[0, at] = (found > 0).sum() / len(grades)
        rows[1, at] = (found * discount[: len(found)]).sum() / (ideal * discount[: len(ideal)]).sum()
    return rows
