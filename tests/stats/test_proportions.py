"""Intervals of proportions against published tables, SciPy and statsmodels."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.stats import TangoScore, clopper_pearson, tango


def test_tango_gives_the_published_interval():
    # airway hyper-responsiveness before and after transplantation, 21 children: Fagerland, Lydersen and
    # Laake (2014), Statistics in Medicine 33:2850, table of the 95 % intervals, Tango asymptotic score
    found = tango(1, 7, 21, 0.95)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)


@pytest.mark.parametrize(("b", "c", "n"), [(1, 7, 21), (0, 3, 44), (16, 6, 161), (53, 16, 292)])
@pytest.mark.parametrize("difference", [-0.6, -0.1, -0.01, 0.05, 0.3])
def test_tango_statistic_rests_on_the_constrained_maximum_likelihood(b, c, n, difference):
    from scipy.optimize import minimize_scalar

    def unlikely(losses):
        gains, rest = losses + difference, 1.0 - 2.0 * losses - difference
        return -(b * math.log(gains) + c * math.log(losses) + (n - b - c) * math.log(rest))

    edges = (max(0.0, -difference) + 1e-12, (1.0 - difference) / 2.0 - 1e-12)
    losses = minimize_scalar(unlikely, bounds=edges, method="bounded", options={"xatol": 1e-12}).x
    error = math.sqrt((2.0 * losses + difference * (1.0 - difference)) / n)
    expected = ((b - c) / n - difference) / error
    assert TangoScore(b, c, n).statistic(difference) == pytest.approx(expected, rel=1e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.floats(0.55, 0.995))
@settings(deadline=None)
def test_tango_bounds_are_where_the_score_statistic_reaches_the_quantile(b, c, rest, confidence):
    from scipy.stats import norm

    score = TangoScore(b, c, b + c + rest)
    low, high = score.lower(confidence), score.upper(confidence)
    assert -1.0 <= low <= score.estimate <= high <= 1.0
    assert score.statistic(low) == pytest.approx(norm.ppf(confidence), abs=1e-5)
    assert score.statistic(high) == pytest.approx(-norm.ppf(confidence), abs=1e-5)


def test_tango_statistic_at_zero_is_mcnemars():
    assert TangoScore(12, 5, 100).statistic(0.0) == pytest.approx((12 - 5) / math.sqrt(12 + 5))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.floats(0.01, 0.99))
@settings(deadline=None)
def test_tango_turns_around_when_the_sides_swap(b, c, rest, level):
    n = b + c + rest + 1
    forth, back = tango(b, c, n, level), tango(c, b, n, level)
    assert (forth.low, forth.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


def test_tango_without_any_discordant_pair_is_wilsons_bound_of_zero():
    z2 = 1.959964**2
    found = tango(0, 0, 200, 0.95)
    assert found.high == pytest.approx(z2 / (200 + z2))
    assert found.low == pytest.approx(-found.high)


def test_tango_where_every_pair_is_a_gain():
    found = tango(25, 0, 25, 0.95)
    assert found.high == 1.0
    assert 0.7 < found.low < 1.0


def test_tango_at_level_zero_is_the_estimate():
    assert tango(7, 3, 50, 0.0).low == tango(7, 3, 50, 0.0).high == 4 / 50


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_tango_refuses_counts_that_cannot_be(b, c, n):
    with pytest.raises(ValueError, match="do not fit"):
        tango(b, c, n, 0.95)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.05, 0.999))
@settings(deadline=None)
def test_clopper_pearson_is_scipys(successes, failures, level):
    from scipy.stats import binomtest

    n = successes + failures + 1
    found = clopper_pearson(successes, n, level)
    expected = binomtest(successes, n).proportion_ci(level, method="exact")
    assert (found.low, found.high) == (
        pytest.approx(expected.low, abs=1e-9),
        pytest.approx(expected.high, abs=1e-9),
    )


def test_no_trials_say_nothing():
    assert (clopper_pearson(0, 0, 0.9).low, clopper_pearson(0, 0, 0.9).high) == (0.0, 1.0)


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        clopper_pearson(6, 5, 0.9)


@pytest.mark.parametrize("level", [1.0, -0.1, float("nan")])
def test_a_level_outside_its_range_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        clopper_pearson(1, 5, level)
