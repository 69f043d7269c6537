"""Properties that every metric inherits: a new metric is tested by being in `METRICS`."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.metrics import METRICS, Scored, Sides
from mangaops.stack import ModelSpec
from mangaops.stack.specs import Strict
from mangaops.stats import paired_difference
from mangaops.vocabulary import Direction, Side

LABELS = ("faq", "promotion", "return_request", "escalation")
MODEL = ModelSpec(
    family="intent-classifier",
    base="minilm-l6",
    data="intent-data",
    critical=("escalation",),
    rare_under=1.0,
    harm={"escalation": {"faq": 40, "*": 25}, "faq": {"promotion": 0.5}, "*": {"*": 2}},
    actions={"offer_human": ("escalation",)},
    training=Strict(),
)

ROW = st.tuples(
    st.sampled_from(LABELS),
    st.sampled_from(LABELS),
    st.sampled_from(LABELS),
    st.floats(0.05, 1.0),
    st.floats(0.05, 1.0),
    st.floats(0.1, 5.0),
)
BASE = [(label, label, label, 1.0, 1.0, 1.0) for label in ("escalation", "faq")]
TABLES = st.lists(ROW, min_size=1, max_size=40).map(lambda rows: [*BASE, *rows])
EVERY = pytest.mark.parametrize("name", sorted(METRICS))


def scored(rows: list) -> Scored:
    frame = pl.DataFrame(
        rows,
        schema=[
            "truth",
            "baseline_label",
            "release_label",
            "baseline_confidence",
            "release_confidence",
            "weight",
        ],
        orient="row",
    )
    return Scored.over(frame.with_columns(group=pl.int_range(pl.len()).cast(pl.String)), LABELS, MODEL)


def sides(name: str, rows: list) -> Sides:
    return METRICS[name].rows(scored(rows), "escalation" if METRICS[name].per_label else None)


def values(name: str, rows: list) -> list[float]:
    found = sides(name, rows)
    return [found.value(Side.BASELINE), found.value(Side.RELEASE)]


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES, st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(name: str, rows: list, seed: int) -> None:
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    assert values(name, shuffled) == pytest.approx(values(name, rows), nan_ok=True)


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES, st.floats(0.01, 100.0))
def test_the_scale_of_weights_does_not_matter(name: str, rows: list, factor: float) -> None:
    scaled = [(*row[:5], row[5] * factor) for row in rows]
    assert values(name, scaled) == pytest.approx(values(name, rows), nan_ok=True)


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES)
def test_a_row_of_weight_two_counts_as_two_rows(name: str, rows: list) -> None:
    doubled = [(*row[:5], row[5] * 2) for row in rows]
    assert values(name, doubled) == pytest.approx(values(name, [*rows, *rows]), nan_ok=True)


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES)
def test_identical_sides_have_no_difference(name: str, rows: list) -> None:
    same = [(row[0], row[1], row[1], row[3], row[3], row[5]) for row in rows]
    found = sides(name, same)
    assert found.baseline_numerator.tolist() == found.release_numerator.tolist()
    assert found.baseline_denominator.tolist() == found.release_denominator.tolist()


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES)
def test_swapped_sides_swap_the_values(name: str, rows: list) -> None:
    swapped = [(row[0], row[2], row[1], row[4], row[3], row[5]) for row in rows]
    assert values(name, swapped) == pytest.approx(values(name, rows)[::-1], nan_ok=True)


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES)
def test_perfect_answers_reach_the_best_value(name: str, rows: list) -> None:
    perfect = [(row[0], row[1], row[0], row[3], 1.0, row[5]) for row in rows]
    best = 1.0 if METRICS[name].direction is Direction.HIGHER else 0.0
    assert values(name, perfect)[1] == pytest.approx(best, abs=1e-12)


@EVERY
def test_a_worse_side_is_worse_in_the_direction_of_the_metric(name: str) -> None:
    """Right answers with sound confidence against wrong ones with full confidence."""
    rows = [
        (truth, truth, LABELS[(at + 1) % 4], 1.0, 1.0, 1.0)
        for at, truth in enumerate(LABELS)
        for _ in range(5)
    ]
    rows += [(truth, truth, truth, 1.0, 1.0, 1.0) for truth in LABELS]
    baseline, release = values(name, rows)
    assert baseline > release if METRICS[name].direction is Direction.HIGHER else baseline < release


@EVERY
@settings(max_examples=20, deadline=None)
@given(TABLES)
def test_columns_are_what_a_paired_difference_takes(name: str, rows: list) -> None:
    found = sides(name, rows)
    gain = paired_difference(
        found.baseline_numerator,
        found.baseline_denominator,
        found.release_numerator,
        found.release_denominator,
        scored(rows).groups,
        rng=np.random.default_rng(1),
        resamples=100,
        scale=found.scale,
    )
    baseline, release = values(name, rows)
    assert gain.difference == pytest.approx(release - baseline)


@EVERY
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.unit
    assert metric.says
