"""Two lists beside each other: against the definition, published numbers, and by hand."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mangaops.metrics import Change, change, discounted_gain, overlap, rank_biased_overlap

LISTS = st.permutations("abcdefghij").flatmap(lambda all_: st.integers(0, 10).map(lambda n: list(all_[:n])))
PERSISTENCE = st.sampled_from((0.1, 0.5, 0.9, 0.98))


def by_definition(first: list[str], second: list[str], p: float) -> float:
    """(1 - p) sum of p^(d - 1) A(d) over endless lists, to a depth that holds all of the weight.

    Webber, Moffat and Zobel (2010), equation 4, with the agreement A(d) that section 4.4 assumes where a
    list has ended: the shorter one goes on with the share of overlap that it had (equation 29), and beyond
    both the agreement stays as it is there.
    """
    short, long = sorted((first, second), key=len)
    s, length = len(short), len(long)
    if not length:
        return 1.0
    if not s:
        return 0.0

    def agreement(d: int) -> float:
        shared = len(set(short[:d]) & set(long[:d]))
        if d <= s:
            return shared / d
        at_short = len(set(short) & set(long[:s]))
        if d <= length:
            return (shared + at_short * (d - s) / s) / d
        return agreement(length)

    return (1 - p) * sum(p ** (d - 1) * agreement(min(d, length)) for d in range(1, 3000))


@given(LISTS, LISTS, PERSISTENCE)
def test_rank_biased_overlap_is_that_of_its_definition(first: list, second: list, p: float) -> None:
    assert rank_biased_overlap(first, second, p) == pytest.approx(by_definition(first, second, p), abs=1e-12)


def test_agreement_by_depth_is_the_published_one() -> None:
    """Webber, Moffat and Zobel (2010), the example of average overlap in section 2: lists a b c d e f g and
    z c a v w x y agree by 0, 0, 2/3, 1/2, 2/5, 1/3 and 2/7 at depths 1 to 7."""
    first, second = list("abcdefg"), list("zcavwxy")
    published = [0.0, 0.0, 0.667, 0.5, 0.4, 0.333, 0.286]
    assert [overlap(first, second, k) for k in range(1, 8)] == pytest.approx(published, abs=5e-4)
    weighted = 0.1 * sum(0.9**d * agreement for d, agreement in enumerate(published)) + 0.9**7 * 2 / 7
    assert rank_biased_overlap(first, second, 0.9) == pytest.approx(weighted, abs=5e-4)


def test_a_swap_at_the_top_costs_the_weight_of_the_top() -> None:
    """At depth 1 nothing agrees and from depth 2 all does: 1 - (1 - p)."""
    assert rank_biased_overlap("abcdefg", "bacdefg", 0.9) == pytest.approx(0.9)


@given(LISTS, LISTS, PERSISTENCE)
def test_it_is_symmetric_and_between_0_and_1(first: list, second: list, p: float) -> None:
    found = rank_biased_overlap(first, second, p)
    assert found == pytest.approx(rank_biased_overlap(second, first, p))
    assert -1e-12 <= found <= 1 + 1e-12


@given(LISTS, PERSISTENCE)
def test_a_list_is_like_itself(items: list, p: float) -> None:
    assert rank_biased_overlap(items, items, p) == pytest.approx(1.0)
    assert change(items, items, p=p) == Change(False, False, 1.0, pytest.approx(1.0), 3, p)


@given(LISTS, PERSISTENCE)
def test_lists_that_share_nothing_are_not_alike(items: list, p: float) -> None:
    assume(items)
    other = [item.upper() for item in items]
    found = change(items, other, p=p)
    assert (found.other_top, found.other_first, found.overlap, found.alike) == (True, True, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "other_top", "other_first", "shared"),
    [
        ("abcd", "cbad", False, True, 1.0),
        ("abcd", "abdc", True, False, 2 / 3),
        ("ab", "ba", False, True, 1.0),
        ("ab", "abc", True, False, 2 / 3),
        ("", "", False, False, 1.0),
        ("", "a", True, True, 0.0),
    ],
)
def test_another_set_on_top_is_not_another_order(
    first: str, second: str, other_top: bool, other_first: bool, shared: float
) -> None:
    found = change(first, second)
    assert (found.other_top, found.other_first) == (other_top, other_first)
    assert found.overlap == pytest.approx(shared)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, float("nan")])
def test_a_persistence_outside_0_to_1_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        rank_biased_overlap("ab", "ba", p)


def test_a_list_with_an_item_twice_is_refused() -> None:
    for compare in (rank_biased_overlap, lambda a, b: overlap(a, b, 3), change):
        with pytest.raises(ValueError, match="an item twice"):
            compare("aba", "abc")
    with pytest.raises(ValueError, match="1 place or more"):
        overlap("ab", "ab", 0)


def test_a_gain_counts_places_less_the_further_down_they_stand() -> None:
    """Järvelin and Kekäläinen (2002) with log2(place + 1): 3 at the top, 2 below, the fourth place cut."""
    grades = {"a": 3.0, "b": 2.0, "d": 1.0}
    assert discounted_gain("abxd", grades, 3) == pytest.approx(3.0 + 2.0 / 1.584962500721156)
    assert discounted_gain("xbad", grades, 3) < discounted_gain("abxd", grades, 3)
    assert discounted_gain("xyz", grades, 3) == discounted_gain("", grades, 3) == 0.0
