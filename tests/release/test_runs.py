"""A release run in the ledger: begun once, gone on with, requested by others."""

from __future__ import annotations

from desk_world import World

from mangaops.registry import drafts
from mangaops.release import runs
from mangaops.release.desk import append, state
from mangaops.vocabulary import Because


def test_a_run_that_never_finished_goes_on_under_its_name(world: World) -> None:
    first = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
    again = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
    assert (again.run, again.revision, again.resumed) == (first.run, first.revision, True)


def test_a_finished_run_is_followed_by_a_new_one(world: World) -> None:
    first = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
    runs.finish(world.desk, "router", first.run, outcome="HOLD", reason="not enough labels")
    second = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
    assert second.run != first.run
    assert not second.resumed


def test_a_run_that_was_asked_to_do_something_else_does_not_go_on_with_a_killed_one(world: World) -> None:
    killed = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
    other = runs.begin(world.desk, "router", because=Because.SCHEDULE, reason="weekly", plan="b")
    assert (other.resumed, other.because) == (False, Because.SCHEDULE)
    known = state(world.desk, "router").runs
    assert (known[killed.run].outcome, known[other.run].outcome) == ("killed", None)


def test_a_requested_run_keeps_the_cause_of_its_request(world: World) -> None:
    asked = drafts.run_requested(
        "router", run="asked-1", because=Because.DRIFT, reason="drift", actor="console"
    )
    append(world.desk, [asked], expect={"router": state(world.desk, "router").revision})
    for resumed in (False, True):
        begun = runs.begin(world.desk, "router", because=Because.MANUAL, reason="weekly", plan="a")
        assert (begun.run, begun.because, begun.resumed) == ("asked-1", Because.DRIFT, resumed)
    assert state(world.desk, "router").runs["asked-1"].because == Because.DRIFT


def test_a_requested_run_is_the_one_that_begins(world: World) -> None:
    asked = drafts.run_requested(
        "router", run="asked-1", because=Because.QUALITY, reason="drop", actor="console"
    )
    append(world.desk, [asked], expect={"router": state(world.desk, "router").revision})
    assert runs.begin(world.desk, "router", because=Because.QUALITY, reason="drop", plan="a").run == "asked-1"
    assert state(world.desk, "router").runs["asked-1"].started_at is not None
