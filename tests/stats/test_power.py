"""What a question costs, and what several cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.stats import TangoScore, holm, labels_for_review, rows_to_settle, split_confidence


def test_the_price_of_the_designs_example():
    assert rows_to_settle(0.02, 0.002, 0.95) == pytest.approx(31_000, rel=0.01)
    assert labels_for_review(0.02, 0.002, 0.95) == pytest.approx(620, rel=0.01)


def test_that_many_rows_have_the_power_they_promise():
    discordance, margin = 0.05, 0.02
    n = rows_to_settle(discordance, margin, 0.95, power=0.8)
    rng, runs = np.random.default_rng(0), 400
    differ = rng.binomial(n, discordance, runs)
    gains = rng.binomial(differ, 0.5)
    passed = sum(
        TangoScore(int(b), int(d - b), n).lower(0.95) >= -margin for b, d in zip(gains, differ, strict=True)
    )
    assert passed / runs == pytest.approx(0.8, abs=0.06)


def test_without_discordance_the_rows_are_those_of_the_bound_itself():
    n = rows_to_settle(0.0, 0.01, 0.95)
    assert TangoScore(0, 0, n).lower(0.95) >= -0.01
    assert TangoScore(0, 0, n - 2).lower(0.95) < -0.01


def test_groups_multiply_the_price_and_a_zero_margin_has_none():
    assert rows_to_settle(0.1, 0.01, 0.95, design_effect=3.0) == pytest.approx(
        3 * rows_to_settle(0.1, 0.01, 0.95), abs=3
    )
    assert rows_to_settle(0.1, 0.0, 0.95) is None
    assert labels_for_review(0.1, 0.0, 0.95) is None


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="discordance"):
        rows_to_settle(1.5, 0.01, 0.95)
    with pytest.raises(ValueError, match="confidence"):
        rows_to_settle(0.1, 0.01, 1.0)


@given(st.lists(st.floats(0.0, 1.0), max_size=12))
@settings(deadline=None)
def test_holm_is_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    found = holm(p_values)
    assert found.size == len(p_values)
    if p_values:
        assert found == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match="p-values"):
        holm([0.1, 1.2])
    with pytest.raises(ValueError, match="p-values"):
        holm([float("nan")])


def test_looks_split_the_level():
    assert split_confidence(0.95, 3) == pytest.approx(1 - 0.05 / 3)
    assert split_confidence(0.95, 1) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="at least one look"):
        split_confidence(0.95, 0)
