"""Search data: what is refused, what is told, and that no query, user or session is in two splits."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mangaops.datasets.search_data import (
    collect_items,
    collect_judgments,
    collect_searches,
    item_text,
)
from mangaops.datasets.search_report import validate_search
from mangaops.datasets.search_snapshot import SearchSnapshot, search_snapshot
from mangaops.datasets.search_split import same_words, split_searches, traffic, with_group
from mangaops.datasets.source import Source
from mangaops.errors import InputError, IntegrityError, UsageError
from mangaops.stack import SearchDataSpec
from mangaops.store import Snapshots
from mangaops.vocabulary import Split
from shop_rows import SPEC, data_of, frozen, items, judgments, searches, written

# Collecting


def test_files_and_a_database_give_the_same_rows(tmp_path: Path) -> None:
    flat = items().with_columns(pl.col("tags").list.join(", "))
    flat.write_csv(tmp_path / "items.csv")
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute(f"CREATE TABLE items ({', '.join(flat.columns)})")
        database.executemany(
            f"INSERT INTO items VALUES ({', '.join('?' * flat.width)})",
            flat.rows(),
        )
    from_lists = collect_items(written(tmp_path, "items", items()), SPEC).rows.drop("place")
    from_csv = collect_items(Source((str(tmp_path / "items.csv"),)), SPEC).rows.drop("place")
    query = Source((f"sqlite:///{tmp_path / 'shop.db'}",), query="SELECT * FROM items")
    from_sql = collect_items(query, SPEC).rows.drop("place")
    assert_frame_equal(from_lists, from_csv)
    assert_frame_equal(from_lists, from_sql)
    assert from_lists["tags"][0:2].to_list() == ["short", "long, sad"]
    assert from_lists["released"][0] == datetime(2000, 1, 1, tzinfo=UTC)


def test_columns_are_mapped_and_an_item_reads_as_what_it_has(tmp_path: Path) -> None:
    spec = SearchDataSpec(catalogue={"item_id": "doc", "synopsis": "overview"})
    theirs = items(3).rename({"item_id": "doc", "synopsis": "overview"}).with_columns(genres=pl.lit(""))
    found = collect_items(written(tmp_path, "items", theirs), spec).rows
    assert found["item_id"].to_list() == ["i0", "i1", "i2"]
    assert item_text(found)[0] == "red garden. short. a story of the red garden, number 0"


@pytest.mark.parametrize(
    ("column", "value", "accepted"),
    [
        ("price", "dear", "a number of 0 or more"),
        ("price", -1, "a number of 0 or more"),
        ("stock", 1.5, "a whole number of 0 or more"),
        ("released", "soon", "a year, or a date"),
    ],
)
def test_a_cell_that_is_not_what_its_column_holds_is_refused_with_its_place(
    tmp_path: Path, column: str, value: object, accepted: str
) -> None:
    bad = items(3).with_columns(pl.Series(column, [1, 2000, value], dtype=pl.Object).cast(pl.Object))
    bad = items(3).drop(column).with_columns(pl.Series(column, ["1", "2", str(value)]))
    with pytest.raises(InputError, match=f"row 3, column '{column}'") as refused:
        collect_items(written(tmp_path, "items", bad), SPEC)
    assert accepted in refused.value.accepted


def test_a_judgment_without_grade_and_a_rank_of_0_are_refused(tmp_path: Path) -> None:
    lacking = judgments().with_columns(
        grade=pl.when(pl.col("query_id") == "q3").then(None).otherwise("grade")
    )
    with pytest.raises(InputError, match="has no grade"):
        collect_judgments(written(tmp_path, "judgments", lacking), SPEC)
    with pytest.raises(InputError, match="row 1, column 'rank'") as refused:
        collect_searches(written(tmp_path, "searches", searches().with_columns(pl.col("rank") - 1)), SPEC)
    assert refused.value.accepted == "a whole number of 1 or more"
    nameless = judgments().with_columns(pl.lit(None, dtype=pl.String).alias("item_id"))
    with pytest.raises(InputError, match="has no item_id") as refused:
        collect_judgments(written(tmp_path, "judgments", nameless), SPEC)
    assert refused.value.accepted == "item_id on each row"


# Validation


def test_good_data_has_no_error_and_no_warning_but_what_is_true(tmp_path: Path) -> None:
    report = validate_search(data_of(tmp_path, logs=searches()), SPEC)
    assert report.errors == ()
    assert [each for each in report.warnings if "stale" not in each] == []
    assert report.sections["searches"]["clicks_by_rank"] == {"1": 1.0, "2": 0.0, "3": 0.0}
    assert report.sections["judgments"]["judged_a_query_median"] >= 3
    assert "Catalogue" in report.to_markdown()


def bad(name: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None, str]:
    """Catalogue, judgments, searches with one fault, and what the report says of it."""
    catalogue, judged, logs = items(), judgments(), searches()
    if name == "item twice":
        return pl.concat([catalogue, catalogue.head(1)]), judged, logs, "share their item_id"
    if name == "wrong catalogue":
        return catalogue.with_columns(pl.col("item_id") + "x"), judged, logs, "catalogue lacks"
    if name == "id of two queries":
        other = judged.with_columns(
            query=pl.when(pl.col("grade") > 0).then(pl.lit("other")).otherwise("query")
        )
        return catalogue, other, logs, "stand for several texts"
    if name == "nothing relevant":
        return catalogue, judged.with_columns(grade=pl.lit(0)), logs, "no query has a relevant item"
    if name == "rank twice":
        return catalogue, judged, logs.with_columns(rank=pl.lit(1)), "a rank shows one item"
    some = judged.with_columns(split=pl.when(pl.col("query_id") == "q1").then(pl.lit("train")))
    return catalogue, some, logs, "have no split while others bring"


@pytest.mark.parametrize(
    "name",
    [
        "item twice",
        "wrong catalogue",
        "id of two queries",
        "nothing relevant",
        "rank twice",
        "some splits",
    ],
)
def test_a_fault_is_an_error_and_no_snapshot_is_made(tmp_path: Path, name: str) -> None:
    catalogue, judged, logs, says = bad(name)
    if name == "some splits":
        judged = judged.with_columns(pl.col("split").fill_null(""))
        with pytest.raises(InputError, match="train, validation"):
            data_of(tmp_path, catalogue, judged, logs)
        return
    data = data_of(tmp_path, catalogue, judged, logs)
    report = validate_search(data, SPEC)
    assert any(says in error for error in report.errors), report.errors
    with pytest.raises(InputError, match="refused by validation"):
        frozen(data)


def test_what_is_doubtful_is_a_warning(tmp_path: Path) -> None:
    twins = items().with_columns(
        title=pl.when(pl.col("item_id") == "i1").then(pl.lit("Red Garden!")).otherwise("title"),
        synopsis=pl.when(pl.col("item_id") == "i1").then("synopsis").otherwise("synopsis"),
    )
    twins = twins.with_columns(synopsis=pl.lit("the same"))
    strange = pl.concat(
        [
            judgments(),
            pl.DataFrame([("q1", "red samurai manga", "gone", 1)], schema=judgments().schema, orient="row"),
        ]
    )
    again = pl.concat([strange, judgments().head(1).with_columns(grade=pl.lit(0, dtype=pl.Int64))])
    old = searches().with_columns(at=pl.col("at") + timedelta(days=9000))
    report = validate_search(data_of(tmp_path, twins, again, old), SPEC)
    assert report.errors == ()
    told = " ".join(report.warnings)
    for says in (
        "title and synopsis of another",
        "1 items that the catalogue lacks",
        "several grades",
        "catalogue stale",
    ):
        assert says in told, says


def test_golden_queries_that_are_trained_on_are_named_and_dropped(tmp_path: Path) -> None:
    names = judgments().unique("query_id", maintain_order=True)["query_id"].to_list()
    part = {each: ("train", "test", "dev")[n % 3] for n, each in enumerate(names)}
    own = judgments().with_columns(split=pl.col("query_id").replace_strict(part))
    leaks = [("q0b", "Manga, RED samurai!", "i1", 1, "train")]  # the words of q1, which is golden
    leaking = pl.concat([own, pl.DataFrame(leaks, schema=own.schema, orient="row")])
    report = validate_search(data_of(tmp_path, judged=leaking), SPEC)
    assert report.sections["queries"]["golden_same_query_in_training"] == 1
    assert any("golden queries as well" in each for each in report.warnings)
    made = frozen(data_of(tmp_path, judged=leaking))
    assert made.manifest["dropped"] == {"same query (train)": 1}
    assert "q0b" not in made.queries["query_id"].to_list()
    clean = validate_search(data_of(tmp_path, judged=own), SPEC)
    assert clean.sections["queries"]["golden_same_query_in_training"] == 0


# Snapshots


def test_no_query_is_in_two_splits_and_no_search_is_for_a_golden_one(tmp_path: Path) -> None:
    made = frozen(data_of(tmp_path, logs=searches()))
    groups = made.queries.group_by("group").agg(pl.col("split").n_unique())
    assert groups["split"].max() == 1
    assert set(made.queries["split"]) == set(Split)
    golden = set(made.queries.filter(pl.col("split") == Split.GOLDEN)["group"])
    assert golden.isdisjoint(with_group(made.searches.select("query"))["group"])
    assert made.manifest["dropped"]["search for a golden query"] > 0
    for who in ("user_id", "session_id"):
        assert made.searches.group_by(who).agg(pl.col("split").n_unique())["split"].max() == 1


def test_near_queries_leave_the_lower_split(tmp_path: Path) -> None:
    long = "a story about the quiet old library at the end of the river road in winter"
    rows = [(f"n{n}", f"{long}{' now' if n % 2 else ''} {n // 2}x", f"i{n}", 1) for n in range(40)]
    near = pl.concat([judgments(), pl.DataFrame(rows, schema=judgments().schema, orient="row")])
    made = frozen(data_of(tmp_path, judged=near))
    assert sum(n for reason, n in made.manifest["dropped"].items() if reason.startswith("near")) > 0
    apart = made.queries.filter(pl.col("query_id").str.starts_with("n"))
    assert apart["split"].n_unique() == 1


def test_the_same_data_is_the_same_version_and_golden_queries_stay(tmp_path: Path) -> None:
    first = frozen(data_of(tmp_path))
    again = frozen(data_of(tmp_path, judged=judgments().sample(fraction=1.0, shuffle=True, seed=1)))
    assert first.digest == again.digest
    assert frozen(data_of(tmp_path), previous=first) is first
    assert first.name == "shop-2026-04-20"

    lost = first.golden["query_id"][0]
    renamed = (
        judgments()
        .filter(pl.col("query_id") != lost)
        .with_columns(
            grade=pl.when(pl.col("query_id") == first.golden["query_id"][1]).then(1).otherwise("grade")
        )
    )
    catalogue = items().filter(pl.col("item_id") != "i0")
    second = frozen(data_of(tmp_path, catalogue, renamed), previous=first)
    assert second.name == "shop-2026-04-20-2"
    assert second.golden["query_id"].to_list() == first.golden["query_id"].to_list()
    assert_frame_equal(second.judged(Split.GOLDEN), first.judged(Split.GOLDEN))
    assert second.golden_digest == first.golden_digest == first.manifest["golden"]["digest"]
    trained = set(first.queries.filter(pl.col("split") == Split.TRAIN)["group"])
    assert trained.isdisjoint(second.golden["group"])


def test_a_stored_version_comes_back_as_it_was_and_an_edited_one_is_refused(tmp_path: Path) -> None:
    made = frozen(data_of(tmp_path, logs=searches()))
    store = Snapshots(tmp_path / "snapshots")
    assert store.put_tables(made.manifest, made.tables) == made.digest
    manifest, found = store.get_tables(made.digest)
    again = SearchSnapshot(manifest["name"], made.digest, manifest, **found)
    assert again.manifest == made.manifest
    assert_frame_equal(again.judged(Split.GOLDEN), made.judged(Split.GOLDEN))
    with pytest.raises(IntegrityError, match="refused"):
        store.get(made.digest)  # it is none of rows alone
    (edited,) = (tmp_path / "snapshots").rglob("judgments.parquet")
    edited.chmod(0o644)
    made.judgments.with_columns(grade=pl.col("grade") + 1).write_parquet(edited)
    with pytest.raises(IntegrityError, match="not what was stored"):
        store.get_tables(made.digest)


def test_grades_under_the_stated_one_are_irrelevant_from_the_snapshot_on(tmp_path: Path) -> None:
    graded = judgments().with_columns(grade=pl.col("grade") + 1)  # 3 for what fits, 1 for the rest
    plain = frozen(data_of(tmp_path, judged=graded))
    strict = frozen(data_of(tmp_path, judged=graded), SearchDataSpec(relevant_from=2))
    assert sorted(plain.judgments["grade"].unique()) == [1.0, 3.0]
    assert sorted(strict.judgments["grade"].unique()) == [0.0, 3.0]


def test_a_query_without_an_id_gets_none_that_repeats_its_words(tmp_path: Path) -> None:
    told = (
        judgments().drop("query_id").with_columns(query=pl.lit("call me at 4111 1111 1111 1111 ") + "query")
    )
    found = collect_judgments(written(tmp_path, "judgments", told), SPEC).rows
    assert found["query_id"].n_unique() == found["query"].n_unique()
    assert not found["query_id"].str.contains("4111 1111").any()


@pytest.mark.parametrize("masks", [True, False])
def test_personal_data_in_queries_is_told_and_masked_where_the_stack_says_so(
    masks: bool, tmp_path: Path
) -> None:
    spec = SearchDataSpec(mask_personal_data=masks)
    told = judgments().with_columns(query=pl.col("query") + " for mei@example.com")
    data = data_of(tmp_path, judged=told)
    report = validate_search(data, spec)
    assert report.sections["personal_data"]["masked_in_snapshot"] is masks
    assert any("personal data slipped through" in each for each in report.warnings)
    assert "mei@example.com" not in report.to_markdown()
    kept = frozen(data, spec).queries["query"].str.contains("mei@example.com")
    assert not kept.any() if masks else kept.all()
    clean = validate_search(data_of(tmp_path), spec)
    assert clean.sections["personal_data"]["texts_with"] == {}


def test_head_and_tail_go_back_to_the_traffic_by_weights(tmp_path: Path) -> None:
    made = frozen(data_of(tmp_path, logs=searches()))
    golden = made.golden
    assert golden["weight"].mean() == pytest.approx(1.0)
    searched = traffic(data_of(tmp_path, logs=searches()).searches.rows, 0.5)
    share = searched.filter(pl.col("traffic") == "head")["searches"].sum() / searched["searches"].sum()
    head = golden.filter(pl.col("traffic") == "head")["weight"].sum() / golden["weight"].sum()
    assert head == pytest.approx(share)
    assert frozen(data_of(tmp_path)).golden["weight"].unique().to_list() == [1.0]


def test_the_head_is_the_fewest_queries_with_half_of_the_searches() -> None:
    logs = pl.DataFrame(
        {"search_id": [f"s{n}" for n in range(10)], "query": list("aaaa") + list("bbb") + list("cde")}
    )
    found = traffic(logs, 0.5)
    assert found["searches"].to_list() == [4, 3, 1, 1, 1]
    assert found["traffic"].to_list() == ["head", "head", "tail", "tail", "tail"]
    assert traffic(logs.clear(), 0.5).is_empty()


def test_data_that_cannot_fill_every_split_or_be_dated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no query with a relevant item for"):
        frozen(data_of(tmp_path, judged=judgments(2)))
    with pytest.raises(UsageError, match="cannot be dated"):
        search_snapshot(data_of(tmp_path), SPEC, name="shop")
    dated = search_snapshot(data_of(tmp_path, logs=searches()), SPEC, name="shop")
    assert dated.name == "shop-2026-04-13"


def test_queries_without_any_word_are_named_where_they_fill_no_split(tmp_path: Path) -> None:
    plain = judgments()
    emoji = data_of(tmp_path, judged=plain.with_columns(query=pl.lit("🐉")))
    told = [each for each in validate_search(emoji, SPEC).warnings if "no word" in each]
    count = plain["query_id"].n_unique()
    assert told == [
        f"{count} of {count} queries have no word, as '🐉': only equal signs make two of them the same, "
        "and models read little in them"
    ]
    with pytest.raises(InputError, match="no query with a relevant item for") as refused:
        frozen(emoji)
    assert "of 1 different texts" in refused.value.found
    assert " of them without any word; dropped: none" in refused.value.found
    worded = data_of(tmp_path, judged=plain)
    assert not [each for each in validate_search(worded, SPEC).warnings if "no word" in each]


WORDS = st.lists(st.sampled_from(("one", "piece", "sad", "war", "猫", "!")), min_size=1, max_size=5)


@given(WORDS, st.randoms(use_true_random=False))
def test_the_same_words_are_one_group_in_any_order_and_case(words: list[str], rng) -> None:
    other = [*words, words[0]]
    rng.shuffle(other)
    assert same_words(" ".join(words)) == same_words("  ".join(other).upper())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=40))
def test_users_and_sessions_are_never_torn_apart(rows: list[tuple[int, int, int]]) -> None:
    frame = pl.DataFrame(
        [(f"s{n}", f"u{user}" if user else None, f"x{each}" if each else None) for n, user, each in rows],
        schema={"search_id": pl.String, "user_id": pl.String, "session_id": pl.String},
        orient="row",
    ).unique("search_id", keep="first")
    placed = split_searches(frame, SPEC, "key")
    for who in ("user_id", "session_id"):
        of_one = placed.drop_nulls(who).group_by(who).agg(pl.col("split").n_unique())
        assert of_one["split"].max() in (None, 1)
