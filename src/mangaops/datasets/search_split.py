"""Which split a query and a search belong to: no query, user or session is in two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mangaops.datasets.groups import grouped, hashed_split
from mangaops.datasets.near import nearest
from mangaops.datasets.text import tokens, with_norm
from mangaops.vocabulary import Split

if TYPE_CHECKING:
    from mangaops.datasets.source import Progress
    from mangaops.stack import SearchDataSpec

HEAD, TAIL = "head", "tail"
_ABOVE: Final = {Split.VALIDATION: (Split.GOLDEN,), Split.TRAIN: (Split.GOLDEN, Split.VALIDATION)}


def same_words(query: str) -> str:
    """What two queries share that say the same words, in whatever order, case and number.

    A query without any word (an emoji) is known by its characters.
    """
    return " ".join(sorted(set(tokens(query) or query.split())))


def with_group(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `group`: equal where their `query` has the same words."""
    names = {
        query: f"q-{hashlib.sha256(same_words(query).encode()).hexdigest()[:16]}"
        for query in rows.get_column("query").unique()
    }
    return rows.with_columns(group=pl.col("query").replace_strict(names, return_dtype=pl.String))


def split_queries(
    queries: pl.DataFrame,
    spec: SearchDataSpec,
    key: str,
    frozen: Mapping[str, str],
    progress: Progress | None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The queries with `split`, without those of a lower split that share words with a higher one; what was
    dropped, by reason.

    `queries`: query_id, query, group, and `split` where the judgments bring their own. `frozen`: the split of
    groups that had one in the version before.
    """
    shares = {split: getattr(spec.splits, split.value) for split in Split}
    own = queries.get_column("split").null_count() < queries.height
    hashed = queries.get_column("split") if own else hashed_split(queries.get_column("group"), shares, key)
    known = queries.get_column("group").replace_strict(dict(frozen), default=None, return_dtype=pl.String)
    split = known.is_not_null()
    placed = queries.with_columns(split=known.zip_with(split, hashed))
    dropped: dict[str, int] = {}
    for lower, above in _ABOVE.items():
        part = placed.filter(pl.col("split") == lower)
        higher = placed.filter(pl.col("split").is_in(above))
        for reason, shared in conflicts(part, higher, spec.near_at, progress).items():
            dropped[f"{reason} ({lower})"] = shared.len()
            placed = placed.filter(~((pl.col("split") == lower) & pl.col("query_id").is_in(shared.implode())))
    return placed, {reason: count for reason, count in dropped.items() if count}


def conflicts(
    lower: pl.DataFrame, higher: pl.DataFrame, near_at: float, progress: Progress | None = None
) -> dict[str, pl.Series]:
    """`query_id`s of `lower` that are also asked in `higher`: with the same words, or nearly so."""
    same = lower.filter(pl.col("group").is_in(higher.get_column("group").implode()))
    rest = _normed(lower.join(same, on="query_id", how="anti"))
    others = sorted(set(_normed(higher).get_column("norm")))
    close = nearest(sorted(set(rest.get_column("norm"))), others, near_at, progress).get_column("left")
    near = rest.filter(pl.col("norm").is_in(close.implode()))
    return {"same query": same.get_column("query_id"), "near query": near.get_column("query_id")}


def split_searches(searches: pl.DataFrame, spec: SearchDataSpec, key: str) -> pl.DataFrame:
    """The rows with `split`, equal for all that users and sessions join, directly or through others."""
    named = grouped(
        searches.with_columns(row_id="search_id", conversation_id="session_id").with_columns("user_id"),
        key,
    )
    shares = {split: getattr(spec.splits, split.value) for split in Split}
    split = hashed_split(named.get_column("group"), shares, key)
    return searches.with_columns(split=split)


def traffic(searches: pl.DataFrame, head_share: float) -> pl.DataFrame:
    """`group, searches, traffic` of every query that was searched for: the most frequent ones that together
    make up `head_share` of all searches are the head. Ties are broken by group.
    """
    counts = (
        with_group(searches.select("search_id", "query").unique("search_id"))
        .group_by("group")
        .agg(searches=pl.len().cast(pl.Int64))
        .sort("searches", "group", descending=[True, False])
    )
    before = pl.col("searches").cum_sum() - pl.col("searches")
    head = before < head_share * pl.col("searches").sum()
    return counts.with_columns(traffic=pl.when(head).then(pl.lit(HEAD)).otherwise(pl.lit(TAIL)))


def weights(golden: pl.DataFrame, searched: pl.DataFrame) -> pl.Series:
    """A weight of mean 1 for each golden query that takes head and tail back to their shares of the searches.

    `golden` has `traffic`; a query that nobody searched for counts as tail. 1 where there are no logs.
    """
    if searched.is_empty() or golden.is_empty():
        return pl.Series("weight", [1.0] * golden.height, dtype=pl.Float64)
    part = golden.get_column("traffic").fill_null(TAIL)
    total = float(searched.get_column("searches").sum())
    share: dict[Any, float] = {
        name: float(searched.filter(pl.col("traffic") == name).get_column("searches").sum()) / total
        for name in (HEAD, TAIL)
    }
    rows = {name: int((part == name).sum()) for name in (HEAD, TAIL)}
    covered = sum(share[name] for name, count in rows.items() if count) or 1.0
    each = {
        name: round(share[name] / covered * golden.height / count, 12)
        for name, count in rows.items()
        if count
    }
    return part.replace_strict(each, return_dtype=pl.Float64).rename("weight")


def _normed(queries: pl.DataFrame) -> pl.DataFrame:
    return with_norm(queries.with_columns(text="query"))
