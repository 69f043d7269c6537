"""What is in a catalogue, its judged queries and its logs of searches, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mangaops.datasets.search_data import SearchData
from mangaops.datasets.search_split import conflicts, traffic, with_group
from mangaops.datasets.text import language, normalised, tokens
from mangaops.datasets.validation import ValidationReport, excerpt, personal_data
from mangaops.vocabulary import Split

if TYPE_CHECKING:
    from mangaops.stack import SearchDataSpec

_TOO_MANY_UNKNOWN: Final = 0.1
_SKEWED: Final = 0.5
_STALE_DAYS: Final = 90
_FEW_JUDGED: Final = 2


@dataclass
class _Findings:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def validate_search(data: SearchData, spec: SearchDataSpec) -> ValidationReport:
    """A report on the data; nothing is changed. Its errors keep a snapshot from being made."""
    findings, wrong = _Findings(), []
    looks: dict[str, Callable[[], dict[str, Any]]] = {
        "catalogue": lambda: _catalogue(data.items.rows, findings),
        "judgments": lambda: _judgments(data, spec, findings),
        "queries": lambda: _queries(data.judgments.rows, spec, findings),
        "searches": lambda: _searches(data, spec, findings),
        "popularity": lambda: _popularity(data, findings),
        "age": lambda: _age(data, findings),
        "personal_data": lambda: personal_data(
            _asked(data), masked=spec.mask_personal_data, warnings=findings.warnings
        ),
    }
    sections = {}
    for name, look in looks.items():
        before = len(findings.errors)
        sections[name] = look()
        if len(findings.errors) > before:
            wrong.append(name)
    for part in (data.items, data.judgments, data.searches):
        findings.warnings += [f"note: {note}" for note in part.notes]
    what = " and ".join(wrong) or "catalogue, judgments and searches"
    return ValidationReport(tuple(findings.errors), tuple(findings.warnings), sections, what)


def known_judgments(data: SearchData, spec: SearchDataSpec) -> pl.DataFrame:
    """The judgments of items that the catalogue has, each query and item once: the highest grade counts.

    A grade under `relevant_from` is 0: from here on relevant is what has a grade over 0.
    """
    items = data.items.rows.get_column("item_id").implode()
    known = data.judgments.rows.filter(pl.col("item_id").is_in(items))
    graded = pl.when(pl.col("grade") >= spec.relevant_from).then("grade").otherwise(0.0)
    best = known.with_columns(grade=graded).sort("grade", descending=True, maintain_order=True)
    return best.unique(["query_id", "item_id"], keep="first", maintain_order=True)


def _asked(data: SearchData) -> pl.Series:
    """Every text that somebody searched for, once."""
    parts = [each.rows.get_column("query") for each in (data.judgments, data.searches)]
    return pl.concat(parts).unique(maintain_order=True)


def _catalogue(items: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    repeated = items.filter(pl.col("item_id").is_duplicated())
    if repeated.height:
        findings.errors.append(
            f"{repeated.height:,} items share their item_id, the first is {repeated['place'][0]}: "
            "an item is listed once"
        )
    empty = items.filter(pl.col("title").str.strip_chars() == "")
    if empty.height:
        findings.warnings.append(f"{empty.height:,} items have no title, the first is {empty['place'][0]}")
    told = items.with_columns(
        norm=pl.concat_str("title", "synopsis", separator=" ").map_elements(
            normalised, return_dtype=pl.String
        )
    )
    same = told.filter(pl.col("norm").is_duplicated() & (pl.col("norm") != ""))
    if same.height:
        findings.warnings.append(
            f"{same.height:,} items have the title and synopsis of another item, as "
            f"{excerpt(str(same['title'][0]))!r} in {same['place'][0]}: no query can tell them apart"
        )
    without = items.filter(pl.col("synopsis").str.strip_chars() == "").height
    if without * 2 > items.height:
        findings.warnings.append(f"{without:,} of {items.height:,} items have no synopsis: little to search")
    return {
        "items": items.height,
        "without_synopsis": without,
        "same_title_and_synopsis": same.height,
        "languages": _shares(items.get_column("language")),
        "age_ratings": _shares(items.get_column("age_rating")),
    }


def _judgments(data: SearchData, spec: SearchDataSpec, findings: _Findings) -> dict[str, Any]:
    rows, items = data.judgments.rows, data.items.rows.get_column("item_id").implode()
    unknown = rows.filter(~pl.col("item_id").is_in(items))
    share = unknown.height / max(1, rows.height)
    if unknown.height:
        says = (
            f"{unknown.height:,} judgments ({share:.1%}) name {unknown['item_id'].n_unique():,} items that "
            f"the catalogue lacks, the first is {unknown['item_id'][0]!r} in {unknown['place'][0]}"
        )
        told = f"{says}: is this the catalogue that was judged?"
        (findings.errors if share > _TOO_MANY_UNKNOWN else findings.warnings).append(
            told if share > _TOO_MANY_UNKNOWN else f"{says}; they are dropped"
        )
    grades = rows.group_by("query_id", "item_id").agg(kinds=pl.col("grade").n_unique())
    contradicting = grades.filter(pl.col("kinds") > 1).height
    if contradicting:
        findings.warnings.append(
            f"{contradicting:,} pairs of query and item have several grades: the highest counts"
        )
    known = known_judgments(data, spec)
    per_query = known.group_by("query_id").agg(judged=pl.len(), best=pl.col("grade").max())
    barren = per_query.filter(pl.col("best") < spec.relevant_from).height
    if barren:
        findings.warnings.append(
            f"{barren:,} queries have no item of grade {spec.relevant_from:g} or more: they count in no "
            "metric of grades"
        )
    judged = float(per_query.get_column("judged").median() or 0.0)  # type: ignore[arg-type]
    if per_query.height and judged < _FEW_JUDGED:
        findings.warnings.append(
            "half of the queries have one judged item: rankings can hardly be told apart"
        )
    if per_query.height == barren:
        findings.errors.append("no query has a relevant item: nothing can be learnt or measured")
    return {
        "rows": rows.height,
        "queries": rows.get_column("query_id").n_unique(),
        "of_unknown_items": unknown.height,
        "contradicting_pairs": contradicting,
        "queries_without_relevant": barren,
        "judged_a_query_median": judged,
        "judged_share_of_the_catalogue": round(
            known.get_column("item_id").n_unique() / max(1, data.items.rows.height), 6
        ),
        "grades": _shares(rows.get_column("grade").cast(pl.String)),
    }


def _queries(rows: pl.DataFrame, spec: SearchDataSpec, findings: _Findings) -> dict[str, Any]:
    several = rows.group_by("query_id").agg(texts=pl.col("query").n_unique()).filter(pl.col("texts") > 1)
    if several.height:
        findings.errors.append(
            f"{several.height:,} query ids stand for several texts, as "
            f"{excerpt(str(several['query_id'].sort()[0]))!r}"
        )
    queries = with_group(rows.unique("query_id", maintain_order=True))
    wordless = [query for query in queries["query"] if not tokens(query)]
    if wordless:
        findings.warnings.append(
            f"{len(wordless):,} of {queries.height:,} queries have no word, as {excerpt(wordless[0])!r}: "
            "only equal signs make two of them the same, and models read little in them"
        )
    section: dict[str, Any] = {
        "distinct_texts": rows.get_column("query").n_unique(),
        "without_any_word": len(wordless),
        "with_the_words_of_another": queries.filter(pl.col("group").is_duplicated()).height,
        "languages": _shares(
            queries.select(text="query", language="language").select(language()).get_column("language")
        ),
    }
    own = queries.get_column("split")
    if own.null_count() == own.len():
        return section
    if own.null_count():
        findings.errors.append(f"{own.null_count():,} queries have no split while others bring their own")
    higher = queries.filter(pl.col("split") == Split.GOLDEN)
    lower = queries.filter(pl.col("split").is_in([Split.TRAIN, Split.VALIDATION]))
    for reason, shared in conflicts(lower, higher, spec.near_at).items():
        section[f"golden_{reason.replace(' ', '_')}_in_training"] = shared.len()
        if shared.len():
            first = excerpt(str(lower.filter(pl.col("query_id") == shared[0])["query"][0]))
            findings.warnings.append(
                f"{shared.len():,} queries to train on are golden queries as well ({reason}), as {first!r}; "
                "they are dropped"
            )
    return section


def _searches(data: SearchData, spec: SearchDataSpec, findings: _Findings) -> dict[str, Any]:
    rows = data.searches.rows
    if rows.is_empty():
        findings.warnings.append("there are no logs of searches: head and tail of the queries are unknown")
        return {"searches": 0}
    twice = rows.filter(pl.struct("search_id", "rank").is_duplicated()).height
    if twice:
        findings.errors.append(f"{twice:,} rows share search and rank with another: a rank shows one item")
    texts = rows.group_by("search_id").agg(texts=pl.col("query").n_unique()).filter(pl.col("texts") > 1)
    if texts.height:
        findings.errors.append(f"{texts.height:,} searches have several queries")
    nobody = rows.filter(pl.col("user_id").is_null() & pl.col("session_id").is_null()).height
    if nobody:
        findings.warnings.append(
            f"{nobody:,} rows have neither user nor session: each search is its own group"
        )
    unknown = rows.filter(~pl.col("item_id").is_in(data.items.rows.get_column("item_id").implode())).height
    if unknown:
        findings.warnings.append(f"{unknown:,} shown items are not in the catalogue; they are dropped")
    searched = traffic(rows, spec.head_share)
    clicks = rows.filter("clicked").group_by("rank").len().sort("rank")
    shown = rows.group_by("rank").len().sort("rank").rename({"len": "shown"})
    rates = shown.join(clicks, on="rank", how="left").with_columns(pl.col("len").fill_null(0))
    return {
        "searches": rows.get_column("search_id").n_unique(),
        "users": rows.get_column("user_id").drop_nulls().n_unique(),
        "sessions": rows.get_column("session_id").drop_nulls().n_unique(),
        "head_queries": searched.filter(pl.col("traffic") == "head").height,
        "tail_queries": searched.filter(pl.col("traffic") == "tail").height,
        "clicks_by_rank": {
            str(rank): round(count / shown, 6)
            for rank, shown, count in rates.head(10).select("rank", "shown", "len").iter_rows()
        },
    }


def _popularity(data: SearchData, findings: _Findings) -> dict[str, Any]:
    """How much of all relevant judgments, and of all clicks, goes to the most popular hundredth of items."""
    judged = data.judgments.rows.filter(pl.col("grade") > 0)
    section = {
        "judgments_top_hundredth": _top(judged, data.items.rows.height),
        "clicks_top_hundredth": _top(data.searches.rows.filter("clicked"), data.items.rows.height),
    }
    for name, share in section.items():
        if share > _SKEWED:
            findings.warnings.append(
                f"{share:.0%} of the {name.split('_')[0]} go to one item in a hundred: a model that learns "
                "popularity alone looks good"
            )
    return section


def _top(rows: pl.DataFrame, items: int) -> float:
    counts = rows.get_column("item_id").value_counts(sort=True).get_column("count")
    return round(float(counts.head(max(1, items // 100)).sum()) / max(1, int(counts.sum())), 6)


def _age(data: SearchData, findings: _Findings) -> dict[str, Any]:
    """How old the catalogue is: beside the newest search, where there are dated ones."""
    released = data.items.rows.get_column("released")
    newest, last = released.max(), data.searches.rows.get_column("at").max()
    section: dict[str, Any] = {
        "newest_release": newest.date().isoformat() if isinstance(newest, datetime) else None,
        "newest_search": last.date().isoformat() if isinstance(last, datetime) else None,
        "without_release": released.null_count(),
    }
    if isinstance(newest, datetime) and isinstance(last, datetime):
        behind = (last - newest).days
        section["days_behind_searches"] = max(0, behind)
        if behind > _STALE_DAYS:
            findings.warnings.append(
                f"the newest title is {behind:,} days older than the newest search: is this catalogue stale?"
            )
    return section


def _shares(column: pl.Series) -> dict[str, float]:
    counts = column.drop_nulls().value_counts(name="rows").sort("rows", column.name, descending=[True, False])
    total = max(1, column.len())
    return {excerpt(str(name)): round(int(rows) / total, 6) for name, rows in counts.head(20).iter_rows()}
