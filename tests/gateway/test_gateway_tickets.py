"""Tickets: ids that this gateway knows again, and no others."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway_parts import ANY_TEXT
from hypothesis import given
from hypothesis import strategies as st

from mangaops.errors import SetupError
from mangaops.gateway.tickets import Ticket, Tickets, ticket_key

KEY = b"k" * 32


def test_an_id_says_unit_and_generation() -> None:
    tickets = Tickets(KEY)
    assert tickets.read(tickets.give("router", 7)) == Ticket("router", 7)
    assert tickets.read(tickets.give("a.unit.with.dots", 0)) == Ticket("a.unit.with.dots", 0)


def test_no_two_ids_are_equal_and_workers_and_later_starts_know_them_all() -> None:
    workers = [Tickets(KEY) for _ in range(3)]
    given = [worker.give("router", 1) for worker in workers for _ in range(200)]
    assert len(set(given)) == len(given)
    later = Tickets(KEY)
    assert {later.read(each) for each in given} == {Ticket("router", 1)}


def test_threads_give_no_id_twice() -> None:
    tickets = Tickets(KEY)
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda _: tickets.give("router", 1), range(400)))
    assert len(set(given)) == 400


def test_the_id_of_another_gateway_is_unknown() -> None:
    assert Tickets(KEY).read(Tickets(b"other" * 7).give("router", 1)) is None


ISSUER = Tickets(KEY)
GIVEN = ISSUER.give("router", 3)


@given(st.integers(0, len(GIVEN) - 1), st.characters())
def test_an_id_with_one_character_changed_is_unknown(place: int, character: str) -> None:
    changed = GIVEN[:place] + character + GIVEN[place + 1 :]
    assert ISSUER.read(changed) == (Ticket("router", 3) if changed == GIVEN else None)


@given(st.integers(0, len(GIVEN) - 1))
def test_an_id_that_was_cut_or_lengthened_is_unknown(length: int) -> None:
    assert ISSUER.read(GIVEN[:length]) is None
    assert ISSUER.read(GIVEN + GIVEN[:length] + "0") is None


@given(ANY_TEXT)
@pytest.mark.parametrize(
    "around",
    ["{}", "router.3.{}", "{}." + GIVEN.rpartition(".")[2], "." * 400 + "{}"],
    ids=["alone", "after a unit", "before a tag", "after many dots"],
)
def test_any_text_at_all_is_unknown_and_harmless(around: str, text: str) -> None:
    assert ISSUER.read(around.replace("{}", text)) is None


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    key = ticket_key(folder)
    assert len(key) == 32
    assert ticket_key(folder) == key
    assert ticket_key(tmp_path / "another") != key
    assert stat.S_IMODE((folder / "ticket.key").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_is_one_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="the gateway's key"):
        ticket_key(tmp_path / "file" / "gateway")
