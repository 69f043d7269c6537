"""Tampering, with the database's own tools, and what the audit says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

import histories as h
from mangaops.errors import LedgerTampered
from mangaops.registry import GENESIS, chained
from mangaops.store import Head, Ledger


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        opened.append(h.weeks(1), expect={"router": 0}, at=h.AT)
        opened.append([h.dataset(1), h.requested(1)], expect={}, at=h.AT)
        yield opened


@pytest.fixture
def sql(ledger: Ledger, ledger_url: str) -> Iterator[Callable[[str], None]]:
    engine = sa.create_engine(ledger_url)

    def run(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    yield run
    engine.dispose()


def found(ledger: Ledger, witness: object = ()) -> set[tuple[str, int, str]]:
    return {(p.stream, p.revision, str(p.damage)) for p in ledger.verify(witness).problems}  # type: ignore[arg-type]


ROUTER = "WHERE stream = 'router'"
AT_4 = f"{ROUTER} AND revision = 4"
TAMPERING: list[tuple[str, list[str], list[str]]] = [
    ("body", [f"UPDATE events SET body = replace(body, 'test', 'text') {AT_4}"], ["router 4 edited"]),
    ("actor", [f"UPDATE events SET actor = 'nobody' {AT_4}"], ["router 4 edited"]),
    ("time", [f"UPDATE events SET at = '2026-04-21T03:00:00Z' {AT_4}"], ["router 4 edited"]),
    ("kind", [f"UPDATE events SET kind = 'rejected' {AT_4}"], ["router 4 edited"]),
    ("schema", [f"UPDATE events SET schema = 2 {AT_4}"], ["router 4 edited"]),
    ("hash", [f"UPDATE events SET hash = 'sha256:00' {AT_4}"], ["router 4 edited", "router 5 edited"]),
    ("link", [f"UPDATE events SET previous_hash = 'sha256:00' {AT_4}"], ["router 4 edited"]),
    ("newest", [f"UPDATE events SET actor = 'nobody' {ROUTER} AND revision = 7"], ["router 7 edited"]),
    ("lost", [f"DELETE FROM events {AT_4}"], ["router 4 missing"]),
    ("lost two", [f"DELETE FROM events {ROUTER} AND revision IN (2, 3)"], ["router 2 missing"]),
    ("lost first", [f"DELETE FROM events {ROUTER} AND revision = 1"], ["router 1 missing"]),
    (
        "swapped",
        [
            f"UPDATE events SET revision = 99 {AT_4}",
            f"UPDATE events SET revision = 4 {ROUTER} AND revision = 5",
            f"UPDATE events SET revision = 5 {ROUTER} AND revision = 99",
        ],
        ["router 4 reordered", "router 5 reordered"],
    ),
    ("cut", [f"DELETE FROM events {ROUTER} AND revision > 5"], ["router 6 cut"]),
    ("whole stream", [f"DELETE FROM events {ROUTER}"], ["router 1 cut"]),
    ("head", [f"UPDATE heads SET revision = 3 {ROUTER}"], ["router 7 edited"]),
    ("head's hash", [f"UPDATE heads SET hash = 'sha256:00' {ROUTER}"], ["router 7 edited"]),
    ("head lost", [f"DELETE FROM heads {ROUTER}"], ["router 7 edited"]),
    ("moved", ["UPDATE events SET stream = 'zz' WHERE stream = 'stack'"], ["zz 1 edited", "stack 1 cut"]),
]


@pytest.mark.parametrize(("what", "statements", "says"), TAMPERING, ids=[row[0] for row in TAMPERING])
def test_tampering_is_found_and_named(
    ledger: Ledger, sql: Callable[..., None], what: str, statements: list[str], says: list[str]
) -> None:
    assert found(ledger) == set()
    sql(*statements)
    problems = {f"{stream} {revision} {damage}" for stream, revision, damage in found(ledger)}
    assert set(says) <= problems
    assert {problem.split()[0] for problem in problems} == {line.split()[0] for line in says}
    assert not ledger.verify().ok


def cut_tail(sql: Callable[..., None], ledger: Ledger, keep: int) -> None:
    kept = ledger.read("router")[keep - 1]
    sql(
        f"DELETE FROM events {ROUTER} AND revision > {keep}",
        f"UPDATE heads SET revision = {keep}, hash = '{kept.hash}' {ROUTER}",
    )


def test_a_tail_that_was_cut_with_its_head_is_found_by_a_witness_alone(
    ledger: Ledger, sql: Callable[..., None]
) -> None:
    witness = ledger.heads()
    cut_tail(sql, ledger, 5)
    assert ledger.verify().ok
    assert found(ledger, witness.values()) == {("router", 6, "cut")}
    assert found(ledger, {"router": (5, ledger.heads()["router"].hash)}) == set()


def test_a_ledger_that_was_written_anew_is_found_by_a_witness_alone(
    ledger: Ledger, sql: Callable[..., None]
) -> None:
    witness = {s: (head.revision, head.hash) for s, head in ledger.heads().items()}
    events, tip = ledger.read("router"), GENESIS
    for event in events:
        actor = "nobody"
        said = (event.stream, event.revision, event.at, actor, event.kind, event.schema, event.text)
        own = chained(*said, tip)
        sql(
            f"UPDATE events SET actor = '{actor}', previous_hash = '{tip}', hash = '{own}' "
            f"{ROUTER} AND revision = {event.revision}"
        )
        tip = own
    sql(f"UPDATE heads SET hash = '{tip}' {ROUTER}")
    assert ledger.verify().ok
    assert found(ledger, witness) == {("router", 7, "rewritten")}


def test_a_witness_of_old_and_new_heads_is_content_with_an_honest_ledger(ledger: Ledger) -> None:
    old = ledger.heads()["router"]
    ledger.append([h.model(2)], expect={"router": 7}, at=h.AT)
    report = ledger.verify([old, *ledger.heads().values()])
    assert (report.ok, report.events, report.witnessed) == (True, 10, 4)
    assert report.heads == ledger.heads()


def test_a_witness_of_a_stream_that_is_gone_says_so(ledger: Ledger) -> None:
    assert found(ledger, [Head("sentiment", 3, h.digest("x"))]) == {("sentiment", 1, "cut")}


def test_a_row_that_was_added_by_hand_with_a_perfect_chain_breaks_the_lifecycle(
    ledger: Ledger, sql: Callable[..., None]
) -> None:
    tip = ledger.heads()["router"]
    body = '{"reason":"by hand","release":"router-9"}'
    own = chained("router", 8, h.AT, "nobody", "offline_passed", 1, body, tip.hash)
    columns = "stream, revision, at, actor, kind, schema, body, previous_hash, hash"
    row = f"'router', 8, '{h.AT}', 'nobody', 'offline_passed', 1, '{body}', '{tip.hash}', '{own}'"
    sql(
        f"INSERT INTO events ({columns}) VALUES ({row})",
        f"UPDATE heads SET revision = 8, hash = '{own}' {ROUTER}",
    )
    (problem,) = ledger.verify().problems
    assert (problem.revision, problem.damage) == (8, "illegal")
    assert "router-9 is no release" in problem.says


def test_nothing_is_read_from_or_built_on_an_edited_row(
    ledger: Ledger, ledger_url: str, sql: Callable[..., None]
) -> None:
    sql(f"UPDATE events SET actor = 'nobody' {ROUTER} AND revision = 3")
    with pytest.raises(LedgerTampered, match="revision 3 is not what was hashed") as caught:
        ledger.read("router")
    assert "audit verify" in caught.value.next_step
    with Ledger(ledger_url) as fresh, pytest.raises(LedgerTampered):
        fresh.append([h.model(2)], expect={"router": 7}, at=h.AT)
    assert ledger.read("stack")


def test_nothing_is_built_on_a_cut_tail(ledger: Ledger, ledger_url: str, sql: Callable[..., None]) -> None:
    sql(f"DELETE FROM events {ROUTER} AND revision > 5")
    with Ledger(ledger_url) as fresh, pytest.raises(LedgerTampered, match="head 7, but events up to 5"):
        fresh.append([h.model(2)], expect={}, at=h.AT)
    with (
        Ledger(ledger_url) as fresh,
        pytest.raises(LedgerTampered, match="head 7, but the newest event is 5"),
    ):
        fresh.read("router")


def test_nothing_is_built_on_a_tail_that_was_cut_together_with_its_head(
    ledger: Ledger, sql: Callable[..., None]
) -> None:
    cut_tail(sql, ledger, 4)
    with pytest.raises(LedgerTampered):
        ledger.append([h.model(2)], expect={}, at=h.AT)


def test_what_is_read_after_a_revision_ends_at_the_head(ledger: Ledger, sql: Callable[..., None]) -> None:
    assert [event.revision for event in ledger.read("router", 5)] == [6, 7]
    assert ledger.read("router", 7) == ledger.read("router", 9) == ledger.read("none such") == []
    sql(f"DELETE FROM events {ROUTER} AND revision > 5")
    with pytest.raises(LedgerTampered):
        ledger.read("router", 5)


def test_an_audit_shows_how_far_it_is(ledger: Ledger) -> None:
    said: list[tuple[str, int, int]] = []
    ledger.verify(progress=lambda what, done, total: said.append((what, done, total)))
    assert said[-1] == ("rows verified", 9, 9)
