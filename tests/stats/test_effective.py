"""Student's quantile where a few large groups decide, and Tango's interval where all groups are alike."""

import math

import numpy as np
import pytest

from mangaops.stats import tango
from mangaops.stats.effective import effective_score, variance_degrees


def test_equal_contributions_leave_the_variance_certain():
    assert math.isinf(variance_degrees(np.array([1.0, -1.0, 1.0, 0.0])))
    assert math.isinf(variance_degrees(np.array([0.3])))
    assert math.isinf(variance_degrees(np.zeros(4)))


def test_degrees_are_those_of_the_moments_of_the_squares():
    """Squares 1, 1, 4: 2 x 6^2 / (18 - 6^2 / 3) = 12; the scale of the contributions cancels."""
    contributions = np.array([1.0, -1.0, 2.0, 0.0])
    assert variance_degrees(contributions) == pytest.approx(12.0)
    assert variance_degrees(contributions * 0.01) == pytest.approx(12.0)


def test_rows_apart_keep_tangos_interval():
    contributions = np.repeat([1.0, -1.0, 0.0], [3, 9, 188]) / 200
    found = effective_score(contributions, np.full(200, 1 / 200), 1.0)
    exact = tango(3, 9, 200, 0.9)
    assert (found.lower(0.95), found.upper(0.95)) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_one_long_conversation_widens_both_bounds_and_leaves_the_estimate():
    contributions = np.concatenate([[30.0], np.repeat([1.0, -1.0, 0.0], [40, 40, 919])]) / 1030
    few = effective_score(contributions, np.full(1000, 1 / 1000), 1.0)
    sure = type(few)(few.score, few.scale)
    assert few.degrees < 5
    assert few.lower(0.95) < sure.lower(0.95) < sure.upper(0.95) < few.upper(0.95)
    assert few.lower(0.5) == sure.lower(0.5)
