"""A plausible search that was trained twice: lists for `mangaops stack check` before any was measured.

Every candidate has a score of the adapter and one of the reranker: what relevance adds, and noise. Both
trainings share most of the noise, for they learn from nearly the same data; the rest is each training's own.
A reranker orders the candidates that the adapter puts first, and adds its score to the adapter's. So places,
overlap, stages and all metrics hang together as in a real search (docs/adr/0096).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import TABLES, Evidence
from mangaops.release.listed import PLACES
from mangaops.release.pairs import MODELS
from mangaops.release.stack_evidence import BINDING, groups_of
from mangaops.vocabulary import Cell, EvidenceKind, Side, Stage

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

CANDIDATES: Final = 40
DEPTH: Final = 20
RELEVANT: Final = 3.0
"""Mean relevant items a query, one at least."""

COMMON: Final = 0.88
"""The share of a score's variance, relevance apart, that two trainings have in common."""

LEANS: Final = 2.0
"""How much the adapter's score counts beside the reranker's."""

_SIGNAL: Final = {"adapter": 2.4, "reranker": 2.0}
_SIDES: Final = (0, 1)
_PAIRS: Final = {
    Cell.BASELINE: (0, 0),
    Cell.NEW_ADAPTER: (1, 0),
    Cell.NEW_RERANKER: (0, 1),
    Cell.RELEASE: (1, 1),
}


def drawn_lists(queries: int, per_group: float, rng: np.random.Generator) -> Evidence:
    """Ranking evidence of two trainings of a pair, and both crosses, on so many queries, all judged."""
    count = np.minimum(1 + rng.poisson(RELEVANT - 1.0, queries), CANDIDATES)
    relevant = np.arange(CANDIDATES) < count[:, None]
    scores = _scores(relevant, rng)
    found = [np.argsort(-scores["adapter"][side], axis=1) for side in _SIDES]
    searched = {
        cell: _reranked(found[first], LEANS * scores["adapter"][first] + scores["reranker"][second])
        for cell, (first, second) in _PAIRS.items()
    }
    lists = {
        **{(Stage.ADAPTER, cell): found[cell is Cell.RELEASE] for cell in (Cell.BASELINE, Cell.RELEASE)},
        (Stage.RERANKER, Cell.BASELINE): searched[Cell.BASELINE],
        (Stage.RERANKER, Cell.RELEASE): searched[Cell.NEW_RERANKER],
        **{(Stage.SEARCH, cell): order for cell, order in searched.items()},
    }
    shown = np.zeros_like(relevant)
    for order in lists.values():
        np.put_along_axis(shown, order[:, :PLACES], True, axis=1)
    tables = {
        "queries": _queries(queries, per_group, rng),
        "ranked": pl.concat(_list(stage, cell, order) for (stage, cell), order in lists.items()),
        "judgments": _judgments(relevant, shown),
    }
    return Evidence(EvidenceKind.RANKING, BINDING, _facts(lists), tables)


def _scores(relevant: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, list[Floats]]:
    """Each model's scores by both trainings; half of what trainings share, adapter and reranker share too."""

    def noise() -> Floats:
        return rng.normal(size=relevant.shape)

    text = noise()
    found = {}
    for model in MODELS:
        shared = np.sqrt(COMMON / 2.0) * (text + noise())
        own = [np.sqrt(1.0 - COMMON) * noise() for _ in _SIDES]
        found[model] = [_SIGNAL[model] * relevant + shared + each for each in own]
    return found


def _reranked(found: Codes, scores: Floats) -> Codes:
    """The first candidates, in the order of the reranker's scores."""
    first = found[:, :DEPTH]
    order = np.argsort(-np.take_along_axis(scores, first, axis=1), axis=1)
    return np.take_along_axis(first, order, axis=1)


def _queries(queries: int, per_group: float, rng: np.random.Generator) -> pl.DataFrame:
    number = pl.Series(np.arange(queries)).cast(pl.String)
    group = pl.Series(groups_of(queries, per_group, rng)).cast(pl.String)
    frame = pl.DataFrame({"query_id": number, "group": group, "text": "q" + number})
    said = frame.with_columns(weight=1.0, language=pl.lit("en"), words=2, traffic=None)
    return said.cast(pl.Schema(TABLES[EvidenceKind.RANKING]["queries"]))


def _list(stage: Stage, cell: Cell, order: Codes) -> pl.DataFrame:
    queries = order.shape[0]
    frame = pl.DataFrame(
        {
            "query_id": np.arange(queries).repeat(PLACES),
            "stage": pl.repeat(str(stage), queries * PLACES, eager=True),
            "side": pl.repeat(str(cell), queries * PLACES, eager=True),
            "rank": np.tile(np.arange(1, PLACES + 1), queries),
            "item_id": order[:, :PLACES].ravel(),
        }
    )
    scored = frame.with_columns(score=1.0 / pl.col("rank"), new_title=pl.lit(False))
    return scored.cast(pl.Schema(TABLES[EvidenceKind.RANKING]["ranked"]))


def _judgments(relevant: NDArray[np.bool_], shown: NDArray[np.bool_]) -> pl.DataFrame:
    """A grade for whatever is relevant or shown."""
    query, item = np.nonzero(relevant | shown)
    frame = pl.DataFrame({"query_id": query, "item_id": item, "grade": relevant[query, item]})
    graded = frame.with_columns(new_title=pl.lit(False))
    return graded.cast(pl.Schema(TABLES[EvidenceKind.RANKING]["judgments"]))


def _facts(lists: dict[tuple[Stage, Cell], Codes]) -> dict[str, object]:
    stages = list(dict.fromkeys(stage for stage, _ in lists))
    models = {str(side): {model: f"{model} of {side}" for model in MODELS} for side in Side}
    return {
        "dataset_version": "simulated",
        "golden_judgements": 1,
        "catalogue": "simulated",
        "catalogue_items": CANDIDATES,
        "depth": dict.fromkeys(map(str, stages), PLACES),
        "cells": {str(stage): [str(cell) for at, cell in lists if at is stage] for stage in stages},
        "models": models,
    }
