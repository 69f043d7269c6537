"""Slices of a row, and the two questions about order and grouping."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mangaops.datasets import logs, snapshot, time_and_grouping, traits
from mangaops.errors import UsageError
from mangaops.stack import DataSpec

SPEC = DataSpec(jargon=("isekai", "light novel"), splits={"train": 0.5, "validation": 0.2, "golden": 0.3})


def rows(**columns: list[object]) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    return logs(pl.DataFrame({"text": ["a"] * count, "label": ["x"] * count} | columns)).rows


def test_language_is_that_of_the_logs_or_of_the_script() -> None:
    texts = ["hello", "進撃の巨人", "vol 3 ある?", "привет", "123", "hello"]
    found = traits(rows(text=texts, language=[None, None, None, None, None, "fr"]), SPEC)
    assert found["language"].to_list() == ["en", "ja", "ja-en", "other", "en", "fr"]


def test_turns_come_from_the_logs_or_from_time_or_order() -> None:
    assert traits(rows(turn=[4, 7]), SPEC)["turn"].to_list() == [4, 7]
    timed = rows(conversation_id=["c", "c", None], at=["2026-04-02", "2026-04-01", "2026-04-01"])
    assert traits(timed, SPEC)["turn"].to_list() == [2, 1, 1]
    assert traits(rows(conversation_id=["c", "d", "c"]), SPEC)["turn"].to_list() == [1, 1, 2]


def test_words_and_jargon() -> None:
    found = traits(rows(text=["any ISEKAI left", "a light novel", "isekaiish"]), SPEC)
    assert found["words"].to_list() == [3, 3, 1]
    assert found["jargon"].to_list() == [True, True, False]
    assert traits(rows(text=["isekai"]), DataSpec())["jargon"].to_list() == [False]


def test_a_user_is_new_in_the_first_conversation_only() -> None:
    later = rows(user_id=["u", "v", None], conversation_id=["c2", "d1", "e"], at=["2026-04-02"] * 3)
    earlier = rows(user_id=["u"], conversation_id=["c1"], at=["2026-04-01"])
    assert traits(later, SPEC)["new_user"].to_list() == [True, True, False]
    assert traits(later, SPEC, earlier)["new_user"].to_list() == [False, True, False]


def sample(days: bool) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "text": [f"text {i % 40} of group" for i in range(400)],
            "label": [f"l{i % 2}" for i in range(400)],
            "conversation_id": [f"c{i % 40}" for i in range(400)],
            "turn": list(range(400)),
        }
    )
    return frame.with_columns(at=pl.lit("2026-04-01T00:00:00Z")) if days else frame


def memory(train: pl.DataFrame, test: pl.DataFrame) -> float:
    """Knows only the conversations that it has seen."""
    return float(test["conversation_id"].is_in(train["conversation_id"].implode()).mean())


def test_a_scorer_that_remembers_groups_is_flattered_by_a_random_split() -> None:
    from datetime import date

    data = snapshot(logs(sample(days=False)), SPEC, data="d", critical=[], at=date(2026, 4, 1))
    found = time_and_grouping(data, memory, rng=np.random.default_rng(1))
    assert found.grouped_accuracy == 0.0
    assert found.random_accuracy > 0.9
    assert found.flattery == found.random_accuracy
    assert found.golden_before_training is None
    assert found.train_rows + found.test_rows == data.train.height


def test_golden_rows_older_than_training_are_a_share() -> None:
    data = snapshot(logs(sample(days=True)), SPEC, data="d", critical=[])
    found = time_and_grouping(data, memory, rng=np.random.default_rng(1))
    assert found.golden_before_training == 0.0
    assert found.as_dict()["newest_training"] == "2026-04-01T00:00:00Z"


def test_one_group_cannot_be_split() -> None:
    data = snapshot(logs(sample(days=True)), SPEC, data="d", critical=[])
    alone = type(data)(data.name, data.digest, data.manifest, data.rows.with_columns(group=pl.lit("g")))
    with pytest.raises(UsageError):
        time_and_grouping(alone, memory, rng=np.random.default_rng(1))
