"""Feedback: once a request, durable, shared by the processes of a gateway."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mangaops.errors import SetupError
from mangaops.store import FeedbackBook


def feedback(request_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "at": "2026-04-20T03:00:00.000000Z",
        "unit": "router",
        "release": "router-1",
        "generation": 1,
        "outcome": "helped",
        "label": None,
    } | changes


def tell_fifty(path: Path) -> int:
    """Feedback on fifty requests, from four threads; how often it was the first."""
    book = FeedbackBook(path)
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda number: book.record(feedback(f"r{number}")), range(50)))


def test_feedback_is_kept_once_a_request(tmp_path: Path) -> None:
    book = FeedbackBook(tmp_path / "gateway" / "feedback.db")
    assert book.record(feedback("a"))
    assert not book.record(feedback("a", outcome="hurt"))
    assert book.record(feedback("b", outcome=None, label="faq"))
    book.close()
    rows = FeedbackBook(tmp_path / "gateway" / "feedback.db").rows()
    assert rows == [
        feedback("a") | {"reviewed": 0},
        feedback("b", outcome=None, label="faq") | {"reviewed": 0},
    ]


def review(request_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "at": "2026-04-21T03:00:00.000000Z",
        "reviewer": "mei",
        "label": "faq",
        "reason": "read it",
    } | changes


def test_a_review_stands_once_and_only_of_feedback_that_is_there(tmp_path: Path) -> None:
    book = FeedbackBook(tmp_path / "feedback.db")
    for name in ("a", "b"):
        assert book.record(feedback(name))
    assert book.review(review("a"))
    assert not book.review(review("a", label="promotion"))
    assert not book.review(review("c"))
    with pytest.raises(SetupError, match="cannot be used"):
        book.review(review("b", reason=None))
    assert book.reviews() == [review("a")]
    assert [row["reviewed"] for row in book.rows()] == [1, 0]
    assert book.review(review("b", label=None))


def test_a_book_of_before_reviews_is_gone_on_with(tmp_path: Path) -> None:
    book = FeedbackBook(tmp_path / "feedback.db")
    book.record(feedback("a"))
    book.close()
    with sqlite3.connect(tmp_path / "feedback.db") as old:
        old.execute("DROP TABLE reviews")
    old.close()
    assert FeedbackBook(tmp_path / "feedback.db").review(review("a"))


def test_of_many_threads_and_processes_that_tell_the_same_one_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    FeedbackBook(path).close()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(tell_fifty(path))
        children.append(child)
    heard = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sum(heard) == 50
    assert len(FeedbackBook(path).rows()) == 50


def test_a_row_that_is_none_and_a_book_that_is_none_are_refused(tmp_path: Path) -> None:
    book = FeedbackBook(tmp_path / "feedback.db")
    with pytest.raises(SetupError, match="cannot be used"):
        book.record(feedback("a", unit=None))
    (tmp_path / "other.db").write_text("no database at all, and long enough to be seen as one" * 40)
    with pytest.raises(SetupError, match="cannot be used"):
        FeedbackBook(tmp_path / "other.db")
