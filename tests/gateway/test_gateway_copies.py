"""Copies in the shadow process: like lengths leave together, the oldest first, and none waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from mangaops.gateway.copies import _LINGER, _TOGETHER, _TOKENS, _WAITING, Copies, Copy
from mangaops.gateway.units import Unit
from mangaops.stack import LogSpec, ShadowSpec
from mangaops.vocabulary import Family

ROUTER = Unit("router", Family.INTENT_CLASSIFIER, "fallback:offer_human", ShadowSpec(), LogSpec(), 0.0)


def copy(text: str, challenger: str = "router-2") -> Copy:
    return Copy({"text": text, "options": None, "release": "router-1", "challenger": challenger}, ROUTER)


def many(others: int = 1000) -> Callable[[Copy], int]:
    """Each copy reads its words, and may go with so many others."""

    def beside(copy: Copy) -> int:
        copy.read = copy.asked.split()
        return others

    return beside


def taken(copies: Copies) -> list[list[str]]:
    """The texts of all that waits, as they leave."""
    found = []
    while group := copies.take(0.01):
        found.append([each.values["text"] for each in group])
    return found


def filled(texts: Sequence[str], beside: Callable[[Copy], int] | None = None) -> Copies:
    copies = Copies(beside or many())
    for text in texts:
        copies.put(copy(text))
    return copies


def test_like_lengths_leave_together_behind_the_oldest() -> None:
    texts = ["a b c d", "one", "e f g h i", "two", "j " * 30]
    assert taken(filled(texts)) == [[texts[0], texts[2]], ["one", "two"], [texts[4]]]


def test_copies_of_other_sides_leave_apart() -> None:
    copies = filled(["a", "b"])
    copies.put(copy("c", challenger="router-3"))
    copies.put(copy("d"))
    assert taken(copies) == [["a", "b", "d"], ["c"]]


def test_what_goes_alone_leaves_at_once() -> None:
    copies, begun = filled(["a", "b"], lambda _copy: 0), time.monotonic()
    assert taken(copies) == [["a"], ["b"]]
    assert time.monotonic() - begun < _LINGER


def test_what_goes_alone_is_taken_by_none_as_company() -> None:
    def beside(copy: Copy) -> int:
        return 0 if copy.asked == "late" else many()(copy)

    assert taken(filled(["a", "late", "b"], beside)) == [["a", "b"], ["late"]]


@pytest.mark.parametrize(
    ("beside", "words", "most"),
    [(1000, 2, _TOGETHER), (2, 2, 3), (1000, _TOKENS // 4, 4), (1000, 3 * _TOKENS, 1)],
    ids=["texts", "as told", "tokens", "one text too long"],
)
def test_a_batch_is_bounded(beside: int, words: int, most: int) -> None:
    groups = taken(filled(["w " * words] * 20, many(beside)))
    assert max(map(len, groups)) == most
    assert sum(map(len, groups)) == 20


def test_none_waits_longer_than_it_may_and_none_comes_out_of_nothing() -> None:
    copies = filled(["a"])
    assert taken(copies) == [["a"]]
    assert copies.take(0.01) == []


def test_where_many_wait_nobody_waits_for_more() -> None:
    copies = filled(["one"] * _WAITING)
    begun = time.monotonic()
    waits = threading.Thread(target=lambda: copies.put(copy("one")))
    waits.start()  # there is no room before one is taken
    assert len(copies.take(0.01)) == _TOGETHER
    waits.join()
    assert time.monotonic() - begun < _LINGER
