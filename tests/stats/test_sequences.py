"""The confidence sequence: exact where it says so, wider where requests come in groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.stats import Undefined, bernoulli_sequence, clopper_pearson


def test_it_is_robbins_mixture():
    from scipy.optimize import brentq
    from scipy.stats import betabinom, binom

    share, found = bernoulli_sequence([1] * 30 + [0] * 70, None, 0.95)

    def wealth_left(p):
        return binom.logpmf(30, 100, p) - betabinom.logpmf(30, 100, 0.5, 0.5) - np.log(0.05)

    assert share == 0.3
    assert found.low == pytest.approx(brentq(wealth_left, 0.01, 0.3), abs=1e-9)
    assert found.high == pytest.approx(brentq(wealth_left, 0.3, 0.9), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.5, 0.99))
@settings(deadline=None)
def test_it_holds_the_share_and_costs_more_than_one_look(successes, failures, level):
    n = successes + failures
    if n == 0:
        return
    share, found = bernoulli_sequence([1] * successes + [0] * failures, None, level)
    once = clopper_pearson(successes, n, level)
    assert 0.0 <= found.low <= share <= found.high <= 1.0
    if level >= 0.9:
        assert found.high - found.low >= (once.high - once.low) * 0.95


def test_order_does_not_matter_and_groups_of_one_change_nothing():
    successes = np.random.default_rng(0).random(300) < 0.2
    plain = bernoulli_sequence(successes, None, 0.95)
    assert bernoulli_sequence(np.sort(successes), None, 0.95) == plain
    assert bernoulli_sequence(successes, np.arange(300), 0.95) == plain


def test_conversations_that_answer_alike_widen_it():
    successes = np.random.default_rng(0).random(300) < 0.2
    _, alone = bernoulli_sequence(successes, None, 0.95)
    _, alike = bernoulli_sequence(np.repeat(successes, 5), np.repeat(np.arange(300), 5), 0.95)
    assert alike.high - alike.low > 0.9 * (alone.high - alone.low)
    assert "design effect" in alike.method


def test_nothing_seen_in_groups_is_worth_groups_not_requests():
    _, groups = bernoulli_sequence(np.zeros(1000), np.arange(1000) // 10, 0.95)
    _, hundred = bernoulli_sequence(np.zeros(100), None, 0.95)
    assert groups.high == pytest.approx(hundred.high)


def test_the_rate_of_ever_missing_is_within_its_promise():
    rng, missed, runs = np.random.default_rng(6), 0, 300
    for _ in range(runs):
        seen = (rng.random(400) < 0.1).astype(float)
        moments = (10, 20, 40, 80, 120, 160, 200, 250, 300, 350, 400)
        missed += any(0.1 not in bernoulli_sequence(seen[:t], None, 0.8)[1] for t in moments)
    assert 0 < missed <= 0.2 * runs


def test_no_requests_and_numbers_that_are_no_shares_are_refused():
    with pytest.raises(Undefined, match="no requests"):
        bernoulli_sequence([], None, 0.95)
    with pytest.raises(ValueError, match="between 0 and 1"):
        bernoulli_sequence([2.0], None, 0.95)
