"""A search in shadow: lists stand in the place of labels, and another set on top is a disagreement."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from desk_world import WHY, World
from shop_desk import NEW, OLD, Lists, SearchWorld, search_world, traffic

from mangaops.errors import IntegrityError, SetupError, UsageError
from mangaops.gates import asked_of_shadow
from mangaops.inference.families import SERVING
from mangaops.metrics import rank_biased_overlap
from mangaops.release import live
from mangaops.release.answer_forms import FORMS, LABELS, LISTS, form_of
from mangaops.release.listed import NOTHING, as_list, items_of, lines, side_by_side
from mangaops.release.live_logs import answered, of_one_catalogue, unanswered
from mangaops.stack import ModelSpec
from mangaops.stack.specs import Strict
from mangaops.vocabulary import Family


@pytest.fixture
def searching(tmp_path: Path) -> SearchWorld:
    return search_world(tmp_path)


def test_a_replay_keeps_both_lists_and_counts_other_sets_on_top(searching: SearchWorld) -> None:
    evidence = searching.shadowed()
    answers = evidence.tables["answers"]
    assert json.loads(answers["release_label"][0]) == ["i0", "i1", "i5", "i3", "i4"]
    assert answers["baseline_label"][0] == '["i1","i2","i0","i3","i4"]'
    assert answers["disagrees"].to_list() == [n % 2 == 0 for n in range(300)]
    assert answers["control_disagrees"].sum() == 0
    for side in ("baseline", "release"):
        assert answers[f"{side}_action"].null_count() == answers[f"{side}_confidence"].null_count() == 300
    assert (evidence.facts["disagreements"], evidence.facts["coverage"]) == (150, 1.0)


def test_facts_tell_how_far_apart_the_lists_are_with_bounds(searching: SearchWorld) -> None:
    found = searching.shadowed().facts["lists"]
    assert list(found) == ["other_top3", "top1_changed", "overlap@10", "rbo"]
    assert found["other_top3"]["mean"] == found["top1_changed"]["mean"] == 0.5
    assert found["overlap@10"]["mean"] == pytest.approx(0.5 * 4 / 5 + 0.5)
    near = rank_biased_overlap([1, 2, 0, 3, 4], [1, 2, 0, 4, 3])
    far = rank_biased_overlap([1, 2, 0, 3, 4], [0, 1, 5, 3, 4])
    assert found["rbo"]["mean"] == pytest.approx((near + far) / 2, abs=1e-6)
    assert all(each["low"] < each["mean"] < each["high"] for each in found.values())


def test_equal_sides_differ_nowhere(searching: SearchWorld) -> None:
    found = searching.shadowed(Lists("equal", OLD.offsets))
    assert found.facts["disagreements"] == 0
    assert found.facts["lists"]["rbo"]["mean"] == found.facts["lists"]["overlap@10"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("other", "differs"),
    [('["b","a","c","x"]', False), ('["a","b","d"]', True), ("[]", True), (None, None), ('["a","b"]', True)],
)
def test_only_another_set_in_the_first_three_places_is_a_disagreement(
    other: str | None, differs: bool | None
) -> None:
    row = pl.DataFrame(
        {"one_label": ['["a","b","c"]'], "two_label": [other]}, schema_overrides={"two_label": pl.String}
    )
    assert row.select(LISTS.differs("one", "two")).item() is differs


def test_a_log_of_lists_is_read_as_a_replay_writes_them() -> None:
    old, new = OLD.answer("red garden manga"), NEW.answer("red garden manga")
    window = logged(json.dumps(old.as_dict()), json.dumps(new.as_dict()), None)
    (row,) = answered(window, LISTS).to_dicts()
    assert (row["baseline_label"], row["release_label"]) == (as_list(old.items), as_list(new.items))
    assert (row["disagrees"], row["control_disagrees"], row["release_ms"]) == (True, None, 4.0)
    assert row["options"] == '{"k":3,"filters":{"in_stock":true}}'
    assert row["release_action"] is None
    assert row["release_confidence"] is None


@pytest.mark.parametrize("bad", ['{"scores": []}', "[]", "no JSON"])
def test_an_answer_in_the_log_without_a_list_is_told(bad: str) -> None:
    good = json.dumps(OLD.answer("red garden manga").as_dict())
    with pytest.raises(IntegrityError, match="cannot be read") as caught:
        answered(logged(good, bad, None), LISTS)
    assert caught.value.accepted == "JSON with items"
    with pytest.raises(IntegrityError, match="cannot be read"):
        answered(logged(good, good, None), LABELS)


def logged(champion: str, challenger: str, control: str | None) -> pl.DataFrame:
    """One mirrored request as both logs hold it."""
    row = {
        "request_writer": "gateway/1",
        "request_seq": 1,
        "request_id": "q1",
        "at": traffic(1).rows["at"][0],
        "conversation_id": "c1",
        "user_id": None,
        "text": "red garden manga",
        "options": '{"k":3,"filters":{"in_stock":true}}',
        "champion_answer": champion,
        "champion_ms": 3.0,
        "challenger_answer": challenger,
        "challenger_ms": 4.0,
        "challenger_error": None,
        "mirror": "sent",
        "reached": True,
        "control_answer": control,
        "control_ms": None,
    }
    words = dict.fromkeys(("user_id", "control_answer", "challenger_error"), pl.String)
    return pl.DataFrame([row], schema_overrides={**words, "control_ms": pl.Float64})


def told_of(generation: int, held: str = "") -> str:
    known = {"catalogue_hash": held} if held else {}
    return json.dumps({"items": ["a", "b", "c"], "scores": [], "catalogue_generation": generation, **known})


def test_lists_of_two_catalogues_are_not_compared_and_counted_as_unanswered() -> None:
    rows = pl.concat(
        [
            logged(told_of(4), told_of(4), told_of(4)),
            logged(told_of(4), told_of(5), None),
            logged(told_of(4), told_of(4), told_of(5)),
            logged(told_of(4, "sha256:a"), told_of(4, "sha256:a"), told_of(4)),
            logged(told_of(4, "sha256:a"), told_of(4, "sha256:b"), told_of(4, "sha256:a")),
        ]
    )
    apart = of_one_catalogue(rows)
    assert [each is None for each in apart["challenger_answer"]] == [False, True, False, False, True]
    assert [each is None for each in apart["control_answer"]] == [False, True, True, False, False]
    assert unanswered(apart)["why"].to_list() == ["another catalogue"] * 2


def test_labels_are_of_no_catalogue_and_stay() -> None:
    said = json.dumps({"label": "faq", "action": "route", "confidence": 0.5})
    rows = logged(said, said, said)
    assert of_one_catalogue(rows).equals(rows)


def test_a_live_shadow_of_a_search_needs_a_champion_like_any_other(searching: SearchWorld) -> None:
    with pytest.raises(UsageError, match="has no champion"):
        live.begin(searching.desk, "retrieval", searching.release, reason=WHY)
    unit = searching.desk.stack.units["retrieval"]
    assert asked_of_shadow(unit.gates, unit).requests == 100


def test_every_family_that_is_served_has_a_form_and_no_other_is_compared(world: World) -> None:
    assert set(SERVING) <= set(FORMS)
    assert form_of(world.desk, "router") is LABELS
    lora = ModelSpec(family=Family.RESPONSE_LORA, base="x", data="intent-data", training=Strict())
    world.desk.stack.models["intent-classifier"] = lora
    with pytest.raises(SetupError, match="response-lora"):
        form_of(world.desk, "router")


def test_a_list_is_ten_ids_as_json_and_read_line_by_line() -> None:
    many = [f"i{n}" for n in range(12)]
    assert items_of(as_list(many)) == many[:10]
    assert as_list(["ü", 'a"b']) == '["ü","a\\"b"]'
    titles = {"i1": "A  title\nof two lines"}
    assert lines(["i1", "i2", None], titles) == f"1. A title of two lines (i1)\n2. i2\n3. {NOTHING}"


@pytest.mark.parametrize(
    ("mine", "other", "shown"),
    [
        (["a", "b"], ["c", "d"], ["a", "b"]),
        (["a"], ["c", "d", "a"], ["a", None, None]),
        ([], ["c", "d"], [None, None]),
        (["c", "d"], [], ["c", "d"]),
        ([], [], [None]),
    ],
)
def test_two_lists_side_by_side_have_as_many_places(
    mine: list[str], other: list[str], shown: list[str | None]
) -> None:
    assert side_by_side(as_list(mine), as_list(other)) == shown
