"""What the golden queries may not share with training, and what held-out searches may not: their users.

Golden queries are judged by people, so that what could give them away is the query itself: asked in the very
words, in the same words in another order, or nearly so, among the judged queries or the searches that a side
learnt from. Users and sessions are looked for among the searches of one version: what a side learnt from
against what that same version holds out. A later version may place a user elsewhere, and gives nothing away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mangaops.datasets.near import nearest
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.datasets.search_split import with_group
from mangaops.datasets.source import Progress
from mangaops.datasets.text import with_norm
from mangaops.vocabulary import Side, Split

if TYPE_CHECKING:
    from mangaops.stack import SearchDataSpec

CHECKS: Final = ("query", "same_words", "near_query", "user", "session")
"""The kinds of conflict, in the order in which they are looked for."""

_PAIRS: Final = {"check": pl.String, "row_id": pl.String, "training_row_id": pl.String}


def compare_search(
    golden: SearchSnapshot,
    training: Mapping[Side, SearchSnapshot],
    spec: SearchDataSpec,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Facts and conflicts of leakage evidence: the golden queries against what each side was trained on.

    Queries and searches to train on and those to stop on both count as training. `row_id` is a golden query,
    or a held-out search; `training_row_id` a query or a search. A golden query is in one conflict a side.
    `facts["checks"]` counts conflicts by side and check.
    """
    asked = _told(golden.golden.select("query_id", "query"))
    found: dict[str, pl.DataFrame] = {}
    for snapshot in training.values():
        if snapshot.digest not in found:
            found[snapshot.digest] = shared_with(asked, snapshot, spec.near_at, progress)
    frames = {str(side): found[snapshot.digest] for side, snapshot in training.items()}
    facts = {
        "checks": {side: _counted(frame) for side, frame in frames.items()},
        "rows": asked.height,
        "training_rows": {str(side): _learnt(snapshot).height for side, snapshot in training.items()},
        "datasets": {str(side): snapshot.digest for side, snapshot in training.items()},
        "distinctive_under": None,
        "near_at": spec.near_at,
    }
    listed = [
        frame.select("check", pl.lit(side).alias("side"), "row_id", "training_row_id")
        for side, frame in frames.items()
    ]
    empty = pl.DataFrame(schema=_PAIRS).select("check", pl.lit("").alias("side"), "row_id", "training_row_id")
    return facts, pl.concat([empty.clear(), *listed]).sort("side", "check", "row_id")


def with_others(snapshot: SearchSnapshot, others: Sequence[SearchSnapshot]) -> SearchSnapshot:
    """The version with the queries and searches of other versions: what models of one release learnt from.

    A query that one of them trained on counts as trained on. Its digest is over theirs.
    """
    if not others:
        return snapshot
    every = (snapshot, *others)
    digest = hashlib.sha256("\n".join(sorted(each.digest for each in every)).encode()).hexdigest()
    trained_first = pl.col("split") == Split.GOLDEN
    queries, searches = (
        pl.concat([getattr(each, name) for each in every]).sort(trained_first, maintain_order=True)
        for name in ("queries", "searches")
    )
    return replace(
        snapshot,
        digest=f"sha256:{digest}",
        queries=queries.unique("query_id", keep="first", maintain_order=True),
        searches=searches.unique(["search_id", "rank"], keep="first", maintain_order=True),
    )


def shared_with(
    asked: pl.DataFrame, training: SearchSnapshot, near_at: float, progress: Progress | None = None
) -> pl.DataFrame:
    """The conflicts of golden queries with a version that was learnt from, and those within its searches.

    `asked`: row_id, norm, group. Columns `check, row_id, training_row_id`.
    """
    learnt = _told(_learnt(training).rename({"row_id": "query_id"}))
    exact = _shared(asked, learnt, "norm", "query")
    rest = asked.join(exact, on="row_id", how="anti")
    same = _shared(rest, learnt, "group", "same_words")
    rest = rest.join(same, on="row_id", how="anti")
    open_, known = (sorted(set(frame.get_column("norm"))) for frame in (rest, learnt))
    close = nearest(open_, known, near_at, progress)
    nearly = rest.join(close, left_on="norm", right_on="left").drop("norm").rename({"right": "norm"})
    near = _shared(nearly, learnt, "norm", "near_query")
    return pl.concat([exact, same, near, *_held_out(training)])


def _learnt(training: SearchSnapshot) -> pl.DataFrame:
    """`row_id, query` of each judged query and each search to train or to stop on."""
    queries = training.queries.filter(pl.col("split") != Split.GOLDEN)
    searches = training.searches.filter(pl.col("split") != Split.GOLDEN).unique("search_id").sort("search_id")
    return pl.concat(
        [queries.select(row_id="query_id", query="query"), searches.select(row_id="search_id", query="query")]
    )


def _held_out(training: SearchSnapshot) -> list[pl.DataFrame]:
    """A conflict for each held-out search whose user or session is among those that were learnt from."""
    searches = training.searches.unique("search_id").sort("search_id").rename({"search_id": "row_id"})
    held = searches.filter(pl.col("split") == Split.GOLDEN)
    learnt = searches.filter(pl.col("split") != Split.GOLDEN)
    return [_shared(held, learnt, f"{check}_id", check) for check in ("user", "session")]


def _told(queries: pl.DataFrame) -> pl.DataFrame:
    """`row_id, norm, group` of the queries."""
    told = with_group(with_norm(queries.with_columns(text="query")))
    return told.select(row_id="query_id", norm="norm", group="group")


def _shared(rows: pl.DataFrame, others: pl.DataFrame, key: str, check: str) -> pl.DataFrame:
    """A conflict for each of `rows` whose key is among `others`, with the first of these."""
    first = others.drop_nulls(key).group_by(key).agg(training_row_id=pl.col("row_id").min())
    joined = rows.drop_nulls(key).join(first, on=key, how="inner", maintain_order="left")
    return joined.select(pl.lit(check).alias("check"), "row_id", "training_row_id")


def _counted(conflicts: pl.DataFrame) -> dict[str, int]:
    counts = conflicts.get_column("check").value_counts()
    return dict.fromkeys(CHECKS, 0) | {str(name): int(n) for name, n in counts.iter_rows()}
