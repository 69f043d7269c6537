"""The copy of a stream that a gateway keeps: whole, verified, and never behind itself."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histories as h
from mangaops.errors import LedgerTampered, SetupError
from mangaops.registry import Event, fold
from mangaops.store import ChainCopy, Ledger

EVENTS = h.sealed(h.weeks(2))
Rows = list[dict[str, Any]]


@pytest.fixture
def copy(tmp_path: Path) -> ChainCopy:
    return ChainCopy(tmp_path / "chain")


def edit(copy: ChainCopy, change: Callable[[Rows], Rows | None]) -> None:
    path = copy.folder / "router.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = change(rows) or rows
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def save_often(folder: Path, events: list[Event]) -> None:
    for length in range(1, len(events) + 1):
        ChainCopy(folder).save("router", events[:length])


def test_what_is_saved_is_loaded_and_folds(copy: ChainCopy, ledger_url: str) -> None:
    assert copy.load("router") == []
    with Ledger(ledger_url) as ledger:
        ledger.append([*h.weeks(2), h.dataset(1)], expect={}, at=h.AT)
        for stream in ("router", "data/intent-data"):
            copy.save(stream, ledger.read(stream))
            assert copy.load(stream) == ledger.read(stream)
    assert fold(copy.load("router")).champion == "router-2"


def test_texts_of_every_kind_survive(copy: ChainCopy) -> None:
    events = h.sealed([h.model(1, config={"note": "マンガ \u2028 é \x85 \n"})])
    copy.save("router", events)
    assert copy.load("router") == events


def test_a_longer_copy_stays_and_a_shorter_one_grows(copy: ChainCopy) -> None:
    copy.save("router", EVENTS[:5])
    copy.save("router", EVENTS[:3])
    assert copy.load("router") == EVENTS[:5]
    copy.save("router", EVENTS)
    copy.save("router", [])
    assert copy.load("router") == EVENTS


def set_actor(rows: Rows) -> None:
    rows[2]["actor"] = "somebody"


def set_body(rows: Rows) -> None:
    rows[3]["body"] = rows[3]["body"].replace("test", "best")


def swap(rows: Rows) -> None:
    rows[2], rows[3] = rows[3], rows[2]


def renumber(rows: Rows) -> None:
    rows[2]["revision"], rows[3]["revision"] = rows[3]["revision"], rows[2]["revision"]


def lose_a_field(rows: Rows) -> None:
    del rows[2]["hash"]


EDITS: dict[str, Callable[[Rows], Rows | None]] = {
    "edited actor": set_actor,
    "edited body": set_body,
    "missing in the middle": lambda rows: [*rows[:4], *rows[5:]],
    "missing at the start": lambda rows: rows[1:],
    "reordered": swap,
    "renumbered": renumber,
    "doubled": lambda rows: [*rows[:4], rows[3], *rows[4:]],
    "no hash": lose_a_field,
}


@pytest.mark.parametrize("damage", EDITS)
def test_a_damaged_copy_is_refused_and_made_anew_from_the_ledger(copy: ChainCopy, damage: str) -> None:
    copy.save("router", EVENTS)
    edit(copy, EDITS[damage])
    with pytest.raises(LedgerTampered, match="copy of stream router"):
        copy.load("router")
    copy.save("router", EVENTS)
    assert copy.load("router") == EVENTS


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]\n", b"{}\n", b'{"stream": 3', b"\n"])
def test_a_file_that_is_no_copy_is_refused(copy: ChainCopy, content: bytes) -> None:
    copy.save("router", EVENTS)
    (copy.folder / "router.jsonl").write_bytes(content)
    with pytest.raises(LedgerTampered):
        copy.load("router")


def test_the_copy_of_another_stream_is_refused(copy: ChainCopy) -> None:
    copy.save("router", EVENTS)
    (copy.folder / "router.jsonl").rename(copy.folder / "search.jsonl")
    with pytest.raises(LedgerTampered, match="revision 1 of router"):
        copy.load("search")


def test_a_ledger_that_was_rewritten_is_not_copied_over_what_was_seen(copy: ChainCopy) -> None:
    copy.save("router", EVENTS[:5])
    rewritten = h.sealed([h.model(1, training_code_sha="other"), *h.weeks(2)[1:]])
    with pytest.raises(LedgerTampered, match="not the one that was copied"):
        copy.save("router", rewritten)
    assert copy.load("router") == EVENTS[:5]


def test_a_part_of_a_stream_is_not_saved(copy: ChainCopy) -> None:
    with pytest.raises(LedgerTampered, match="what was to be saved"):
        copy.save("router", EVENTS[2:])
    assert copy.load("router") == []


def test_an_event_of_a_newer_mangaops_is_no_damage(copy: ChainCopy) -> None:
    from types import SimpleNamespace

    from mangaops.store.rows import hash_of

    copy.save("router", EVENTS[:1])

    def newer(rows: Rows) -> None:
        rows[0]["kind"] = "teleported"
        rows[0]["hash"] = hash_of(SimpleNamespace(**rows[0]))

    edit(copy, newer)
    with pytest.raises(SetupError, match="newer mangaops"):
        copy.load("router")


def test_several_processes_save_and_the_longest_stays(copy: ChainCopy) -> None:
    forks = multiprocessing.get_context("fork")
    lengths = (4, 9, len(EVENTS))
    savers = [forks.Process(target=save_often, args=(copy.folder, EVENTS[:n])) for n in lengths]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert [saver.exitcode for saver in savers] == [0, 0, 0]
    assert copy.load("router") == EVENTS


def test_what_a_killed_process_left_half_written_does_no_harm(copy: ChainCopy) -> None:
    copy.save("router", EVENTS[:3])
    (copy.folder / ".router.jsonl.half").write_text("half a li")
    assert copy.load("router") == EVENTS[:3]
    copy.save("router", EVENTS)
    assert copy.load("router") == EVENTS


def test_a_folder_that_cannot_be_written_is_one_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError):
        ChainCopy(tmp_path / "file" / "chain").save("router", EVENTS)


def test_an_event_that_was_being_added_when_its_process_was_killed_is_left_out(copy: ChainCopy) -> None:
    copy.save("router", EVENTS[:-1])
    path = copy.folder / "router.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"stream": "rou')
    assert copy.load("router") == EVENTS[:-1]
    ChainCopy(copy.folder).save("router", EVENTS)
    assert copy.load("router") == EVENTS


def test_a_copy_that_another_process_wrote_meanwhile_is_read_again(copy: ChainCopy) -> None:
    copy.save("router", EVENTS[:2])
    ChainCopy(copy.folder).save("router", EVENTS)
    copy.save("router", EVENTS[:3])
    assert copy.load("router") == EVENTS
    (copy.folder / "router.jsonl").unlink()
    copy.save("router", EVENTS)
    assert copy.load("router") == EVENTS
