"""What evidence of lists and of an index may not say of itself: an item twice, a place left out, no share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from mangaops.evidence.envelope import Evidence, Table
from mangaops.vocabulary import NO_MODEL, Cell, Side, Stage

TRAFFIC = ("head", "tail")
INDEX_KINDS = ("exact", "lists")
_LIST = ("stage", "side", "query_id")
_NEVER_NULL = {
    "queries": ("query_id", "group", "text", "weight", "words"),
    "ranked": ("query_id", "stage", "side", "rank", "item_id", "new_title"),
    "judgments": ("query_id", "item_id", "grade", "new_title"),
}


def contradictions(evidence: Evidence) -> list[str]:
    """Everything that complete ranking evidence says and cannot mean, in words; empty where it is sound."""
    queries, ranked, judgments = (evidence.tables[name] for name in _NEVER_NULL)
    found = [says for name, columns in _NEVER_NULL.items() for says in _nulls(name, evidence, columns)]
    if found:
        return found
    return [
        *_facts(evidence),
        *_doubled("queries", queries, ("query_id",)),
        *_doubled("ranked", ranked, (*_LIST, "item_id")),
        *_doubled("judgments", judgments, ("query_id", "item_id")),
        *_queries(queries),
        *_strangers("ranked", ranked, queries),
        *_strangers("judgments", judgments, queries),
        *_gaps(ranked),
        *_unmeasured(evidence, ranked),
        *_grades(judgments),
    ]


def _nulls(name: str, evidence: Evidence, columns: tuple[str, ...]) -> Iterator[str]:
    frame = evidence.tables[name]
    for column in columns:
        if count := frame.get_column(column).null_count():
            yield f"{count} rows of {name} without {column}"


def _facts(evidence: Evidence) -> Iterator[str]:
    """Depth, cells and models name stages, cells, sides and models as the house does."""
    depth, cells, models = (evidence.facts[name] for name in ("depth", "cells", "models"))
    items = evidence.facts["catalogue_items"]
    if not (isinstance(items, int) and items >= 1):
        yield f"a catalogue of {items!r} items"
    if set(depth) != set(cells) or not set(cells) <= set(Stage):
        yield f"lists of the stages {sorted(cells)}, and a depth for {sorted(depth)}"
    for stage, places in depth.items():
        if not (isinstance(places, int) and places >= 1):
            yield f"a depth of {places!r} places for {stage}"
    for stage, named in cells.items():
        if not set(Side) <= set(named) <= set(Cell):
            yield f"lists of {stage} by {', '.join(named) or 'nobody'}, not by baseline, release and crosses"
    if set(models) != set(Side) or any(set(pair) != {"adapter", "reranker"} for pair in models.values()):
        yield "models other than an adapter and a reranker of baseline and release"
    elif models[Side.BASELINE]["adapter"] == NO_MODEL:
        yield from _of_no_pair(cells)


def _of_no_pair(cells: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Lists that need a model which a baseline that is no pair does not have."""
    if Stage.RERANKER in cells:
        yield "lists of reranker on the candidates of a baseline that has no adapter"
    for stage, named in cells.items():
        if crosses := [cell for cell in named if cell not in set(Side)]:
            yield f"lists of {stage} by {', '.join(crosses)}, with a baseline that is no pair"


def _doubled(name: str, frame: Table, key: tuple[str, ...]) -> Iterator[str]:
    again = frame.filter(frame.select(key).is_duplicated()).select(key)
    if again.height:
        yield f"{name} with {', '.join(map(str, again.row(0)))} more than once"


def _queries(queries: Table) -> Iterator[str]:
    weight = queries.get_column("weight")
    if not (weight.is_finite() & (weight >= 0)).all():
        yield "queries of a weight that is negative or no number"
    if not queries.get_column("traffic").drop_nulls().is_in(TRAFFIC).all():
        yield f"queries of traffic other than {' and '.join(TRAFFIC)}"


def _strangers(name: str, frame: Table, queries: Table) -> Iterator[str]:
    strange = frame.join(queries, on="query_id", how="anti")
    if strange.height:
        yield f"{name} of {strange.get_column('query_id')[0]}, which is no query"


def _gaps(ranked: Table) -> Iterator[str]:
    """Ranks of each list are 1, 2, 3 ... without a gap or a place taken twice."""
    lists = ranked.group_by(_LIST, maintain_order=True).agg(
        first=pl.col("rank").min(), last=pl.col("rank").max(), places=pl.col("rank").n_unique(), rows=pl.len()
    )
    sound = (pl.col("first") == 1) & (pl.col("last") == pl.col("rows")) & (pl.col("places") == pl.col("rows"))
    broken = lists.filter(~sound)
    if broken.height:
        stage, side, query = broken.row(0)[:3]
        yield f"ranks that do not count from 1 in the {stage} list of {side} for {query}"


def _unmeasured(evidence: Evidence, ranked: Table) -> Iterator[str]:
    """Rows of lists that the facts do not name, or below the depth that they name."""
    cells, depth = evidence.facts["cells"], evidence.facts["depth"]
    for stage, side, last in (
        ranked.group_by("stage", "side").agg(pl.col("rank").max()).sort("stage", "side").rows()
    ):
        if side not in cells.get(stage, ()):
            yield f"a list of {side} at {stage}, which the facts do not name"
        elif last > depth.get(stage, last):
            yield f"a list of {side} at {stage} with {last} places, deeper than {depth[stage]}"


def _grades(judgments: Table) -> Iterator[str]:
    grade = judgments.get_column("grade")
    if not (grade.is_finite() & (grade >= 0)).all():
        yield "grades that are negative or no number"


def of_index(evidence: Evidence) -> list[str]:
    """Everything that complete index evidence says and cannot mean, in words; empty where it is sound."""
    recalls, facts = evidence.tables["recalls"], evidence.facts
    found = [
        f"{count} rows of recalls without {column}"
        for column in recalls.columns
        if (count := recalls.get_column(column).null_count())
    ]
    if found:
        return found
    share, weight = recalls.get_column("recall"), recalls.get_column("weight")
    if not (share.is_finite() & (share >= 0) & (share <= 1)).all():
        found.append("a recall that is no share")
    if not (weight.is_finite() & (weight >= 0)).all():
        found.append("queries of a weight that is negative or no number")
    if facts["kind"] not in INDEX_KINDS:
        found.append(f"an index of kind {facts['kind']!r}, not {' or '.join(INDEX_KINDS)}")
    return [*found, *_doubled("recalls", recalls, ("query_id",))]
