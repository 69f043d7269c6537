"""Ranked lists as ranking evidence holds them, for the tests of several rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mangaops.evidence import TABLES, Binding, Evidence
from mangaops.vocabulary import Cell, EvidenceKind, Side, Stage

BINDING = Binding("retrieval", "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64)
Run = Mapping[str, Sequence[str]]
Grades = Mapping[str, Mapping[str, float]]

BOTH_NEW = {
    "baseline": {"adapter": "adapter@v1", "reranker": "reranker@v1"},
    "release": {"adapter": "adapter@v2", "reranker": "reranker@v2"},
}


def models(**release: str) -> dict[str, dict[str, str]]:
    """Models of both sides, where the release has those of the baseline but for what is named."""
    old = BOTH_NEW["baseline"]
    return {"baseline": old, "release": {**old, **release}}


def frame(table: str, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows as a table of ranking evidence."""
    return pl.DataFrame(rows, schema=dict(TABLES[EvidenceKind.RANKING][table]), orient="row")


def ranking(
    runs: Mapping[tuple[Stage, Cell], Run],
    grades: Grades,
    *,
    queries: Mapping[str, Mapping[str, Any]] | None = None,
    binding: Binding = BINDING,
    new: Sequence[str] = (),
    **facts: Any,
) -> Evidence:
    """Evidence of these lists; every query of `queries`, else of any run or grade, is asked.

    `queries` may say group, weight, language, words and traffic of a query.
    """
    asked = queries or {query: {} for query in sorted({*grades, *(q for run in runs.values() for q in run)})}
    plain = {"group": None, "text": "text", "weight": 1.0, "language": "en", "words": 2, "traffic": "head"}
    rows = [{**plain, "query_id": name, **said} for name, said in asked.items()]
    for row in rows:
        row["group"] = row["group"] or f"group of {row['query_id']}"
    schema = TABLES[EvidenceKind.RANKING]["queries"]
    ranked = [
        (query, str(stage), str(cell), rank, item, 1.0 / rank, item in new)
        for (stage, cell), run in runs.items()
        for query, items in run.items()
        for rank, item in enumerate(items, start=1)
    ]
    judged = [(query, item, grade, item in new) for query, of in grades.items() for item, grade in of.items()]
    named = {str(stage): [str(cell) for at, cell in runs if at is stage] for stage, _ in runs}
    told = {
        "dataset_version": "query-data-2026-04-20",
        "golden_judgements": 1,
        "catalogue": "sha256:" + "e" * 64,
        "catalogue_items": 100,
        "depth": dict.fromkeys(named, 50),
        "cells": named,
        "models": BOTH_NEW,
    }
    tables = {
        "queries": pl.DataFrame(rows, schema=schema),
        "ranked": frame("ranked", ranked),
        "judgments": frame("judgments", judged),
    }
    return Evidence(EvidenceKind.RANKING, binding, {**told, **facts}, tables)


def searched(baseline: Run, release: Run, grades: Grades, **more: Any) -> Evidence:
    """Evidence of what two releases found, at the stage `search`."""
    sides = {(Stage.SEARCH, Cell(side)): run for side, run in zip(Side, (baseline, release), strict=True)}
    return ranking(sides, grades, **more)


def found_at(places: Sequence[int | None]) -> dict[str, list[str]]:
    """A list of ten a query with its relevant item at this place, behind and before irrelevant ones."""
    filler = [f"x{number}" for number in range(10)]
    lists = [
        filler[:10] if at is None else [*filler[: at - 1], "right", *filler[at - 1 : 9]] for at in places
    ]
    return {f"q{number}": items for number, items in enumerate(lists)}


def four_searches(
    baseline: Sequence[int | None],
    new_adapter: Sequence[int | None],
    new_reranker: Sequence[int | None],
    release: Sequence[int | None],
    *,
    queries: int | None = None,
    groups: Sequence[int] | None = None,
    **more: Any,
) -> Evidence:
    """Evidence of the search by all four pairs: the place of each query's relevant item, all judged.

    With `queries` the places are repeated in turn for so many.
    """
    cells = (Cell.BASELINE, Cell.NEW_ADAPTER, Cell.NEW_RERANKER, Cell.RELEASE)
    count = queries or len(release)
    named = zip(cells, (baseline, new_adapter, new_reranker, release), strict=True)
    runs = {
        (Stage.SEARCH, cell): found_at([places[at % len(places)] for at in range(count)])
        for cell, places in named
    }
    grades = {f"q{at}": {"right": 1.0, **{f"x{number}": 0.0 for number in range(10)}} for at in range(count)}
    asked = {f"q{at}": {"group": f"group-{groups[at] if groups is not None else at}"} for at in range(count)}
    return ranking(runs, grades, queries=asked, **more)
