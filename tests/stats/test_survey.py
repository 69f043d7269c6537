"""The survey estimate: what a labelled sample says about a window of traffic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.stats import Undefined, horvitz_thompson, tango


def window(groups=400, size=1):
    return {f"c{index}": size for index in range(groups)}


def names(indices):
    return [f"c{index}" for index in indices]


def test_a_complete_review_of_single_requests_is_tangos_interval():
    values = [1.0] * 12 + [-1.0] * 20 + [0.0] * 8
    found = horvitz_thompson(values, np.ones(40), names(range(40)), window())
    expected = tango(12, 20, 400, 0.9)
    assert found.estimate == pytest.approx(-8 / 400)
    assert (found.interval(0.9).low, found.interval(0.9).high) == (
        pytest.approx(expected.low, abs=1e-6),
        pytest.approx(expected.high, abs=1e-6),
    )
    assert found.design_variance == 0.0


def test_totals_are_divided_by_the_probability_of_being_drawn():
    found = horvitz_thompson([1.0, -1.0], [0.5, 0.25], names([0, 1]), window(groups=100))
    assert found.estimate == pytest.approx((1 / 0.5 - 1 / 0.25) / 100)


def test_mean_and_variance_are_those_of_repeated_sampling():
    rng = np.random.default_rng(2)
    values, group = rng.choice([-1.0, 0.0, 1.0], 300, p=[0.4, 0.2, 0.4]), rng.integers(0, 150, 300)
    chance, sizes = rng.choice([0.3, 0.8], 300), window(groups=150, size=20)
    estimates, designs = [], []
    for _ in range(800):
        drawn = rng.random(300) < chance
        found = horvitz_thompson(values[drawn], chance[drawn], names(group[drawn]), sizes)
        estimates.append(found.estimate)
        designs.append(found.design_variance)
        assert found.variance == pytest.approx(found.design_variance + found.group_variance)
    assert np.mean(estimates) == pytest.approx(values.sum() / 3000, abs=4 * np.std(estimates) / 800**0.5)
    assert np.mean(designs) == pytest.approx(np.var(estimates), rel=0.2)


def test_fewer_labels_of_the_same_traffic_widen_the_bounds():
    values, group = np.tile([1.0, -1.0], 60), names(range(120))
    all_of_them = horvitz_thompson(values, np.ones(120), group, window(2000))
    a_third = horvitz_thompson(values[::3], np.full(40, 1 / 3), group[::3], window(2000))
    assert a_third.lower(0.95) < all_of_them.lower(0.95) * 1.4


def test_items_of_one_conversation_widen_the_bounds():
    values = np.repeat([1.0, -1.0], 60)
    apart = horvitz_thompson(values, np.ones(120), names(range(120)), window(1000, size=4))
    together = horvitz_thompson(values, np.ones(120), names(np.arange(120) // 4), window(1000, size=4))
    assert together.lower(0.95) < apart.lower(0.95) * 1.6


def test_labels_without_a_single_difference_still_leave_a_bound():
    found = horvitz_thompson(np.zeros(50), np.full(50, 0.1), names(range(50)), window(5000))
    assert found.estimate == 0.0
    # 50 labels at one in ten stand for 500 requests, not 5000
    assert found.lower(0.95) == pytest.approx(-(1.645**2) / (500 + 1.645**2), rel=1e-3)


def test_unclear_items_count_against_the_side_that_is_being_bounded():
    values, group = np.tile([1.0, -1.0], 30), names(range(60))
    clear = horvitz_thompson(values, np.ones(60), group, window(1000))
    some = horvitz_thompson(values, np.ones(60), group, window(1000), unclear=np.arange(60) < 10)
    assert some.unclear == 10
    assert some.lower(0.95) < clear.lower(0.95) - 0.004
    assert some.upper(0.95) > clear.upper(0.95) + 0.004
    assert some.lower(0.5) < some.estimate < some.upper(0.5)
    assert clear.lower(0.5) == clear.estimate == clear.upper(0.5)


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_swapping_the_sides_turns_the_bounds_around_and_confidence_moves_them_outwards(seed):
    rng = np.random.default_rng(seed)
    values, chance = rng.choice([-1.0, 0.0, 1.0], 60), rng.choice([0.2, 1.0], 60)
    group, unclear = names(rng.integers(0, 400, 60) // 5 * 5), rng.random(60) < 0.1
    forth = horvitz_thompson(values, chance, group, window(400, size=60), unclear=unclear)
    back = horvitz_thompson(-values, chance, group, window(400, size=60), unclear=unclear)
    levels = [0.05, 0.3, 0.5, 0.7, 0.9, 0.99]
    lower = [forth.lower(c) for c in levels]
    assert lower == pytest.approx([-back.upper(c) for c in levels])
    assert lower == sorted(lower, reverse=True)


def test_a_window_without_requests_is_undefined_and_one_without_items_is_not():
    with pytest.raises(Undefined, match="no requests"):
        horvitz_thompson([], [], [], {})
    quiet = horvitz_thompson([], [], [], window(500))
    assert quiet.estimate == 0.0
    assert -0.01 < quiet.lower(0.95) < 0.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": [2.0, 0.0]}, "between -1 and 1"),
        ({"probabilities": [0.0, 1.0]}, "over 0"),
        ({"probabilities": [1.0]}, "one row of 2"),
        ({"groups": ["c0", "elsewhere"]}, "elsewhere"),
        ({"groups": ["c0", "c0"]}, "more items than requests"),
        ({"group_sizes": {"c0": 0, "c1": 1}}, "at least one request"),
        ({"unclear": [True]}, "unclear marks"),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(change, says):
    sound = {
        "values": [1.0, 0.0],
        "probabilities": [1.0, 1.0],
        "groups": ["c0", "c1"],
        "group_sizes": window(5),
    }
    assert horvitz_thompson(**sound).estimate == pytest.approx(0.2)
    with pytest.raises(ValueError, match=says):
        horvitz_thompson(**(sound | change))
