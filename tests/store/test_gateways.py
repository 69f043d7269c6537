"""Members of gateways: who lives, who acknowledged, and what becomes of the dead."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from sqlalchemy import text

import histories as h
from mangaops.store import Gateways, Ledger
from mangaops.vocabulary import Acknowledged, SlotState

DOING = {"units": {"router": {"active": "router-1", "generation": 1, "revision": 9, "slots": {}}}}


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


@pytest.fixture
def gateways(ledger: Ledger) -> Gateways:
    return Gateways(ledger)


def age(ledger: Ledger, table: str, column: str, seconds: float) -> None:
    with ledger.database.writing() as connection:
        connection.execute(text(f"UPDATE {table} SET {column} = {column} - {seconds}"))


def join_and_wait(url: str, pipe: Connection) -> None:
    with Ledger(url) as ledger:
        pipe.send(Gateways(ledger).join("far", 0, DOING))
        pipe.recv()


def test_a_member_stands_with_what_it_does_and_leaves(gateways: Gateways) -> None:
    assert gateways.members() == []
    name = gateways.join("gateway", 3, DOING)
    (member,) = gateways.members()
    assert (member.member, member.gateway, member.worker, member.doing) == (name, "gateway", 3, DOING)
    assert name.startswith("gateway/3/")
    assert gateways.join("gateway", 3, DOING) != name
    gateways.leave(name)
    assert [each.member == name for each in gateways.members()] == [False]


def test_a_beat_says_what_is_done_now(gateways: Gateways) -> None:
    name = gateways.join("gateway", 0, DOING)
    before = gateways.members()[0].beat
    slots = {"router-1": SlotState.ACTIVE, "router-2": SlotState.WARMING}
    gateways.beat(name, {"units": {"router": {"slots": slots}}})
    (member,) = gateways.members()
    assert member.beat >= before
    assert member.holds("router", "router-1")
    assert not member.holds("router", "router-2")
    assert not member.holds("search", "router-1")


def test_a_member_that_does_not_beat_is_gone_and_stands_again_with_the_next_beat(
    ledger: Ledger, gateways: Gateways
) -> None:
    name = gateways.join("gateway", 0, DOING)
    gateways.acknowledge(name, "router", 7, Acknowledged.READY)
    age(ledger, "members", "beat", 4.0)
    assert len(gateways.members()) == 1
    age(ledger, "members", "beat", 1.5)
    assert gateways.members() == []
    with ledger.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM members")).scalar() == 0
    gateways.beat(name, DOING)
    assert [each.member for each in gateways.members()] == [name]
    assert gateways.acknowledgements("router", 7)[name].word == Acknowledged.READY


def test_with_sqlite_members_beat_by_a_clock_that_nobody_sets(ledger: Ledger, gateways: Gateways) -> None:
    gateways.join("gateway", 0, DOING)
    (member,) = gateways.members()
    clock = time.monotonic() if ledger.database.is_sqlite else time.time()
    assert member.beat == pytest.approx(clock, abs=60.0)


def test_a_beat_that_an_earlier_boot_left_in_the_clocks_future_is_no_life(
    ledger: Ledger, gateways: Gateways
) -> None:
    gateways.join("gateway", 0, DOING)
    age(ledger, "members", "beat", -4.0)
    assert len(gateways.members()) == 1
    age(ledger, "members", "beat", -100.0)
    assert len(gateways.members()) == (0 if ledger.database.is_sqlite else 1)


def test_a_process_that_ended_is_not_waited_for(ledger_url: str, gateways: Gateways) -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=join_and_wait, args=(ledger_url, theirs))
    process.start()
    name = ours.recv()
    assert [each.member for each in gateways.members()] == [name]
    process.kill()
    process.join()
    assert gateways.members() == []


def test_the_newest_word_of_a_member_counts(gateways: Gateways) -> None:
    one, two = gateways.join("gateway", 0, DOING), gateways.join("gateway", 1, DOING)
    gateways.acknowledge(one, "router", 7, Acknowledged.REFUSED, reason="no  memory\n" * 100)
    gateways.acknowledge(two, "router", 7, Acknowledged.READY, milliseconds=12.5)
    gateways.acknowledge(two, "router", 8, Acknowledged.ACTIVE)
    told = gateways.acknowledgements("router", 7)
    assert told[one].reason.startswith("no memory no memory")
    assert len(told[one].reason) == 300
    assert (told[two].word, told[two].milliseconds, told[two].reason) == (Acknowledged.READY, 12.5, "")
    gateways.acknowledge(one, "router", 7, Acknowledged.READY)
    assert gateways.acknowledgements("router", 7)[one].word == Acknowledged.READY
    assert gateways.acknowledgements("search", 7) == {}
    assert list(gateways.acknowledgements("router", 8)) == [two]


def test_words_of_long_ago_are_gone(ledger: Ledger, gateways: Gateways) -> None:
    gateways.acknowledge("gateway/0/dead", "router", 7, Acknowledged.READY)
    age(ledger, "acknowledgements", "at", 3000)
    gateways.acknowledge("gateway/0/alive", "router", 8, Acknowledged.READY)
    assert gateways.acknowledgements("router", 7)
    age(ledger, "acknowledgements", "at", 700)
    gateways.acknowledge("gateway/0/alive", "router", 8, Acknowledged.READY)
    assert gateways.acknowledgements("router", 7) == {}


def test_a_check_sees_the_transaction_and_keeps_the_events_out(ledger: Ledger, gateways: Gateways) -> None:
    name = gateways.join("gateway", 0, {"units": {}})

    def everybody_ready(connection: object) -> None:
        if lacking := gateways.lacking(connection, "stack", 1, Acknowledged.READY):
            raise ValueError(lacking)

    with pytest.raises(ValueError, match=name):
        ledger.append([h.requested(1)], expect={"stack": 0}, at=h.AT, check=everybody_ready)
    assert ledger.read("stack") == []
    gateways.acknowledge(name, "stack", 1, Acknowledged.READY)
    ledger.append([h.requested(1)], expect={"stack": 0}, at=h.AT, check=everybody_ready)
    assert len(ledger.read("stack")) == 1


def test_a_ledger_of_before_gateways_is_migrated_and_its_history_folds(ledger_url: str) -> None:
    with Ledger(ledger_url) as old:
        old.append(h.weeks(2), expect={"router": 0}, at=h.AT)
        with old.database.writing() as connection:
            connection.execute(text("DROP TABLE members"))
            connection.execute(text("DROP TABLE acknowledgements"))
            connection.execute(text("DROP TABLE catalogue_deltas"))
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with Ledger(ledger_url, create=False) as ledger:
        Gateways(ledger).join("gateway", 0, DOING)
        assert len(Gateways(ledger).members()) == 1
        assert ledger.verify().ok
        ledger.append(h.week(3, after=2, generation=3), expect={"router": 14}, at=h.AT)
