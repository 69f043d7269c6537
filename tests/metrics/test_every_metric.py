"""Properties that every metric inherits: a new metric is tested by being in `METRICS`."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.metrics import METRICS, Ranked, Reviewed, Scored, Sides, View
from mangaops.stack import ModelSpec
from mangaops.stack.specs import Strict
from mangaops.stats import paired_difference
from mangaops.vocabulary import Direction, Side, Stage, Unjudged
from ranking_rows import searched

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
Row = tuple[Any, ...]


class Golden:
    """Rows of truth, both answers, both confidences and a weight."""

    row = st.tuples(
        st.sampled_from(LABELS),
        st.sampled_from(LABELS),
        st.sampled_from(LABELS),
        st.floats(0.05, 1.0),
        st.floats(0.05, 1.0),
        st.floats(0.1, 5.0),
    )
    some = tuple((label, label, label, 1.0, 1.0, 1.0) for label in ("escalation", "faq"))

    def view(self, rows: list[Row]) -> View:
        answered = ["truth", "baseline_label", "release_label"]
        sure = ["baseline_confidence", "release_confidence", "weight"]
        frame = pl.DataFrame(rows, schema=[*answered, *sure], orient="row")
        groups = pl.int_range(pl.len()).cast(pl.String)
        return Scored.over(frame.with_columns(group=groups), LABELS, MODEL)

    def same(self, row: Row) -> Row:
        return (row[0], row[1], row[1], row[3], row[3], row[5])

    def swapped(self, row: Row) -> Row:
        return (row[0], row[2], row[1], row[4], row[3], row[5])

    def perfect(self, row: Row) -> Row:
        return (row[0], row[1], row[0], row[3], 1.0, row[5])

    def worse(self) -> list[Row]:
        """Right answers with sound confidence against wrong ones with full confidence."""
        rows = [(truth, truth, LABELS[at - 3], 1.0, 1.0, 1.0) for at, truth in enumerate(LABELS)] * 5
        return [*rows, *((truth, truth, truth, 1.0, 1.0, 1.0) for truth in LABELS)]


ITEMS = tuple("abcdef")


class Search:
    """Rows of grades (None: nobody judged), the lists of both sides and a weight; lists may be short."""

    found = st.permutations(ITEMS).flatmap(lambda all_: st.integers(0, 6).map(lambda cut: tuple(all_[:cut])))
    row = st.tuples(
        st.tuples(*[st.sampled_from((None, 0.0, 0.0, 1.0, 2.0, 3.5))] * 6), found, found, st.floats(0.1, 5.0)
    )
    some = (((3.0, 2.0, 1.0, 0.0, 0.0, 0.0), ITEMS, ITEMS[::-1], 1.0),)

    def __init__(self, unjudged: Unjudged) -> None:
        self.unjudged = unjudged

    def view(self, rows: list[Row]) -> View:
        names = [f"query-{number}" for number in range(len(rows))]
        judged = [self._judged(row) for row in rows]
        evidence = searched(
            dict(zip(names, (row[1] for row in rows), strict=True)),
            dict(zip(names, (row[2] for row in rows), strict=True)),
            dict(zip(names, judged, strict=True)),
            queries={name: {"weight": row[3]} for name, row in zip(names, rows, strict=True)},
            catalogue_items=len(ITEMS),
        )
        return Ranked.of(evidence).at(Stage.SEARCH, self.unjudged)

    def same(self, row: Row) -> Row:
        return (row[0], row[1], row[1], row[3])

    def swapped(self, row: Row) -> Row:
        return (row[0], row[2], row[1], row[3])

    def perfect(self, row: Row) -> Row:
        judged = self._judged(row)
        return (row[0], row[1], tuple(sorted(judged, key=lambda item: -judged[item])), row[3])

    def worse(self) -> list[Row]:
        """The best list against one with an irrelevant and an unjudged item alone."""
        return [((2.0, 1.0, 0.0, 0.0, None, None), ITEMS[:4], ("d", "f"), 1.0)] * 5

    def _judged(self, row: Row) -> dict[str, float]:
        return {item: grade for item, grade in zip(ITEMS, row[0], strict=True) if grade is not None}


class Review:
    """Rows of the baseline's and the release's answer, what people chose, and for how many it stands."""

    row = st.tuples(
        st.sampled_from(LABELS),
        st.sampled_from(LABELS),
        st.sampled_from((*LABELS, "neither", "unclear")),
        st.floats(0.1, 5.0),
    )
    some = (("faq", "promotion", "promotion", 1.0),)

    def view(self, rows: list[Row]) -> View:
        named = ["baseline_label", "release_label", "answer"]
        frame = pl.DataFrame(rows, schema=[*named, "stands_for"], orient="row")
        groups = pl.int_range(pl.len()).cast(pl.String)
        return Reviewed(frame.with_columns(group=groups, probability=1.0 / pl.col("stands_for")))

    def same(self, row: Row) -> Row:
        return (row[0], row[0], row[2], row[3])

    def swapped(self, row: Row) -> Row:
        return (row[1], row[0], row[2], row[3])

    def perfect(self, row: Row) -> Row:
        return (row[0], row[1], row[1], row[3])

    def worse(self) -> list[Row]:
        return [("faq", "promotion", "faq", 1.0)] * 3 + [("faq", "promotion", "neither", 1.0)]


World = Golden | Search | Review
WORLDS: dict[type, list[World]] = {
    Scored: [Golden()],
    Ranked: [Search(Unjudged.IRRELEVANT), Search(Unjudged.LEFT_OUT)],
    Reviewed: [Review()],
}
CASES = [
    pytest.param(world, name.replace("@k", "@8"), id=f"{name}-{getattr(world, 'unjudged', 'golden')}")
    for name in sorted(METRICS)
    for world in WORLDS[METRICS[name].view]
]
EVERY = pytest.mark.parametrize(("world", "name"), CASES)
QUICK = settings(max_examples=12, deadline=None)


def drawn(data: st.DataObject, world: World) -> list[Row]:
    return [*world.some, *data.draw(st.lists(world.row, min_size=1, max_size=20))]


def sides(world: World, name: str, rows: list[Row]) -> Sides:
    return METRICS[name].rows(world.view(rows), "escalation" if METRICS[name].per_label else None)


def values(world: World, name: str, rows: list[Row]) -> list[float]:
    found = sides(world, name, rows)
    return [found.value(Side.BASELINE), found.value(Side.RELEASE)]


@EVERY
@QUICK
@given(st.data(), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(world: World, name: str, data: st.DataObject, seed: int) -> None:
    rows = drawn(data, world)
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    assert values(world, name, shuffled) == pytest.approx(values(world, name, rows), nan_ok=True)


@EVERY
@QUICK
@given(st.data(), st.floats(0.01, 100.0))
def test_the_scale_of_weights_does_not_matter(
    world: World, name: str, data: st.DataObject, factor: float
) -> None:
    rows = drawn(data, world)
    scaled = [(*row[:-1], row[-1] * factor) for row in rows]
    assert values(world, name, scaled) == pytest.approx(values(world, name, rows), nan_ok=True)


@EVERY
@QUICK
@given(st.data())
def test_a_row_of_weight_two_counts_as_two_rows(world: World, name: str, data: st.DataObject) -> None:
    rows = drawn(data, world)
    doubled = [(*row[:-1], row[-1] * 2) for row in rows]
    assert values(world, name, doubled) == pytest.approx(values(world, name, [*rows, *rows]), nan_ok=True)


@EVERY
@QUICK
@given(st.data())
def test_identical_sides_have_no_difference(world: World, name: str, data: st.DataObject) -> None:
    found = sides(world, name, [world.same(row) for row in drawn(data, world)])
    assert found.baseline_numerator.tolist() == found.release_numerator.tolist()
    assert found.baseline_denominator.tolist() == found.release_denominator.tolist()


@EVERY
@QUICK
@given(st.data())
def test_swapped_sides_swap_the_values(world: World, name: str, data: st.DataObject) -> None:
    rows = drawn(data, world)
    swapped = [world.swapped(row) for row in rows]
    assert values(world, name, swapped) == pytest.approx(values(world, name, rows)[::-1], nan_ok=True)


@EVERY
@QUICK
@given(st.data())
def test_perfect_answers_reach_the_best_value(world: World, name: str, data: st.DataObject) -> None:
    perfect = [world.perfect(row) for row in drawn(data, world)]
    best = 1.0 if METRICS[name].direction is Direction.HIGHER else 0.0
    assert values(world, name, perfect)[1] == pytest.approx(best, abs=1e-12)


@EVERY
def test_a_worse_side_is_worse_in_the_direction_of_the_metric(world: World, name: str) -> None:
    baseline, release = values(world, name, world.worse())
    assert baseline > release if METRICS[name].direction is Direction.HIGHER else baseline < release


@EVERY
@QUICK
@given(st.data())
def test_columns_are_what_a_paired_difference_takes(world: World, name: str, data: st.DataObject) -> None:
    rows = drawn(data, world)
    found = sides(world, name, rows)
    gain = paired_difference(
        found.baseline_numerator,
        found.baseline_denominator,
        found.release_numerator,
        found.release_denominator,
        world.view(rows).groups,
        rng=np.random.default_rng(1),
        resamples=100,
        scale=found.scale,
    )
    baseline, release = values(world, name, rows)
    assert gain.difference == pytest.approx(release - baseline)


@EVERY
@QUICK
@given(st.data())
def test_no_row_makes_more_difference_than_the_scale_says(
    world: World, name: str, data: st.DataObject
) -> None:
    found = sides(world, name, drawn(data, world))
    for top, bottom in (
        (found.baseline_numerator, found.baseline_denominator),
        (found.release_numerator, found.release_denominator),
    ):
        assert (np.abs(top) <= found.scale * bottom * (1 + 1e-9)).all()


@EVERY
def test_a_metric_says_what_it_is(world: World, name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.unit
    assert metric.says
    assert isinstance(world.view(list(world.some)), metric.view)


@pytest.mark.parametrize("name", sorted(name for name in METRICS if name.endswith("@k")))
def test_a_metric_of_lists_is_cut_anywhere(name: str) -> None:
    stem = name.removesuffix("@k")
    assert [METRICS[f"{stem}@{k}"].places for k in (1, 10, 9999)] == [1, 10, 9999]
    assert METRICS[name].places is None
    for wrong in (f"{stem}@", f"{stem}@0", f"{stem}@-1", f"{stem}@1.5", f"{stem}@10000", f"{stem}@１"):
        assert wrong not in METRICS
    assert [word for word in ("accuracy@3", "accuracy@k", "bad_top1@3") if word in METRICS] == []
