"""Who is answered with whom, and that what fails for one costs nobody else an answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from gateway_parts import Says, told
from hypothesis import given
from hypothesis import strategies as st

from mangaops.gateway.together import answers_to, of_like_length
from mangaops.inference import Answer


def test_the_nearest_lengths_come_first_and_of_equal_ones_the_earlier() -> None:
    assert of_like_length(40, [44, 45, 36, 40, 41, 39, 4, 400]) == [3, 4, 5, 0, 2]


def test_one_token_more_or_less_is_like_length_however_short_a_text_is() -> None:
    assert of_like_length(3, [5, 4, 3, 2, 1]) == [2, 1, 3]
    assert of_like_length(3, []) == []


@given(size=st.integers(0, 60), others=st.lists(st.integers(0, 60)))
def test_like_lengths_are_those_within_a_tenth_or_one(size: int, others: list[int]) -> None:
    near = of_like_length(size, others)
    assert sorted(near) == [n for n, each in enumerate(others) if abs(each - size) <= max(1, size / 10)]
    assert [abs(others[n] - size) for n in near] == sorted(abs(others[n] - size) for n in near)


def picky(texts: Sequence[str]) -> list[Answer]:
    if "bad" in texts:
        raise KeyError("bad")
    return [told(text) for text in texts]


def labels(found: Sequence[object]) -> list[object]:
    return [each.label if isinstance(each, Answer) else type(each) for each in found]


def test_a_text_that_fails_fails_alone() -> None:
    assert labels(answers_to(Says(picky), ["a", "bad", "c"])) == ["a", KeyError, "c"]
    assert labels(answers_to(Says(picky), ["bad"])) == [KeyError]


def test_texts_that_all_succeed_are_asked_once() -> None:
    asked: list[Sequence[str]] = []

    def counts(texts: Sequence[str]) -> list[Answer]:
        asked.append(texts)
        return [told(text) for text in texts]

    assert labels(answers_to(Says(counts), ["a", "b"])) == ["a", "b"]
    assert asked == [["a", "b"]]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_answers_that_are_too_many_or_too_few_are_nobodys(number: int) -> None:
    found = answers_to(Says(lambda _texts: [told("a")] * number), ["a", "b"])
    assert labels(found) == [ValueError, ValueError]
    assert str(found[0]) == f"the model gave {number} answers to 2 texts"
