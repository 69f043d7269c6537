"""The delta log of a catalogue: numbered without gaps, durable, whoever writes and whoever is killed."""

from __future__ import annotations

import os
import random
import select
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest
import sqlalchemy as sa

from mangaops.errors import InputError, IntegrityError, RevisionConflict, UsageError
from mangaops.store import CatalogueDelta, CatalogueLog, Ledger

ITEM = {"title": "ワンピース 103", "price": 528, "tags": ["adventure"]}


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


def test_deltas_are_numbered_from_one_and_read_as_they_were_appended(ledger: Ledger) -> None:
    log = CatalogueLog(ledger, "manga")
    assert (log.last(), log.read()) == (0, [])
    assert log.append({"a": ITEM, "b": None}) == 1
    assert log.append({}, ["b", "a", "b"]) == 2
    assert log.append({"a": ITEM}, ["c"]) == 3
    assert log.read() == [
        CatalogueDelta(1, {"a": ITEM, "b": None}, ()),
        CatalogueDelta(2, {}, ("a", "b")),
        CatalogueDelta(3, {"a": ITEM}, ("c",)),
    ]
    assert [each.number for each in log.read(after=2)] == [3]
    assert (log.read(after=3), log.read(after=9), log.last()) == ([], [], 3)


def test_who_appended_a_delta_and_why_stands_with_it(ledger: Ledger) -> None:
    log = CatalogueLog(ledger, "manga")
    log.append({"a": ITEM}, actor="kim", reason="week 17")
    log.append({"b": ITEM})
    assert [(each.actor, each.reason) for each in log.read()] == [("kim", "week 17"), ("", "")]


def test_a_delta_is_appended_after_the_one_that_its_writer_had_read_last(ledger: Ledger) -> None:
    log = CatalogueLog(ledger, "manga")
    assert log.append({"a": ITEM}, expect=0) == 1
    with pytest.raises(RevisionConflict, match="another one came first") as refused:
        log.append({"b": ITEM}, expect=0)
    assert (refused.value.found, log.last()) == ("delta 1 is the newest", 1)
    assert log.append({"b": ITEM}, expect=1) == 2


def test_so_many_deltas_are_read_as_asked_for(ledger: Ledger) -> None:
    log = CatalogueLog(ledger, "manga")
    for _ in range(4):
        log.append({"a": ITEM})
    assert [each.number for each in log.read(after=1, most=2)] == [2, 3]


@pytest.mark.parametrize(
    "change", ["body = ''", "body = '[]'", "body = replace(body, '528', '1')", "hash = 'sha256:00'"]
)
def test_a_row_that_was_edited_is_refused_and_those_before_it_are_read(ledger: Ledger, change: str) -> None:
    log = CatalogueLog(ledger, "manga")
    for each in ("a", "b", "c"):
        log.append({each: ITEM})
    assert len(log.read()) == 3
    with ledger.database.writing() as connection:
        connection.execute(sa.text(f"UPDATE catalogue_deltas SET {change} WHERE number = 2"))
    with pytest.raises(IntegrityError, match="delta 2 of the catalogue manga"):
        log.read()
    assert [each.number for each in log.read(most=1)] == [1]


def test_a_hash_says_what_came_before_too(ledger: Ledger) -> None:
    one, two = CatalogueLog(ledger, "manga"), CatalogueLog(ledger, "novels")
    for log in (one, two):
        log.append({"a": ITEM})
    assert one.hash_of(1) == two.hash_of(1) == one.read()[0].hash
    one.append({"b": ITEM})
    two.append({"other": ITEM})
    for log in (one, two):
        log.append({"c": ITEM})
    assert one.hash_of(3) != two.hash_of(3), "the third is the same, and the second is not"
    assert [each.hash for each in one.read(after=1)] == [one.hash_of(2), one.hash_of(3)]
    assert (one.hash_of(0), one.hash_of(4)) == (None, None)
    assert (one.newest(), CatalogueLog(ledger, "neither").newest()) == ((3, one.hash_of(3)), (0, None))


def test_each_catalogue_counts_for_itself(ledger: Ledger) -> None:
    assert CatalogueLog(ledger, "manga").append({"a": 1}) == 1
    assert CatalogueLog(ledger, "novels").append({"b": 1}) == 1
    assert [each.added for each in CatalogueLog(ledger, "novels").read()] == [{"b": 1}]


@pytest.mark.parametrize(
    ("added", "removed", "error"),
    [
        ({}, [], InputError),
        ({"a": 1}, ["a"], InputError),
        ({"": 1}, [], InputError),
        ({}, [""], InputError),
        ({"a": float("nan")}, [], UsageError),
        ({"a": {1, 2}}, [], UsageError),
    ],
)
def test_what_is_no_delta_is_refused_and_takes_no_number(ledger: Ledger, added, removed, error) -> None:
    log = CatalogueLog(ledger, "manga")
    with pytest.raises(error):
        log.append(added, removed)
    assert log.append({"a": 1}) == 1


def test_many_writers_take_each_number_once(ledger_url: str) -> None:
    gate = Barrier(4)

    def write(name: int) -> list[int]:
        with Ledger(ledger_url) as mine:
            gate.wait()
            return [CatalogueLog(mine, "manga").append({f"{name}-{n}": n}) for n in range(15)]

    with Ledger(ledger_url) as ledger, ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(write, range(4)))
        deltas = CatalogueLog(ledger, "manga").read()
    assert sorted(n for each in numbers for n in each) == list(range(1, 61))
    assert all(each == sorted(each) for each in numbers)
    for name, taken in enumerate(numbers):
        assert [deltas[n - 1].added for n in taken] == [{f"{name}-{n}": n} for n in range(15)]


def test_a_lost_delta_is_noticed_and_named(ledger: Ledger, ledger_url: str) -> None:
    log = CatalogueLog(ledger, "manga")
    for number in range(1, 6):
        log.append({"a": number})
    engine = sa.create_engine(ledger_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM catalogue_deltas WHERE number = 3")
    engine.dispose()
    with pytest.raises(IntegrityError) as caught:
        log.read(after=1)
    assert caught.value.found == "delta 4 where 3 is due"
    with pytest.raises(IntegrityError) as caught:
        log.read(after=3)
    assert caught.value.found == "delta 4 where 3 is due"
    assert [each.number for each in log.read(after=4)] == [5]


def test_a_ledger_of_before_catalogues_is_migrated(ledger_url: str) -> None:
    with Ledger(ledger_url) as old, old.database.writing() as connection:
        connection.execute(sa.text("DROP TABLE catalogue_deltas"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    with Ledger(ledger_url, create=False) as ledger:
        assert CatalogueLog(ledger, "manga").append({"a": 1}) == 1


def test_deltas_of_before_hashes_get_them(ledger_url: str) -> None:
    with Ledger(ledger_url) as old:
        for name in ("manga", "novels"):
            for each in ("a", "b", "c"):
                CatalogueLog(old, name).append({each: ITEM, name: ITEM})
        hashes = {name: CatalogueLog(old, name).hash_of(3) for name in ("manga", "novels")}
        with old.database.writing() as connection:
            connection.execute(sa.text("ALTER TABLE catalogue_deltas DROP COLUMN hash"))
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
    with Ledger(ledger_url, create=False) as ledger:
        for name, known in hashes.items():
            log = CatalogueLog(ledger, name)
            assert ([each.number for each in log.read()], log.hash_of(3)) == ([1, 2, 3], known)
            assert log.append({"d": ITEM}) == 4
            assert len(log.read()) == 4


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", "{}", '{"added": {"a": 1}}', '{"added": 3, "removed": []}', '{"added": {}, "re'],
)
def test_a_delta_that_was_broken_before_hashes_is_refused_by_name(ledger_url: str, body: str) -> None:
    """The migration gives it a hash that fits: what it says is looked at all the same."""
    with Ledger(ledger_url) as old:
        for each in ("a", "b", "c"):
            CatalogueLog(old, "manga").append({each: ITEM})
        with old.database.writing() as connection:
            broken = sa.text("UPDATE catalogue_deltas SET body = :body WHERE number = 2")
            connection.execute(broken, {"body": body})
            connection.execute(sa.text("ALTER TABLE catalogue_deltas DROP COLUMN hash"))
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
    with Ledger(ledger_url, create=False) as ledger:
        log = CatalogueLog(ledger, "manga")
        with pytest.raises(IntegrityError, match="delta 2 of the catalogue manga was refused: it cannot be"):
            log.read()
        assert [each.number for each in log.read(most=1)] == [1]
        assert [each.number for each in log.read(after=2)] == [3]


def append_and_be_killed(url: str, rng: random.Random) -> list[int]:
    """The numbers that a writer acknowledged before it was killed, at a random moment of an append."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            os.close(read_end)
            with Ledger(url) as ledger:
                log = CatalogueLog(ledger, "manga")
                for each in count():
                    number = log.append({f"item-{n}": "x" * 200 for n in range(200)}, [f"gone-{each}"])
                    os.write(write_end, f"{number}\n".encode())
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as said:
        lines = [said.readline() for _ in range(rng.randrange(1, 5))]
        select.select([], [], [], rng.uniform(0.0, 0.02))
        os.kill(writer, signal.SIGKILL)
        lines += said.readlines()
    _, status = os.waitpid(writer, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the writer ended by itself"
    return [int(line) for line in lines if line.endswith("\n")]


def test_a_killed_writer_loses_nothing_and_leaves_nothing_half(ledger_url: str) -> None:
    rng, told = random.Random(3), []
    for _ in range(6):
        told += append_and_be_killed(ledger_url, rng)
        with Ledger(ledger_url) as ledger:
            deltas = CatalogueLog(ledger, "manga").read()
        assert [each.number for each in deltas] == list(range(1, len(deltas) + 1))
        assert set(told) <= {each.number for each in deltas}
        assert all(len(each.added) == 200 and len(each.removed) == 1 for each in deltas)
    assert len(told) >= 6
    with Ledger(ledger_url) as ledger:
        assert CatalogueLog(ledger, "manga").append({"a": 1}) == len(deltas) + 1
