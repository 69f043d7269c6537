"""The paired difference: what a gate reads off it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.stats import Undefined, paired_difference, tango


def compare(a, b, groups=None, weights=None, seed=0, **options):
    a, b = np.asarray(a, float), np.asarray(b, float)
    w = np.ones(a.size) if weights is None else np.asarray(weights, float)
    groups = np.arange(a.size) if groups is None else groups
    return paired_difference(a * w, w, b * w, w, groups, rng=np.random.default_rng(seed), **options)


def traffic(rows=600, size=3, differ=0.1, seed=3):
    rng = np.random.default_rng(seed)
    a = (rng.random(rows) < 0.9).astype(float)
    b = np.where(rng.random(rows) < differ, 1.0 - a, a)
    return a, b, np.arange(rows) // size


def test_rows_of_their_own_give_tangos_interval():
    a, b, _ = traffic()
    found, expected = compare(a, b), tango(int((b > a).sum()), int((b < a).sum()), a.size, 0.9)
    assert found.method == "tango"
    assert (found.interval(0.9).low, found.interval(0.9).high) == (
        pytest.approx(expected.low),
        pytest.approx(expected.high),
    )


def test_equal_weights_of_any_size_are_unit_weights():
    a, b, _ = traffic()
    assert compare(a, b, weights=np.full(a.size, 0.25)).lower(0.95) == pytest.approx(
        compare(a, b).lower(0.95)
    )


def test_groups_that_answer_alike_widen_the_interval():
    a, b, _ = traffic(rows=300)
    alone = compare(a, b)
    alike = compare(np.repeat(a, 4), np.repeat(b, 4), groups=np.repeat(np.arange(a.size), 4))
    as_if_independent = compare(np.repeat(a, 4), np.repeat(b, 4))
    assert "bootstrap" in alike.method
    assert alike.lower(0.95) == pytest.approx(alone.lower(0.95), abs=0.006)
    assert alike.lower(0.95) < as_if_independent.lower(0.95) - 0.006


def test_no_discordant_group_still_leaves_a_bound_that_falls_with_groups_not_rows():
    few, many = np.ones(200), np.ones(2000)
    by_four = compare(few, few, groups=np.arange(200) // 4)
    assert by_four.difference == 0.0
    assert by_four.lower(0.95) == pytest.approx(-(1.645**2) / (50 + 1.645**2), rel=1e-3)
    assert compare(many, many, groups=np.arange(2000) // 40).lower(0.95) == pytest.approx(by_four.lower(0.95))


def test_one_discordant_group_is_not_judged_by_the_bootstrap_alone():
    a = np.ones(400)
    b = a.copy()
    b[0] = 0.0
    found = compare(a, b, groups=np.arange(400) // 2)
    assert found.discordant_groups == 1
    assert found.lower(0.95) < float(np.quantile(found.resampled, 0.05)) - 0.005
    assert found.upper(0.95) > 0.0


@given(st.integers(0, 2**32), st.sampled_from([1, 3]), st.floats(0.0, 0.4))
@settings(max_examples=30, deadline=None)
def test_bounds_move_outwards_with_confidence_and_meet_at_the_difference(seed, size, differ):
    a, b, groups = traffic(rows=90, size=size, differ=differ, seed=seed)
    found = compare(a, b, groups=groups, resamples=200)
    levels = np.linspace(0.01, 0.99, 29)
    lower, upper = [found.lower(c) for c in levels], [found.upper(c) for c in levels]
    assert lower == sorted(lower, reverse=True)
    assert upper == sorted(upper)
    assert found.lower(0.5) == found.difference == found.upper(0.5)


@given(st.integers(0, 2**32), st.sampled_from([1, 3]), st.floats(-0.05, 0.05))
@settings(max_examples=30, deadline=None)
def test_confidence_above_is_where_the_lower_bound_crosses_the_threshold(seed, size, threshold):
    a, b, groups = traffic(rows=120, size=size, seed=seed)
    found = compare(a, b, groups=groups, resamples=200)
    reached = found.confidence_above(threshold)
    if reached > 0.0:
        assert found.lower(reached) >= threshold
    if 0.0 < reached < 0.999:
        assert found.lower(reached + 1e-6) < threshold


def test_confidence_above_and_below_are_at_least_half_exactly_when_the_estimate_complies():
    a, b, groups = traffic()
    found = compare(a, b, groups=groups)
    assert found.confidence_above(found.difference) >= 0.5
    assert found.confidence_above(found.difference + 1e-9) < 0.5
    assert found.confidence_below(found.difference) >= 0.5
    assert found.confidence_below(found.difference - 1e-9) < 0.5


def test_a_difference_of_exactly_the_margin_is_not_lost_to_floats():
    a, b = np.zeros(2000), np.zeros(2000)
    a[:1804], b[:1800] = 1.0, 1.0
    assert compare(a, b).lower(0.5) >= -0.002
    assert compare(a, b, groups=np.arange(2000) // 2).lower(0.5) >= -0.002


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=20, deadline=None)
def test_swapping_the_sides_turns_the_bounds_around(seed, weighted):
    a, b, groups = traffic(rows=150, seed=seed)
    weights = np.random.default_rng(seed).choice([0.5, 2.0], a.size) if weighted else None
    forth = compare(a, b, groups=groups, weights=weights, resamples=2000)
    back = compare(b, a, groups=groups, weights=weights, resamples=2000)
    assert back.difference == -forth.difference
    # two sets of resamples: equal up to the error of a simulated quantile
    assert -back.upper(0.9) == pytest.approx(forth.lower(0.9), abs=0.01)


@given(st.sampled_from([0.25, 4.0, 1024.0]))
@settings(deadline=None)
def test_the_unit_of_weights_changes_nothing(factor):
    a, b, groups = traffic()
    weights = np.random.default_rng(1).choice([0.5, 2.0], a.size)
    once, again = (compare(a, b, groups=groups, weights=weights * k) for k in (1.0, factor))
    assert again.interval(0.9).low == pytest.approx(once.interval(0.9).low)


def test_order_of_rows_and_names_of_groups_change_nothing():
    a, b, groups = traffic()
    order = np.random.default_rng(9).permutation(a.size)
    names = np.array([f"conversation-{g}" for g in groups], dtype=object)
    plain = compare(a, b, groups=groups)
    for other in (compare(a[order], b[order], groups=groups[order]), compare(a, b, groups=names.tolist())):
        assert other.interval(0.9) == plain.interval(0.9)
        assert other.groups == 200


def test_the_same_generator_gives_the_same_bounds():
    a, b, groups = traffic()
    assert compare(a, b, groups=groups).lower(0.95) == compare(a, b, groups=groups).lower(0.95)


def test_scipys_bootstrap_agrees():
    from scipy.stats import bootstrap

    a, b, groups = traffic(rows=3000, differ=0.2)
    weights = np.random.default_rng(1).random(a.size)
    found = compare(a, b, groups=groups, weights=weights, resamples=8000)
    top, bottom = np.bincount(groups, weights=(b - a) * weights), np.bincount(groups, weights=weights)
    oracle = bootstrap(
        (top, bottom),
        lambda x, y, axis=-1: x.sum(axis) / y.sum(axis),
        paired=True,
        n_resamples=8000,
        batch=500,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    ours = np.quantile(found.resampled, [0.05, 0.95])
    assert ours == pytest.approx([oracle.low, oracle.high], abs=0.05 * (oracle.high - oracle.low))


def test_denominators_that_differ_by_side_are_two_ratios():
    # precision: side b predicts the label on fewer rows, and is right more often
    right = np.array([1, 1, 0, 0, 1, 0] * 50, float)
    shown_a, shown_b = np.ones(300), np.array([1, 1, 0, 1, 1, 0] * 50, float)
    found = paired_difference(
        right, shown_a, right * shown_b, shown_b, np.arange(300), rng=np.random.default_rng(0)
    )
    assert (found.estimate_a, found.estimate_b) == (0.5, 0.75)
    assert found.difference == 0.25
    assert found.discordant_groups == 100
    assert 0.2 < found.lower(0.95) < 0.25 < found.upper(0.95) < 0.3


def test_rows_where_the_metric_is_undefined_do_not_count():
    a, b, groups = traffic(rows=90)
    held = np.zeros(90)
    held[:30] = 1.0
    found = paired_difference(a * held, held, b * held, held, groups, rng=np.random.default_rng(0))
    assert (found.rows, found.groups) == (30, 10)


def test_costs_are_bounded_by_the_largest_cost_even_if_no_row_differs():
    cost = np.zeros(500)
    cost[:20] = 40.0
    found = compare(cost, cost, groups=np.arange(500) // 2)
    assert found.upper(0.95) == pytest.approx(40 * 1.645**2 / (250 + 1.645**2), rel=1e-3)
    nothing_seen = compare(np.zeros(500), np.zeros(500), groups=np.arange(500) // 2, scale=40.0)
    assert nothing_seen.upper(0.95) == pytest.approx(found.upper(0.95))


@pytest.mark.parametrize("rows", [0, 4])
def test_nothing_to_measure_on_is_said_in_a_sentence(rows):
    nothing = np.zeros(rows)
    with pytest.raises(Undefined, match="side a has no row"):
        paired_difference(nothing, nothing, nothing, nothing, np.arange(rows), rng=np.random.default_rng(0))


def test_one_side_without_denominator_is_named():
    one, none = np.ones(3), np.zeros(3)
    with pytest.raises(Undefined, match="side b"):
        paired_difference(one, one, none, none, np.arange(3), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"numerator_a": [1.0, float("nan")]}, "NaN"),
        ({"numerator_b": [1.0]}, "one row of 2"),
        ({"denominator_a": [1.0, -1.0]}, "negative"),
        ({"denominator_b": [1.0, 0.0]}, "not zero"),
        ({"groups": [1]}, "one group a row"),
        ({"resamples": 5}, "100 resamples"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(change, says):
    sound = {
        "numerator_a": [1.0, 0.0],
        "denominator_a": [1.0, 1.0],
        "numerator_b": [1.0, 1.0],
        "denominator_b": [1.0, 1.0],
        "groups": [1, 2],
    }
    assert paired_difference(**sound, rng=np.random.default_rng(0)).difference == 0.5
    with pytest.raises(ValueError, match=says):
        paired_difference(**(sound | change), rng=np.random.default_rng(0))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5])
def test_a_confidence_outside_its_range_is_refused(confidence):
    a, b, _ = traffic()
    with pytest.raises(ValueError, match="strictly between"):
        compare(a, b).lower(confidence)
