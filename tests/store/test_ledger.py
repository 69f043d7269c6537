"""One contract, over SQLite and PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

import histories as h
from mangaops.errors import IllegalMove, RevisionConflict, UsageError
from mangaops.registry import GENESIS, Draft, fold
from mangaops.store import Ledger
from mangaops.vocabulary import EventKind


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


def test_an_empty_ledger_has_no_streams_and_nothing_wrong(ledger: Ledger) -> None:
    assert ledger.heads() == {}
    assert ledger.read("router") == []
    assert ledger.verify().ok


def test_what_is_appended_is_read_back_as_it_was_hashed(ledger: Ledger) -> None:
    told = h.weeks(2)
    events = ledger.append(told, expect={"router": 0}, at=h.AT)
    assert events == h.sealed(told) == ledger.read("router")
    assert [event.revision for event in events] == list(range(1, len(told) + 1))
    assert events[0].previous_hash == GENESIS
    assert ledger.read("router", after=12) == events[12:]
    assert ledger.heads()["router"] == ("router", len(told), events[-1].hash)
    assert fold(events).champion == "router-2"


def test_another_process_that_opens_the_ledger_sees_the_same(ledger: Ledger, ledger_url: str) -> None:
    ledger.append(h.weeks(1), expect={"router": 0}, at=h.AT)
    with Ledger(ledger_url, create=False) as other:
        assert other.read("router") == ledger.read("router")
        other.append([h.model(2)], expect={"router": 7}, at=h.AT)
    ledger.append([h.release(2)], expect={"router": 8}, at=h.AT)
    assert ledger.verify().ok


def test_a_moved_stream_is_named_with_both_revisions_and_nothing_changes(ledger: Ledger) -> None:
    ledger.append(h.weeks(1), expect={"router": 0}, at=h.AT)
    before = ledger.heads()
    with pytest.raises(RevisionConflict) as caught:
        ledger.append([h.model(2)], expect={"router": 6}, at=h.AT)
    assert caught.value.found == "router at revision 7"
    assert caught.value.accepted == "router at revision 6"
    assert ledger.heads() == before
    ledger.append([h.model(2)], expect={"router": 7}, at=h.AT)


def test_a_stream_that_was_only_read_is_checked_too(ledger: Ledger) -> None:
    ledger.append([h.dataset(1)], expect={}, at=h.AT)
    with pytest.raises(RevisionConflict, match="data/intent-data at revision 1"):
        ledger.append([h.model(1)], expect={"router": 0, "data/intent-data": 0}, at=h.AT)
    assert ledger.read("router") == []
    ledger.append([h.model(1)], expect={"router": 0, "data/intent-data": 1}, at=h.AT)
    assert set(ledger.heads()) == {"router", "data/intent-data"}


def test_one_append_may_span_streams(ledger: Ledger) -> None:
    told = [h.dataset(1), h.model(1), h.dataset(2), h.release(1)]
    ledger.append(told, expect={"router": 0, "data/intent-data": 0}, at=h.AT)
    assert [e.kind for e in ledger.read("router")] == ["model_registered", "release_registered"]
    assert [e.revision for e in ledger.read("data/intent-data")] == [1, 2]
    assert ledger.verify().events == 4


def test_of_several_streams_one_refused_event_keeps_all_out(ledger: Ledger) -> None:
    with pytest.raises(IllegalMove):
        ledger.append([h.dataset(1), h.passed(1)], expect={}, at=h.AT)
    assert ledger.heads() == {}
    assert ledger.read("data/intent-data") == []


def test_a_stream_that_is_not_expected_takes_events_at_any_revision(ledger: Ledger) -> None:
    ledger.append([h.requested(1)], expect={}, at=h.AT)
    ledger.append([h.requested(2)], expect={}, at=h.AT)
    assert len(ledger.read("stack")) == 2


def test_no_drafts_check_the_revisions_and_append_nothing(ledger: Ledger) -> None:
    assert ledger.append([], expect={"router": 0}, at=h.AT) == []
    assert ledger.append([], expect={}, at=h.AT) == []
    assert ledger.heads() == {}
    with pytest.raises(RevisionConflict):
        ledger.append([], expect={"router": 1}, at=h.AT)


def test_an_illegal_move_changes_nothing(ledger: Ledger) -> None:
    ledger.append(h.weeks(1), expect={"router": 0}, at=h.AT)
    with pytest.raises(IllegalMove, match="router-1 is champion"):
        ledger.append([h.promoted(1, after=1, generation=2)], expect={"router": 7}, at=h.AT)
    assert len(ledger.read("router")) == 7
    ledger.append([h.model(2)], expect={"router": 7}, at=h.AT)


def test_an_incomplete_draft_or_time_changes_nothing(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no reason") as caught:
        ledger.append([Draft("router", EventKind.OFFLINE_PASSED, {"release": "x"}, "me")], expect={}, at=h.AT)
    assert caught.value.next_step == "say why: --reason TEXT"
    with pytest.raises(UsageError, match="no actor") as caught:
        ledger.append([replace(h.requested(1), actor="")], expect={}, at=h.AT)
    assert caught.value.next_step == ""
    with pytest.raises(UsageError, match="no time in UTC"):
        ledger.append([h.requested(1)], expect={}, at="today")
    assert ledger.heads() == {}


def test_text_of_every_kind_survives(ledger: Ledger) -> None:
    odd = 'quotes " and \\ , emoji 🎌, 日本語, nul \x00, line\nbreak, %s :name'
    ledger.append([h.model(1, config={"note": odd, "tiny": 5e-324, "big": 1e300})], expect={}, at=h.AT)
    (event,) = ledger.read("router")
    assert event.body["config"] == {"note": odd, "tiny": 5e-324, "big": 1e300}
    assert ledger.verify().ok


def test_threads_may_share_a_ledger_and_one_wins_each_revision(ledger: Ledger) -> None:
    ledger.append(h.weeks(1), expect={"router": 0}, at=h.AT)
    gate = Barrier(6)

    def attempt(number: int) -> bool:
        gate.wait()
        try:
            ledger.append([h.model(number)], expect={"router": 7}, at=h.AT)
        except RevisionConflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(attempt, range(2, 8)))
    assert won.count(True) == 1
    assert len(ledger.read("router")) == 8


def test_a_child_process_does_not_use_its_parents_connection(ledger: Ledger) -> None:
    ledger.append([h.requested(1)], expect={}, at=h.AT)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ledger.append([h.requested(2)], expect={"stack": 1}, at=h.AT)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
    ledger.append([h.requested(3)], expect={"stack": 2}, at=h.AT)
    assert ledger.verify().ok
