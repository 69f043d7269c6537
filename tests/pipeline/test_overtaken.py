"""A release that takes the open place of one that people review says so."""

from __future__ import annotations

from mangaops.pipeline.release_run import overtaken
from mangaops.registry import Release, ReviewRef, UnitState
from mangaops.vocabulary import Because, State


def held(reviews: tuple[ReviewRef, ...], because: str = "superseded by router-3") -> UnitState:
    release = Release(
        name="router-2",
        digest="sha256:" + "0" * 64,
        models={},
        parts={},
        state=State.WITHDRAWN,
        evidence=(),
        decisions=(),
        reviews=reviews,
        error_reviews=(),
        because=Because.SCHEDULE,
        at="2026-04-24T00:00:00Z",
        reason="weekly",
        actor="tester",
        revision=5,
        reopened_at=0,
        stands_since="2026-05-01T00:00:00Z",
        stands_because=because,
    )
    return UnitState("router", releases={"router-2": release})


REVIEW = ReviewRef("review-1", "sha256:" + "1" * 64, "2026-04-24T00:00:00Z", 6)


def test_a_review_that_was_thrown_away_is_named_with_the_way_back() -> None:
    says = overtaken(held((REVIEW,)), "router-3")
    assert "open review-1 of router-2" in says
    assert "release reopen router-2" in says


def test_nothing_is_said_where_nobody_was_asked_or_another_release_did_it() -> None:
    assert overtaken(held(()), "router-3") == ""
    assert overtaken(held((REVIEW,), "superseded by router-4"), "router-3") == ""
