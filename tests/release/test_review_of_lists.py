"""People see two lists side by side, blind, and say which one they prefer."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from desk_world import WHY
from pair_world import number
from shop_desk import CHAMPION, NEW, NEXT, OLD, SearchWorld, search_world, traffic

from mangaops.errors import InputError, NotReviewable
from mangaops.evidence import Evidence
from mangaops.inference.filters import Filters
from mangaops.release import review, review_lists, review_page, review_sheet
from mangaops.release.desk import record_evidence
from mangaops.release.listed import as_list, items_of, limits
from mangaops.release.planted_limits import SHORT, UNFILTERED, WHOLE, Limit, Offer, offered
from mangaops.store import CatalogueLog
from mangaops.vocabulary import NEITHER, Verdict

ORDER = ("item_id", "text", "A", "B", "answer")


@pytest.fixture
def searching(tmp_path: Path) -> SearchWorld:
    world = search_world(tmp_path)
    world.ranked(CHAMPION, NEXT)
    world.shadowed()
    return world


def opened(world: SearchWorld, **more: object) -> str:
    return review.open_review(world.desk, "retrieval", world.release, reason=WHY, **more)  # type: ignore[arg-type]


def queue_of(world: SearchWorld, name: str) -> Evidence:
    _, ref = review.find(review.state(world.desk, "retrieval"), name)
    return world.desk.evidence.get(ref.answer or ref.evidence)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def as_csv(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ORDER)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def test_only_other_sets_on_top_are_asked_about_and_both_lists_are_shown_with_titles(
    searching: SearchWorld,
) -> None:
    name = opened(searching)
    rows = rows_of(review.export_review(searching.desk, "retrieval", name))
    assert len(rows) == 40 + 6
    for row in rows:
        assert re.match(r"'?1\. \w+ \w+ \(i\d+\)\n2\. ", row["A"])
        assert row["A"] != row["B"]
    queue = queue_of(searching, name)
    asked = queue.tables["items"].filter(~pl.col("planted"))
    assert (asked["seq"] % 2 == 0).all()
    assert set(asked["probability"]) == {40 / 150}
    assert queue.facts["disagreements"] == 150


def test_the_page_shows_the_queue_side_by_side_and_tells_no_side(searching: SearchWorld) -> None:
    name = opened(searching)
    page = review.export_page(searching.desk, "retrieval", name).decode()
    ids = [row["item_id"] for row in rows_of(review.export_review(searching.desk, "retrieval", name))]
    assert re.findall(r'<section class="asked" id="(item-[0-9a-f]+)"', page) == ids
    assert page.count("<ol>") == 2 * len(ids)
    assert "in this list alone" in page
    for word in ("golden", "planted", "baseline", "challenger", "<script"):
        assert word not in page.partition("</style>")[2]


def unequal() -> pl.DataFrame:
    """A queue whose lists have other lengths, the shorter one of either version and under either letter."""
    pairs = [(["a", "b", "c", "d"], ["e"]), (["a"], ["e", "f", "b"]), ([], ["a", "b"]), (["a", "b"], [])]
    rows = [
        {
            "item_id": f"item-{n}{int(first)}",
            "text": f"query {n}",
            "baseline_label": as_list(baseline),
            "release_label": as_list(release),
            "release_is_a": first,
            "options": None,
            "answer": None,
        }
        for n, (baseline, release) in enumerate(pairs)
        for first in (False, True)
    ]
    return pl.DataFrame(rows, schema_overrides={"options": pl.String, "answer": pl.String})


NAMES = {item: f"Title {item}" for item in "abcdef"}


def test_lists_of_other_lengths_look_alike_and_say_where_they_end() -> None:
    rows = rows_of(review_sheet.to_csv(unequal(), titles=NAMES))
    assert rows[0]["B"] == "1. Title e (e)\n2. (no item)\n3. (no item)\n4. (no item)"
    assert rows[4]["A"] == "1. (no item)\n2. (no item)"
    assert all(len(row["A"].splitlines()) == len(row["B"].splitlines()) for row in rows)
    page = review_page.to_html(unequal(), titles=NAMES, unit="retrieval", review="r").decode()
    lists = [each.count("<li") for each in re.findall("<ol>(.*?)</ol>", page)]
    assert lists[::2] == lists[1::2] == [4, 4, 3, 3, 2, 2, 2, 2]
    assert page.partition("<section")[2].count("(no item)") == 2 * (3 + 2 + 2 + 2)
    assert "nothing found" not in page


def test_what_reviewers_see_holds_no_score_no_release_and_no_sign_of_a_version(
    searching: SearchWorld,
) -> None:
    name = opened(searching)
    page = review.export_page(searching.desk, "retrieval", name).decode().partition("<section")[2]
    sheet = review.export_review(searching.desk, "retrieval", name).decode()
    releases = searching.desk.ledger.read("retrieval")
    known = {str(event.body.get(key)) for event in releases for key in ("release", "digest")} - {"None"}
    assert CHAMPION in known or searching.release in known
    for shown in (page, sheet):
        for word in ("score", "similarity", "golden", "planted", "baseline", "challenger", "<mark", *known):
            assert word not in shown
        assert not re.search(r"\d\.\d", shown), "a number with decimals is a score"


def test_an_answer_to_lists_of_other_lengths_comes_back() -> None:
    rows = [{**row, "answer": "A"} for row in rows_of(review_sheet.to_csv(unequal(), titles=NAMES))]
    told = unequal().with_columns(by_action=False)
    given = review_sheet.from_csv(told, as_csv(rows), [], source="queue.csv", titles=NAMES)
    shown = [review_sheet.ordered(row)[0] for row in told.iter_rows(named=True)]
    assert given["answer"].to_list() == shown


def limited(world: SearchWorld, options: dict[str, object]) -> str:
    """The name of a review of searches that were all limited so, as live shadow evidence tells it."""
    seen = world.shadowed()
    shown = int(str(options["k"]))
    cut = {
        f"{side}_label": [as_list(items_of(each)[:shown]) for each in seen.tables["answers"][f"{side}_label"]]
        for side in ("baseline", "release")
    }
    answers = seen.tables["answers"].with_columns(
        *(pl.Series(name, lists) for name, lists in cut.items()), options=pl.lit(json.dumps(options))
    )
    live = replace(seen, tables={"answers": answers})
    record_evidence(world.desk, "retrieval", world.release, live, reason=WHY)
    return opened(world, shadow=live.digest)


def test_reviewers_see_what_a_search_was_limited_to(searching: SearchWorld) -> None:
    name = limited(
        searching, {"k": 5, "filters": {"in_stock": True, "genres": ["<b>", "of mei@example.com"]}}
    )
    content = review.export_review(searching.desk, "retrieval", name)
    rows = rows_of(content)
    told = "\n(in stock; genres: <b> or of [e-mail]; 5 items)"
    assert sum(row["text"].endswith("\n(5 items)") for row in rows) == 6, "no item is of these genres"
    assert sorted(row["text"].endswith(told) for row in rows) == [False] * 6 + [True] * 40
    page = review.export_page(searching.desk, "retrieval", name).decode()
    assert page.count("limited to <b>in stock; genres: &lt;b&gt; or of [e-mail]; 5 items</b>") == 40
    given = [{**row, "answer": "A"} for row in rows]
    found = review.import_answers(searching.desk, "retrieval", name, as_csv(given), reason="looked at all")
    assert found.facts["unanswered"] == 0
    edited = [{**row, "text": row["text"].replace("5 items", "9 items"), "answer": "A"} for row in rows]
    with pytest.raises(InputError, match="row"):
        review.import_answers(searching.desk, "retrieval", name, as_csv(edited), reason="done")


def test_a_search_without_limits_is_shown_as_its_text_alone(searching: SearchWorld) -> None:
    name = limited(searching, {"k": 10, "filters": {}})
    page = review.export_page(searching.desk, "retrieval", name).decode()
    assert "limited to" not in page
    assert all(
        "\n" not in row["text"] for row in rows_of(review.export_review(searching.desk, "retrieval", name))
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (None, ""),
        ({}, ""),
        ({"k": 10, "filters": {}}, ""),
        ({"k": 1, "filters": {}}, "1 item"),
        ({"k": 9, "filters": {}}, "9 items"),
        ({"k": 11, "filters": {}}, ""),
        ({"k": 100, "filters": {"in_stock": True}}, "in stock"),
        (
            {"k": 10, "filters": {"price_at_least": 2.5, "price_at_most": 10.0}},
            "price at least 2.5; price at most 10",
        ),
        ({"filters": {"price_at_most": 1500000.0}}, "price at most 1,500,000"),
        ({"filters": {"price_at_most": 123456.75}}, "price at most 123,456.75"),
        (
            {"filters": {"price_at_least": 1200, "price_at_most": 9.9}},
            "price at least 1,200; price at most 9.9",
        ),
        ({"filters": {"price_at_least": 0.0}}, "price at least 0"),
        ({"filters": {"age_ratings": ["12+"]}}, "age ratings: 12+"),
    ],
)
def test_limits_are_told_in_words(options: dict[str, object] | None, told: str) -> None:
    assert limits(json.dumps(options) if options is not None else None) == told


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"in_stock": True}, "in stock; 2 items"),
        ({"tags": ["Short", "long"]}, "tags: Short or long; 2 items"),
        ({"in_stock": True, "price_at_most": 550}, "in stock; price at most 550; 2 items"),
        ({}, "2 items"),
    ],
)
def test_where_every_search_is_limited_known_items_are_too(
    searching: SearchWorld, filters: dict[str, object], told: str
) -> None:
    name = limited(searching, {"k": 2, "filters": filters})
    rows = rows_of(review.export_review(searching.desk, "retrieval", name))
    assert [row["text"].partition("\n")[2] for row in rows] == [f"({told})"] * 46
    assert {len(row[side].splitlines()) for row in rows for side in "AB"} == {2}
    page = review.export_page(searching.desk, "retrieval", name).decode()
    assert page.count(f"limited to <b>{told}</b>") == 46
    lets = Filters.model_validate(filters).lets
    held = {row["item_id"]: row for row in searching.snapshot.items.to_dicts()}
    items = queue_of(searching, name).tables["items"].filter("planted")
    for row in items.to_dicts():
        good, bad = items_of(row["baseline_label"]), items_of(row["release_label"])
        assert all(lets(held[item]) for item in [*good, *bad])
        assert good[0] == f"i{number(row['text'])}"
        assert row["known"] == row["baseline_label"]
        assert not set(good) & set(bad)


def test_known_items_have_limits_as_often_as_drawn_ones(searching: SearchWorld) -> None:
    few, free = '{"k":3,"filters":{"in_stock":true}}', None
    tables = {**searching.ranked(CHAMPION, NEXT).tables, "items": searching.snapshot.items}
    rng = np.random.default_rng(4)
    mixed = review_lists.plant(tables, 8, rng, [few] * 20 + [free] * 20)
    assert 1 <= mixed["options"].to_list().count(few) <= 7
    assert set(mixed["options"]) == {few, free}
    for row in mixed.to_dicts():
        assert len(items_of(row["known"])) == (3 if row["options"] else 5)
    assert review_lists.plant(tables, 8, rng)["options"].null_count() == 8


GOOD, STRANGERS = ["a", "b", "c"], ["u", "v", "w"]
CATALOGUE = {item: {"price": at} for at, item in enumerate([*GOOD, *STRANGERS], 1)}


def offer(*options: dict[str, object]) -> Offer | None:
    limits = [Limit(json.dumps(each), CATALOGUE) for each in options]
    return offered(GOOD, STRANGERS, {"a"}, limits, np.random.default_rng(2))


def test_limits_that_leave_lists_whole_come_before_those_that_shorten_them() -> None:
    whole, short = {"filters": {"price_at_most": 9}}, {"filters": {"price_at_most": 4}}
    found = offer(short, whole, short)
    assert found is not None
    assert (found.fit, found.options, found.good) == (WHOLE, json.dumps(whole), GOOD)
    cut = offer({"filters": {"price_at_most": 5}, "k": 2})
    assert cut is not None
    assert (cut.fit, cut.good, sorted(cut.bad)) == (WHOLE, ["a", "b"], ["u", "v"])
    some = {item: {"tags": "x" if item in "abuv" else "y"} for item in CATALOGUE}
    tagged = Limit('{"filters":{"tags":["x"]}}', some)
    fewer = offered(GOOD, STRANGERS, {"a"}, [tagged], np.random.default_rng(2))
    assert fewer is not None
    assert (fewer.fit, fewer.options, fewer.good) == (SHORT, tagged.options, ["a", "b"])
    without = offer(short)
    assert without is not None
    assert without.fit == UNFILTERED, "one stranger is too few for three items"


def test_limits_that_let_no_relevant_item_through_leave_their_number_alone() -> None:
    for filters in ({"price_at_least": 2}, {"in_stock": True}, {"of_a_later_version": 1}):
        found = offer({"k": 2, "filters": filters})
        assert found is not None
        assert (found.fit, found.options, found.good) == (
            UNFILTERED,
            '{"k":2,"filters":{}}',
            ["a", "b"],
        )


def test_more_items_than_are_shown_are_no_limit(searching: SearchWorld) -> None:
    name = limited(searching, {"k": 20, "filters": {}})
    page = review.export_page(searching.desk, "retrieval", name).decode()
    assert "20 items" not in page
    assert "limited to" not in page
    assert "A list is shown to its tenth place." in page
    assert "20 items" not in review.export_review(searching.desk, "retrieval", name).decode()


def test_user_text_and_titles_are_harmless_on_the_page(searching: SearchWorld) -> None:
    hostile = {f"i{n}": {"title": "<img src=x>\u202e"} for n in range(60)}
    CatalogueLog(searching.desk.ledger, "shop").append(hostile)
    name = opened(searching)
    page = review.export_page(searching.desk, "retrieval", name).decode()
    assert "<img" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x&gt;\\u202e" in page


def test_an_item_without_a_title_is_called_by_its_id_on_both_sides(searching: SearchWorld) -> None:
    CatalogueLog(searching.desk.ledger, "shop").append({"i1": {"price": 5}, "i2": {"title": "Renamed"}})
    titles = review.titles_of(queue_of(searching, opened(searching)))
    assert titles is not None
    assert (titles["i1"], titles["i2"], titles["i3"]) == ("i1", "Renamed", "red river")


def test_a_review_of_labels_has_a_page_too() -> None:
    from mangaops.release.review_page import to_html

    items = pl.DataFrame(
        {"item_id": ["item-1"], "text": ["where is it"], "baseline_label": ["faq"], "answer": [None]}
    ).with_columns(release_label=pl.lit("promotion"), release_is_a=pl.lit(True))
    page = to_html(items, titles=None, unit="router", review="review-1").decode()
    assert page.index("promotion") < page.index("faq")
    assert "<ol>" not in page


def test_letters_become_the_preferred_list_and_export_as_letters_again(searching: SearchWorld) -> None:
    name = opened(searching)
    rows = rows_of(review.export_review(searching.desk, "retrieval", name))
    words = ["A", "b", "neither", "unclear"]
    given = [{**row, "answer": words[at % 4]} for at, row in enumerate(rows)]
    people = replace(searching.desk, actor="aiko")
    found = review.import_answers(people, "retrieval", name, as_csv(given), reason="looked at all")
    items = found.tables["items"]
    first = items.row(0, named=True)
    assert first["answer"] == first["release_label" if first["release_is_a"] else "baseline_label"]
    again = rows_of(review.export_review(searching.desk, "retrieval", name))
    assert [row["answer"] for row in again] == [row["answer"].replace("b", "B") for row in given]
    assert (
        review.import_answers(people, "retrieval", name, as_csv(again), reason="again").digest == found.digest
    )


@pytest.mark.parametrize("answer", ["faq", "i1", "the first", "1"])
def test_no_label_and_no_item_is_an_answer_to_two_lists(searching: SearchWorld, answer: str) -> None:
    name = opened(searching)
    rows = rows_of(review.export_review(searching.desk, "retrieval", name))
    given = [{**row, "answer": answer} for row in rows]
    with pytest.raises(InputError) as caught:
        review.import_answers(searching.desk, "retrieval", name, as_csv(given), reason="done")
    assert caught.value.accepted == "A, B, neither, unclear"
    swapped = [{**row, "A": row["B"], "B": row["A"], "answer": "A"} for row in rows]
    with pytest.raises(InputError, match="column A was edited"):
        review.import_answers(searching.desk, "retrieval", name, as_csv(swapped), reason="done")


def test_planted_lists_have_a_clear_answer(searching: SearchWorld) -> None:
    items = queue_of(searching, opened(searching)).tables["items"].filter("planted")
    assert items.height == 6
    graded = {
        row["query"]: row["item_id"]
        for row in searching.snapshot.judgments.join(searching.snapshot.queries, on="query_id")
        .filter(pl.col("grade") > 0)
        .to_dicts()
    }
    for row in items.to_dicts():
        good, bad = items_of(row["baseline_label"]), items_of(row["release_label"])
        assert row["known"] == row["baseline_label"]
        assert good[0] == graded[row["text"]]
        assert len(good) == len(bad)
        assert not set(good) & set(bad)


def test_planted_lists_need_a_relevant_item_and_enough_strangers() -> None:
    rng = np.random.default_rng(1)
    queries = pl.DataFrame({"query_id": ["q1", "q2"], "group": ["g1", "g2"], "text": ["one", "two"]})
    ranked = pl.DataFrame(
        [("q1", "search", "baseline", 1, "a"), ("q2", "search", "baseline", 1, "b")],
        schema=["query_id", "stage", "side", "rank", "item_id"],
        orient="row",
    )
    nothing = pl.DataFrame({"query_id": ["q1"], "item_id": ["a"], "grade": [0.0]})
    tables = {"queries": queries, "ranked": ranked, "judgments": nothing}
    assert review_lists.plant(tables, 5, rng).is_empty()
    one = nothing.with_columns(grade=pl.lit(2.0))
    (row,) = review_lists.plant({**tables, "judgments": one}, 5, rng).to_dicts()
    assert (row["text"], row["known"], row["release_label"]) == ("one", '["a"]', '["b"]')
    many = pl.DataFrame({"query_id": ["q1"] * 2, "item_id": ["a", "c"], "grade": [2.0, 1.0]})
    assert review_lists.plant({**tables, "judgments": many}, 5, rng).is_empty(), "one stranger for two items"


def test_hidden_grades_prefer_the_list_with_the_better_top(searching: SearchWorld) -> None:
    name = opened(searching)
    found = review.answer_by_truth(searching.desk, "retrieval", name, searching.grades(), reason=WHY)
    asked = found.tables["items"].filter(~pl.col("planted"))
    assert (asked["answer"] == asked["release_label"]).all(), "the release has the asked item at the top"
    planted = found.tables["items"].filter("planted")
    assert (planted["answer"] == planted["known"]).all()
    assert found.facts["simulated"] is True
    (judged,) = [each for each in searching.judged().rows if each.subject == "preference on shadow_review"]
    assert judged.finding.verdict is Verdict.PASS
    assert judged.finding.observed == pytest.approx(0.5)


def test_equal_gains_are_no_preference_and_an_unknown_query_is_told() -> None:
    items = pl.DataFrame(
        {
            "request_id": ["r1", "r2"],
            "text": ["Red  Garden", "red garden!"],
            "baseline_label": ['["a","b","x"]', '["a","b","c","d"]'],
            "release_label": ['["b","a","y"]', '["x","y","z","a"]'],
            "planted": [False, False],
        }
    )
    grades = pl.DataFrame({"query": ["red garden"] * 2, "item_id": ["a", "b"], "grade": [1, 1]})
    assert review_lists.preferred(items, grades) == {"r1": NEITHER, "r2": '["a","b","c","d"]'}
    with pytest.raises(InputError, match="nothing of 'Red  Garden'"):
        review_lists.preferred(items, grades.with_columns(query=pl.lit("blue")))
    with pytest.raises(InputError, match="without grade"):
        review_lists.preferred(items, grades.drop("grade"))


def test_a_query_that_nobody_graded_is_unclear_whatever_the_reviewer_does(searching: SearchWorld) -> None:
    name = opened(searching)
    some = searching.grades().filter(pl.int_range(pl.len()) % 4 != 0)
    found = review.answer_by_truth(searching.desk, "retrieval", name, some, reason=WHY)
    asked = found.tables["items"].filter(~pl.col("planted"))
    graded = (
        asked["text"]
        .str.to_uppercase()
        .is_in(some["query"].str.to_uppercase().str.strip_chars("!").implode())
    )
    assert (asked["answer"] == "unclear").to_list() == (~graded).to_list()
    assert 0 < graded.sum() < asked.height


def test_a_reviewer_who_errs_is_simulated_as_for_labels(searching: SearchWorld) -> None:
    name = opened(searching)
    found = review.answer_by_truth(
        searching.desk, "retrieval", name, searching.grades(), reason=WHY, error=0.3, unclear=0.1, seed=3
    )
    answers = found.tables["items"].filter(~pl.col("planted"))
    right = (answers["answer"] == answers["release_label"]).mean()
    assert 0.4 < float(right) < 0.85  # type: ignore[arg-type]
    assert (answers["answer"] == "unclear").any()


def test_a_review_without_ranking_evidence_is_refused(tmp_path: Path) -> None:
    bare = search_world(tmp_path)
    bare.shadowed()
    with pytest.raises(NotReviewable, match="no ranking evidence"):
        opened(bare)


def test_lists_that_differ_nowhere_on_top_are_answered_as_the_review_opens(tmp_path: Path) -> None:
    world = search_world(tmp_path)
    world.ranked(CHAMPION, NEXT)
    odd = traffic(60).rows.filter(pl.int_range(pl.len()) % 2 == 1)
    world.shadowed(NEW, OLD, replace(traffic(), rows=odd))
    found = queue_of(world, opened(world))
    assert (found.facts["reviewer"], found.tables["items"].height) == (review.NOBODY, 0)
    assert review_sheet.to_csv(found.tables["items"], titles={}).decode().strip() == ",".join(ORDER)
