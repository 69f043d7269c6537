"""Leakage: distinctive texts, conversations and users are found; stock phrases are left in peace."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mangaops.datasets import Snapshot, compare, nearness
from mangaops.datasets.build import COLUMNS
from mangaops.evidence.envelope import table_digest
from mangaops.evidence.schemas import TABLES
from mangaops.stack import DataSpec
from mangaops.vocabulary import EvidenceKind, Side

SPEC = DataSpec()
LONG = "can you tell me where my box of one piece volumes is"
NEAR = "please can you tell me where my box of one piece volumes is"


def snapshot(*rows: dict[str, Any]) -> Snapshot:
    """A snapshot as it would be without the guard: the rows as they are given."""
    schema = dict.fromkeys(COLUMNS, pl.String) | {
        "at": pl.Datetime("us", "UTC"),
        "turn": pl.Int64,
        "weight": pl.Float64,
        "golden": pl.Boolean,
    }
    blank = dict.fromkeys(COLUMNS)
    full = [
        blank
        | {"row_id": f"{row['split']}-{i}", "label": "faq", "weight": 1.0, "golden": row["split"] == "golden"}
        | row
        for i, row in enumerate(rows)
    ]
    frame = pl.DataFrame(full, schema=schema, orient="row")
    return Snapshot("d", table_digest(frame), {}, frame)


def golden(text: str = "hello there", **more: Any) -> dict[str, Any]:
    return {"split": "golden", "text": text, "conversation_id": "g", **more}


def train(text: str = "good bye", **more: Any) -> dict[str, Any]:
    return {"split": "train", "text": text, "conversation_id": "t", **more}


def checks(*rows: dict[str, Any], spec: DataSpec = SPEC) -> dict[str, int]:
    data = snapshot(*rows)
    facts, conflicts = compare(data, {Side.RELEASE: data}, spec)
    assert conflicts.height == sum(facts["checks"]["release"].values())
    return {name: count for name, count in facts["checks"]["release"].items() if count}


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((golden(), train()), {}),
        ((golden(), train(conversation_id="g")), {"conversation": 1}),
        ((golden(user_id="u"), train(user_id="u")), {"user": 1}),
        ((golden(user_id="u"), train(user_id="v")), {}),
        ((golden(LONG), train(LONG.upper() + "?!")), {"text": 1}),
        ((golden(LONG), train(NEAR)), {"near_text": 1}),
        ((golden(LONG), train("can you tell me where my parcel with the new lamp is")), {}),
        ((golden("yes please"), train("yes please")), {}),
        ((golden(LONG), {**train(LONG), "split": "validation"}), {"text": 1}),
    ],
)
def test_each_check_fires_on_its_own_conflict_only(
    rows: tuple[dict[str, Any], ...], found: dict[str, int]
) -> None:
    assert checks(*rows) == found


def test_a_long_text_in_many_conversations_is_a_stock_phrase() -> None:
    rows = [golden(LONG), *(train(LONG, conversation_id=f"t{i}") for i in range(4))]
    assert checks(*rows) == {}
    assert checks(*rows[:4]) == {"text": 1}
    assert checks(*rows, spec=DataSpec(distinctive_under=6)) == {"text": 1}


def test_rows_without_a_conversation_count_as_one_of_their_user() -> None:
    pasted = [train(LONG, conversation_id=None, user_id="u", row_id=f"p{i}") for i in range(9)]
    assert checks(golden(LONG), *pasted) == {"text": 1}


def test_the_settings_of_the_stack_decide() -> None:
    assert checks(golden("one two three"), train("one two three"), spec=DataSpec(distinctive_words=3)) == {
        "text": 1
    }
    assert checks(golden(LONG), train(NEAR), spec=DataSpec(near_at=0.95)) == {}


def test_both_sides_are_checked_and_the_table_is_that_of_evidence() -> None:
    ours = snapshot(golden(LONG), train())
    theirs = snapshot(train(LONG), train("thank you"))
    facts, conflicts = compare(ours, {Side.RELEASE: ours, Side.BASELINE: theirs}, SPEC)
    assert conflicts["side"].to_list() == ["baseline"]
    assert facts["checks"]["release"] == dict.fromkeys(("conversation", "user", "text", "near_text"), 0)
    assert facts["rows"] == 1
    wanted = TABLES[EvidenceKind.LEAKAGE]["conflicts"]
    assert {name: conflicts.schema[name] for name in wanted} == wanted


def test_nearness_tells_seen_near_and_new_and_counts_stock_phrases() -> None:
    data = snapshot(golden("Thank you!"), golden(NEAR), golden("is there a new chapter of it today"))
    known = snapshot(train("thank you"), train(LONG)).train
    found = nearness(data.golden, known, SPEC)
    assert found["row_id"].to_list() == data.golden["row_id"].to_list()
    assert found.rows() == [("golden-0", True, True), ("golden-1", False, True), ("golden-2", False, False)]


def test_nearness_to_nothing_is_false() -> None:
    data = snapshot(golden(LONG))
    assert nearness(data.golden, data.train, SPEC).rows() == [("golden-0", False, False)]
