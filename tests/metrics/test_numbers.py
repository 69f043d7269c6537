"""The numbers of each metric, by hand."""

from __future__ import annotations

import json

import polars as pl
import pytest

from golden_rows import outcomes
from mangaops.metrics import METRICS, Scored, summary
from mangaops.stack import ModelSpec
from mangaops.stack.specs import Strict
from mangaops.vocabulary import Side

LABELS = ("faq", "promotion", "escalation")
MODEL = ModelSpec(
    family="intent-classifier",
    base="minilm-l6",
    data="intent-data",
    critical=("escalation",),
    rare_under=0.2,
    harm={"escalation": {"faq": 40, "*": 25}, "*": {"escalation": 1, "*": 2}},
    actions={"offer_human": ("escalation",)},
    training=Strict(),
)


def scored(rows: list[tuple[str, str, str]], **columns: list) -> Scored:
    marked = {
        "group": [f"group-{number // 2}" for number in range(len(rows))],
        "text": [f"text <b>{number}</b>" for number in range(len(rows))],
        "baseline_confidence": [0.8] * len(rows),
        "release_confidence": [0.8] * len(rows),
    }
    return Scored.over(outcomes(rows, **{**marked, **columns}), LABELS, MODEL)


ROWS = [
    ("faq", "faq", "faq"),
    ("faq", "faq", "promotion"),
    ("faq", "promotion", "faq"),
    ("faq", "faq", "faq"),
    ("promotion", "promotion", "promotion"),
    ("promotion", "faq", "promotion"),
    ("escalation", "faq", "escalation"),
    ("faq", "faq", "escalation"),
]


def value(name: str, side: Side, label: str | None = None, **columns: list) -> float:
    return METRICS[name].rows(scored(ROWS, **columns), label).value(side)


def test_accuracy_counts_right_answers() -> None:
    assert value("accuracy", Side.BASELINE) == pytest.approx(5 / 8)
    assert value("accuracy", Side.RELEASE) == pytest.approx(6 / 8)


def test_accuracy_is_weighted_to_the_traffic() -> None:
    weight = [1.0] * 7 + [3.0]
    assert value("accuracy", Side.RELEASE, weight=weight) == pytest.approx(6 / 10)


def test_recall_and_precision_of_a_label() -> None:
    assert value("recall", Side.BASELINE, "faq") == pytest.approx(4 / 5)
    assert value("recall", Side.RELEASE, "escalation") == 1.0
    assert value("precision", Side.RELEASE, "escalation") == pytest.approx(1 / 2)
    assert value("precision", Side.BASELINE, "faq") == pytest.approx(4 / 6)


def test_precision_of_a_label_that_nobody_answered_is_undefined() -> None:
    assert value("precision", Side.BASELINE, "escalation") != value("precision", Side.BASELINE, "escalation")


def test_rare_accuracy_looks_at_rare_labels_only() -> None:
    """Escalation is one row in eight, under rare_under; promotion is two, over it."""
    assert value("rare_accuracy", Side.BASELINE) == 0.0
    assert value("rare_accuracy", Side.RELEASE) == 1.0


def test_harm_takes_the_most_exact_cost() -> None:
    """Baseline: faq as promotion 2, promotion as faq 2, escalation as faq 40."""
    assert value("harm_cost", Side.BASELINE) == pytest.approx(44 / 8)
    assert value("harm_cost", Side.RELEASE) == pytest.approx((2 + 1) / 8)


@pytest.mark.parametrize(
    ("truth", "answer", "cost"),
    [("faq", "faq", 0), ("escalation", "faq", 40), ("escalation", "promotion", 25), ("faq", "escalation", 1)],
)
def test_the_cost_of_one_mistake(truth: str, answer: str, cost: float) -> None:
    assert MODEL.cost(truth, answer) == cost


def test_without_a_harm_matrix_every_mistake_costs_one() -> None:
    plain = MODEL.model_copy(update={"harm": {}})
    assert (plain.cost("faq", "faq"), plain.cost("faq", "promotion")) == (0.0, 1.0)


def test_an_escalation_that_offers_no_human_is_missed() -> None:
    assert value("escalation_miss_rate", Side.BASELINE) == 1.0
    assert value("escalation_miss_rate", Side.RELEASE) == 0.0


def test_calibration_error_is_the_gap_of_each_bin() -> None:
    """One bin, confidence 0.8 throughout: |0.8 - accuracy|; two bins: their weighted gaps."""
    assert value("calibration_error", Side.BASELINE) == pytest.approx(0.8 - 5 / 8)
    confidence = [0.9, 0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.3]
    expected = (6 * abs(0.9 - 1.0) + 2 * abs(0.3 - 0.0)) / 8
    assert value("calibration_error", Side.RELEASE, release_confidence=confidence) == pytest.approx(expected)


def test_words_outside_the_declared_labels_are_kept() -> None:
    rows = [*ROWS, ("out_of_scope", "faq", "abstain")]
    assert scored(rows).labels == ("faq", "promotion", "escalation", "abstain", "out_of_scope")
    assert METRICS["accuracy"].rows(scored(rows), None).value(Side.RELEASE) == pytest.approx(6 / 9)


def test_the_summary_is_json_and_says_what_reports_show() -> None:
    near = [False] * 7 + [True]
    found = summary(scored(ROWS, near=near, language=["en"] * 6 + ["ja"] * 2))
    json.dumps(found, allow_nan=False)
    assert found["rows"] == 8
    assert found["groups"] == 4
    assert found["metrics"]["accuracy"]["difference"] == pytest.approx(1 / 8)
    assert found["confusion"]["release"] == [[3, 1, 1], [0, 2, 0], [0, 0, 1]]
    escalation = next(row for row in found["per_label"] if row["label"] == "escalation")
    assert (escalation["critical"], escalation["rare"], escalation["rows"]) == (True, True, 1)
    assert escalation["baseline_precision"] is None
    assert {row["slice"] for row in found["slices"]} == {
        "language",
        "jargon",
        "length",
        "turn",
        "users",
        "text",
    }
    japanese = next(row for row in found["slices"] if row["value"] == "ja")
    assert (japanese["rows"], japanese["release"]) == (2, 0.5)
    assert [row["row_id"] for row in found["fixed"]] == ["row-6", "row-2", "row-5"]
    assert [row["row_id"] for row in found["broken"]] == ["row-1", "row-7"]
    assert found["costly_confusions"][0] == {
        "truth": "faq",
        "answer": "promotion",
        "rows": 1,
        "baseline_rows": 1,
        "cost": pytest.approx(2 / 8),
    }


def test_a_slice_without_known_values_is_left_out() -> None:
    frame = scored(ROWS).outcomes.with_columns(
        turn=pl.lit(None, dtype=pl.Int64), language=pl.lit(None, dtype=pl.String)
    )
    found = summary(Scored.over(frame, LABELS, MODEL))
    assert not {"turn", "language"} & {row["slice"] for row in found["slices"]}
