"""A version of search data: a catalogue, judged queries with their splits, and the searches to train on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mangaops.datasets import personal
from mangaops.datasets.search_data import ITEMS, Collected, SearchData
from mangaops.datasets.search_report import known_judgments, validate_search
from mangaops.datasets.search_split import (
    conflicts,
    split_queries,
    split_searches,
    traffic,
    weights,
    with_group,
)
from mangaops.datasets.source import Progress
from mangaops.datasets.text import language, with_norm
from mangaops.datasets.validation import ValidationReport
from mangaops.errors import InputError, UsageError
from mangaops.evidence.envelope import table_digest, tables_digest
from mangaops.vocabulary import Digest, Split

if TYPE_CHECKING:
    from mangaops.stack import SearchDataSpec

TABLES: Final = ("items", "queries", "judgments", "searches")

QUERIES: Final = [
    "query_id",
    "query",
    "group",
    "split",
    "golden",
    "weight",
    "language",
    "words",
    "traffic",
]
SEARCHES: Final = [
    "search_id",
    "query",
    "user_id",
    "session_id",
    "at",
    "item_id",
    "rank",
    "clicked",
    "bought",
    "split",
]


@dataclass(frozen=True)
class SearchSnapshot:
    """An immutable version of search data; every table is sorted by its ids.

    `items`: the columns of a catalogue. `queries`: query_id, query, group, split, golden, weight (of mean 1
    over golden ones, which takes head and tail back to the traffic), language, words, traffic ("head",
    "tail", or null where nobody searched for it). `judgments`: query_id, item_id, grade, over 0 where
    relevant; those of golden queries stay when an item leaves the catalogue. `searches`: the logs, of no
    golden query. `digest` is that of the tables.
    """

    name: str
    digest: Digest
    manifest: Mapping[str, Any]
    items: pl.DataFrame
    queries: pl.DataFrame
    judgments: pl.DataFrame
    searches: pl.DataFrame

    def judged(self, split: Split) -> pl.DataFrame:
        """query_id, query, item_id, grade of the queries of a split; of golden ones the frozen set alone."""
        mine = pl.col("golden") if split is Split.GOLDEN else pl.col("split") == split
        asked = self.queries.filter(mine).select("query_id", "query")
        return asked.join(self.judgments, on="query_id", how="inner", maintain_order="left_right")

    @property
    def golden(self) -> pl.DataFrame:
        """The frozen golden queries."""
        return self.queries.filter("golden")

    @property
    def golden_digest(self) -> Digest:
        """Digest of the golden set: of its queries with their weights, and of what was judged of them."""
        return _golden_digest(self.queries, self.judgments)

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables by name, as they are stored."""
        return {name: getattr(self, name) for name in TABLES}


@dataclass
class _Making:
    data: SearchData
    spec: SearchDataSpec
    name: str
    previous: SearchSnapshot | None
    dropped: dict[str, int] = field(default_factory=dict)


def search_snapshot(
    data: SearchData,
    spec: SearchDataSpec,
    *,
    name: str,
    previous: SearchSnapshot | None = None,
    at: date | None = None,
    versions: Mapping[str, Digest] | None = None,
    grow_golden: bool = False,
    progress: Progress | None = None,
) -> SearchSnapshot:
    """The version of this data; `previous` itself where every table is the same.

    `name` is the key under `data:`; the version is dated by the newest search, else by `at`. The golden
    queries of `previous` stay golden, with their weights and their judgments as they were, unless
    `grow_golden`: then what was judged of them since is added, as rules that find too little judged ask for.
    A query that was trained on never becomes golden.

    Raises:
        InputError: the validation report has errors, or a split has no query with a relevant item.
        UsageError: neither a search nor `at` dates the version.
    """
    report = validate_search(data, spec)
    if report.errors:
        raise InputError(
            f"the search data for {name} was refused by validation",
            found="\n    ".join(("", *report.errors)),
            next_step="mend the data, or stack.yaml where it is wrong",
        )
    if spec.mask_personal_data:
        data = SearchData(data.items, _masked(data.judgments), _masked(data.searches))
    making = _Making(data, spec, name, previous)
    judgments = _frozen_judgments(making, known_judgments(data, spec), grow=grow_golden)
    queries = _queries(making, judgments, progress)
    searches = _searches(making, queries, progress)
    tables = {
        "items": data.items.rows.select(*ITEMS).sort("item_id"),
        "queries": queries.select(QUERIES).sort("query_id"),
        "judgments": judgments.join(queries.select("query_id"), on="query_id")
        .select("query_id", "item_id", "grade")
        .sort("query_id", "item_id"),
        "searches": searches.select(SEARCHES).sort("search_id", "rank"),
    }
    _require_every_split(making, tables)
    digest = tables_digest(tables)
    if previous is not None and previous.digest == digest:
        return previous
    version = _version(making, at, versions or {}, digest)
    return SearchSnapshot(version, digest, _manifest(making, version, digest, tables, report), **tables)


def _masked(part: Collected) -> Collected:
    rows = part.rows.with_columns(personal.masked(part.rows.get_column("query")))
    return replace(part, rows=rows)


def _manifest(
    making: _Making,
    version: str,
    digest: Digest,
    tables: Mapping[str, pl.DataFrame],
    report: ValidationReport,
) -> dict[str, Any]:
    """The manifest as JSON values: a function of the data, the settings and the version before."""
    data, previous, queries = making.data, making.previous, tables["queries"]
    parts = {"items": data.items, "judgments": data.judgments, "searches": data.searches}
    golden = queries.filter("golden")
    told = {
        "schema": 1,
        "name": version,
        "data": making.name,
        "digest": digest,
        "tables": {table: table_digest(frame) for table, frame in tables.items()},
        "rows": {table: frame.height for table, frame in tables.items()},
        "previous": None if previous is None else {"name": previous.name, "digest": previous.digest},
        "source": {name: {**asdict(each.provenance), "notes": each.notes} for name, each in parts.items()},
        "splits": _counts(queries.get_column("split")),
        "golden": {"queries": golden.height, "digest": _golden_digest(queries, tables["judgments"])},
        "dropped": making.dropped,
        "settings": making.spec.model_dump(mode="json"),
        "validation": report.as_dict(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def _frozen_judgments(making: _Making, judgments: pl.DataFrame, *, grow: bool) -> pl.DataFrame:
    """The judgments, those of frozen golden queries as they were; with `grow`, and those that came since."""
    if (before := making.previous) is None:
        return judgments
    columns = ["query_id", "query", "item_id", "grade", "language", "split"]
    own = judgments.get_column("split").null_count() < judgments.height
    kept = (
        before.judged(Split.GOLDEN)
        .join(before.golden.select("query_id", "language"), on="query_id", maintain_order="left")
        .with_columns(split=pl.lit(Split.GOLDEN.value if own else None, dtype=pl.String))
    )
    frozen = pl.col("query_id").is_in(before.golden.get_column("query_id").implode())
    new = judgments.filter(frozen).join(kept, on=["query_id", "item_id"], how="anti")
    items = making.data.items.rows.select("item_id")
    told = {
        "golden judgment of an item that left the catalogue": kept.join(
            items, on="item_id", how="anti"
        ).height,
        "new grade of a golden query (--grow-golden takes it)": 0 if grow else new.height,
    }
    making.dropped |= {reason: count for reason, count in told.items() if count}
    texts = before.golden.select("query_id", "query", "language")
    added = new.drop("query", "language").join(texts, on="query_id").select(columns) if grow else new.clear()
    return pl.concat([judgments.filter(~frozen).select(columns), kept.select(columns), added.select(columns)])


def _golden_digest(queries: pl.DataFrame, judgments: pl.DataFrame) -> Digest:
    golden = queries.filter("golden").select("query_id", "query", "weight")
    judged = judgments.join(golden.select("query_id"), on="query_id", how="semi")
    return tables_digest({"queries": golden, "judgments": judged})


def _queries(making: _Making, judgments: pl.DataFrame, progress: Progress | None) -> pl.DataFrame:
    spec, key = making.spec, making.spec.split_key or making.name
    asked = with_group(judgments.unique("query_id", maintain_order=True)).sort("query_id")
    own = asked.get_column("split").null_count() < asked.height
    frozen = {} if own or making.previous is None else _splits_before(making.previous)
    placed, dropped = split_queries(asked, spec, key, frozen, progress)
    making.dropped |= dropped
    searched = traffic(making.data.searches.rows, spec.head_share)
    told = with_norm(placed.with_columns(text="query")).with_columns(language())
    named = told.join(searched.select("group", "traffic"), on="group", how="left", maintain_order="left")
    return _with_golden(making, named, searched, judgments, key)


def _splits_before(previous: SearchSnapshot) -> dict[str, str]:
    groups = previous.queries.unique("group", keep="first", maintain_order=True)
    return dict(groups.select("group", "split").iter_rows())


def _with_golden(
    making: _Making, queries: pl.DataFrame, searched: pl.DataFrame, judgments: pl.DataFrame, key: str
) -> pl.DataFrame:
    """The queries with `golden` and `weight`: the frozen ones, else so many as may be, by a keyed hash."""
    if making.previous is not None:
        frozen = making.previous.golden.select("query_id", "weight", golden=pl.lit(True))
    else:
        relevant = judgments.filter(pl.col("grade") > 0)
        pool = queries.filter(
            (pl.col("split") == Split.GOLDEN)
            & pl.col("query_id").is_in(relevant.get_column("query_id").implode())
        )
        order = [hashlib.sha256(f"{key}\0golden\0{each}".encode()).hexdigest() for each in pool["query_id"]]
        chosen = pool.with_columns(order=pl.Series(order, dtype=pl.String)).sort("order")
        chosen = chosen.head(making.spec.golden.queries)
        frozen = chosen.select("query_id", weights(chosen, searched), golden=pl.lit(True))
    joined = queries.join(frozen, on="query_id", how="left", maintain_order="left")
    unused = pl.when(pl.col("split") == Split.GOLDEN).then(0.0).otherwise(1.0)
    return joined.with_columns(golden=pl.col("golden").fill_null(False), weight=pl.coalesce("weight", unused))


def _searches(making: _Making, queries: pl.DataFrame, progress: Progress | None) -> pl.DataFrame:
    """The logs of known items with `split`, without those of golden queries, equal or near."""
    items = making.data.items.rows.get_column("item_id").implode()
    rows = making.data.searches.rows.filter(pl.col("item_id").is_in(items))
    if rows.is_empty():
        return rows.with_columns(split=pl.lit(None, dtype=pl.String))
    asked = with_group(rows.select("query").unique().sort("query")).with_columns(query_id="query")
    golden = queries.filter(pl.col("split") == Split.GOLDEN)
    shared = pl.concat(list(conflicts(asked, golden, making.spec.near_at, progress).values()))
    kept = rows.filter(~pl.col("query").is_in(shared.implode()))
    searches = rows.get_column("search_id").n_unique() - kept.get_column("search_id").n_unique()
    making.dropped |= {"search for a golden query": searches} if searches else {}
    return split_searches(kept, making.spec, making.spec.split_key or making.name)


def _require_every_split(making: _Making, tables: Mapping[str, pl.DataFrame]) -> None:
    relevant = tables["judgments"].filter(pl.col("grade") > 0)
    useful = tables["queries"].filter(pl.col("query_id").is_in(relevant.get_column("query_id").implode()))
    there = set(useful.get_column("split"))
    empty = [split.value for split in Split if split not in there]
    if empty:
        wordless = useful.filter(pl.col("words") == 0).height
        raise InputError(
            f"{making.name} would have no query with a relevant item for {' and '.join(empty)}",
            found=f"{useful.height:,} such queries of {useful['group'].n_unique():,} different texts, "
            f"{wordless:,} of them without any word; dropped: {making.dropped or 'none'}",
            accepted="judged queries in train, validation and golden",
            next_step="judge more queries, change `splits` in stack.yaml, or mend the split column",
        )


def _version(making: _Making, at: date | None, versions: Mapping[str, Digest], digest: Digest) -> str:
    newest = making.data.searches.rows.get_column("at").max()
    day = newest if isinstance(newest, datetime) else at
    if day is None:
        raise UsageError(
            f"{making.name} cannot be dated: no search has a time",
            next_step="give logs of searches with times, or a date",
        )
    used = dict(versions)
    if making.previous is not None:
        used[making.previous.name] = making.previous.digest
    base = f"{making.name}-{day:%Y-%m-%d}"
    version, number = base, 2
    while used.get(version, digest) != digest:
        version, number = f"{base}-{number}", number + 1
    return version


def _counts(column: pl.Series) -> dict[str, int]:
    return {str(name): int(rows) for name, rows in column.value_counts().sort(column.name).iter_rows()}
