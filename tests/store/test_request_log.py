"""The log of a gateway: what was acknowledged is found again, and no trouble reaches who puts a row."""

from __future__ import annotations

import ast
import contextlib
import os
import random
import select
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import log_writers
import pyarrow as pa
import pytest
from log_writers import START, request

from mangaops.errors import IntegrityError, SetupError
from mangaops.store import LogReader, LogWriter, Roller, read_log
from mangaops.store.log_form import COLUMNS, Segment, arrow_schema


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "files") if request.param == "local" else f"memory://{uuid.uuid4().hex}/files"


def written(journal: Path, numbers: range, writer: str = "gateway/0/a", **settings: Any) -> LogWriter:
    """A closed log with these rows."""
    log = LogWriter(journal, "requests", writer, every=0.0, **settings)
    for number in numbers:
        seq = log.put(request(number))
        assert seq is not None
        assert log.wait(seq, 10)
    log.close()
    return log


def forked(work: Callable[[], None]) -> int:
    """The number of a process that does the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def killed(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the process ended by itself"


def test_rows_come_back_as_they_were_put_in_order_of_time(journal: Path, root: str) -> None:
    written(journal, range(1, 4))
    assert Roller(journal, root).roll(living=()) == 3
    found = read_log(root, "requests", unit="router", since=None)
    assert found.columns == list(COLUMNS["requests"])
    assert found["seq"].to_list() == [1, 2, 3]
    assert found.row(1, named=True) == {"seq": 2, "writer": "gateway/0/a"} | request(2)
    assert read_log(root, "requests", unit="sentiment", since=None).is_empty()
    assert read_log(root, "shadow", unit="router", since=None).is_empty()
    later = read_log(
        root, "requests", unit="router", since=START + timedelta(milliseconds=2), columns=["request_id"]
    )
    assert later["request_id"].to_list() == ["r2", "r3"]
    assert read_log(root, "requests", unit="router", since=START + timedelta(days=1)).is_empty()


@pytest.mark.parametrize("together", [False, True])
def test_rows_of_a_version_without_a_column_are_read_beside_newer_ones(
    journal: Path, root: str, together: bool
) -> None:
    schema = arrow_schema("requests")
    older = schema.remove(schema.get_field_index("options"))
    (journal / "requests").mkdir(parents=True)
    segment = Segment(journal / "requests" / "old@000000000001-00.open", older)
    row = {"seq": 1, "writer": "old"} | request(0)
    del row["options"]
    segment.append(pa.RecordBatch.from_pylist([row], schema=older))
    segment.close()
    if not together:
        assert Roller(journal, root).roll(living=()) == 1
    log = LogWriter(journal, "requests", "new", every=0.0)
    log.put(request(1, options='{"k":3}'))
    log.close()
    assert Roller(journal, root).roll(living=()) == (2 if together else 1)
    found = read_log(root, "requests", unit="router")
    assert found["options"].to_list() == [None, '{"k":3}']
    assert found["request_id"].to_list() == ["r0", "r1"]


def test_a_reader_finds_what_was_rolled_since(journal: Path, root: str) -> None:
    reader = LogReader(root, "requests", unit="router", columns=["seq"])
    assert reader.read().is_empty()
    for writer in ("a", "b"):
        written(journal, range(1, 3), writer)
        Roller(journal, root).roll(living=())
    assert reader.read()["seq"].to_list() == [1, 1, 2, 2]
    assert reader.read().height == 4


def test_a_batch_is_prepared_before_it_is_written(journal: Path, tmp_path: Path) -> None:
    threads = set()

    def hidden(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        threads.add(threading.current_thread())
        return [row | {"text": None} for row in rows]

    written(journal, range(1, 3), prepare=hidden)
    Roller(journal, tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)
    assert found["text"].to_list() == [None, None]
    assert threading.current_thread() not in threads
    assert b"volume" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_preparation_that_fails_costs_its_rows_and_is_told(journal: Path) -> None:
    def broken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise KeyError("no such unit")

    log = LogWriter(journal, "requests", "a", every=0.0, prepare=broken)
    seq = log.put(request(1))
    assert seq == 1
    assert not log.wait(seq, 10)
    assert log.trouble == "KeyError: 'no such unit'"
    log.close()
    assert (log.acknowledged, log.dropped) == (0, 1)


def test_a_row_that_cannot_be_prepared_is_dropped_alone(journal: Path, tmp_path: Path) -> None:
    def picky(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any(row["text"] is None for row in rows):
            raise RuntimeError("no text")
        return [row | {"text": "hidden"} for row in rows]

    log = LogWriter(journal, "requests", "a", every=0.2, prepare=picky)
    seqs = [log.put(row) for row in (request(1), request(2, text=None), request(3, colour="red"), request(4))]
    assert [log.wait(seq or 0, 10) for seq in seqs] == [True, False, False, True]
    assert log.trouble == "RuntimeError: no text"
    log.close()
    assert (log.acknowledged, log.dropped) == (4, 2)
    Roller(journal, tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)
    assert found["seq"].to_list() == [1, 4]
    assert found["text"].to_list() == ["hidden", "hidden"]


def test_a_row_of_another_form_is_dropped_alone(journal: Path, tmp_path: Path) -> None:
    log = LogWriter(journal, "requests", "a", every=0.2)
    seqs = [
        log.put(row) for row in (request(1), request(2, generation="x"), request(3, colour="red"), request(4))
    ]
    assert [log.wait(seq or 0, 10) for seq in seqs] == [True, False, False, True]
    log.close()
    assert (log.acknowledged, log.dropped) == (4, 2)
    Roller(journal, tmp_path).roll(living=())
    assert read_log(tmp_path, "requests", unit="router", since=None)["seq"].to_list() == [1, 4]


def test_a_text_that_is_no_unicode_is_mended(journal: Path, tmp_path: Path) -> None:
    log = LogWriter(journal, "requests", "a", every=0.0)
    assert log.wait(log.put(request(1, text="half \ud83d of a sign")) or 0, 10)
    log.close()
    Roller(journal, tmp_path).roll(living=())
    assert read_log(tmp_path, "requests", unit="router", since=None)["text"].to_list() == ["half ? of a sign"]


def test_rows_over_the_capacity_are_dropped_and_leave_a_gap(journal: Path, tmp_path: Path) -> None:
    held = threading.Event()

    def waiting(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        held.wait(10)
        return rows

    log = LogWriter(journal, "requests", "a", every=0.0, capacity=3, prepare=waiting)
    given = [log.put(request(number)) for number in range(1, 21)]
    assert None in given
    held.set()
    log.close()
    assert log.put(request(99)) is None
    assert log.dropped == given.count(None) + 1
    Roller(journal, tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)["seq"].to_list()
    assert found == [seq for seq in given if seq is not None]


def test_an_open_segment_of_a_living_writer_is_let_alone(journal: Path, tmp_path: Path) -> None:
    log = LogWriter(journal, "requests", "gateway/1/b", every=0.0)
    assert log.wait(log.put(request(1)) or 0, 10)
    roller = Roller(journal, tmp_path)
    assert roller.roll(living=["gateway/1/b"]) == 0
    assert roller.roll(living=()) == 0, "it holds its segment, named or not"
    assert log.wait(log.put(request(2)) or 0, 10)
    log.close()
    assert roller.roll(living=["gateway/1/b"]) == 2


def test_a_segment_is_closed_when_it_is_full_and_when_it_is_old(journal: Path) -> None:
    log = LogWriter(journal, "requests", "a", every=0.0, segment_bytes=1)
    for number in range(3):
        assert log.wait(log.put(request(number)) or 0, 10)
    log.close()
    assert len(list(journal.glob("requests/*.closed"))) == 3
    young = LogWriter(journal, "requests", "b", every=0.0, segment_seconds=0.0)
    assert young.wait(young.put(request(1)) or 0, 10)
    young.close()
    assert len(list(journal.glob("requests/*.closed"))) == 4
    assert not list(journal.glob("requests/*.open"))


def opened_under(folder: Path) -> list[str]:
    """The files of a folder that this process holds open; what else it opens does not count."""
    held = []
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            held.append(os.readlink(f"/proc/self/fd/{each}"))
    return [path for path in held if path.startswith(str(folder))]


def test_no_file_stays_open_over_many_segments(journal: Path, tmp_path: Path) -> None:
    written(journal, range(3), "first", segment_bytes=1)
    Roller(journal, tmp_path).roll(living=())
    before = opened_under(tmp_path)
    written(journal, range(300), segment_bytes=1)
    roller = Roller(journal, tmp_path)
    assert roller.roll(living=()) == 300
    for _ in range(20):
        roller.roll(living=())
    assert opened_under(tmp_path) == before == []
    assert not list(journal.glob("*/*"))


def kill_writers(tmp_path: Path, kills: int, seed: int) -> None:
    """So many writers under load, each killed at a moment of its own: all that they acknowledged is there."""
    journal, rng = tmp_path / "journal", random.Random(seed)
    last: dict[str, int] = {}
    for number in range(kills):
        writer, (read_end, write_end) = f"gateway/{number}/x", os.pipe()
        child = forked(lambda w=writer, end=write_end: log_writers.write(journal, w, lambda s: tell(end, s)))
        os.close(write_end)
        with os.fdopen(read_end) as said:
            lines = [said.readline() for _ in range(rng.randrange(1, 30))]
            select.select([], [], [], rng.uniform(0.0, 0.02))
            killed(child)
            lines += said.readlines()
        last[writer] = max(int(line) for line in lines if line.endswith("\n"))
        if number % 3 == 0:
            Roller(journal, tmp_path).roll(living=())
    Roller(journal, tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)
    by_writer = {key[0]: sorted(rows["seq"]) for key, rows in found.group_by("writer")}
    for writer, acknowledged in last.items():
        assert by_writer[writer] == list(range(1, len(by_writer[writer]) + 1)), "each once, none missing"
        assert len(by_writer[writer]) >= acknowledged > 0
    assert {left.suffix for left in journal.glob("*/*")} <= {".new"}  # killed before it had begun a segment


def tell(pipe: int, number: int) -> None:
    os.write(pipe, f"{number}\n".encode())


def test_what_a_killed_writer_acknowledged_is_found_again(tmp_path: Path) -> None:
    kill_writers(tmp_path, kills=6, seed=3)


@pytest.mark.slow
def test_what_two_hundred_killed_writers_acknowledged_is_found_again(tmp_path: Path) -> None:
    kill_writers(tmp_path, kills=200, seed=4)


@pytest.mark.parametrize("cut", [1, 7, 9, 200])
def test_a_torn_tail_is_cut_at_the_last_whole_batch(journal: Path, tmp_path: Path, cut: int) -> None:
    written(journal, range(1, 4))
    (segment,) = journal.glob("requests/*.closed")
    torn = segment.with_suffix(".open")
    segment.rename(torn)
    os.truncate(torn, torn.stat().st_size - cut)
    roller = Roller(journal, tmp_path)
    assert roller.roll(living=()) == 2
    assert (roller.torn, roller.damaged) == (1, 0)
    assert read_log(tmp_path, "requests", unit="router", since=None)["seq"].to_list() == [1, 2]


def test_a_segment_that_was_never_begun_goes_without_a_row(journal: Path, tmp_path: Path) -> None:
    (journal / "requests").mkdir(parents=True)
    (journal / "requests" / "a@000000000001-x.open").write_bytes(b"\0" * 40)
    roller = Roller(journal, tmp_path)
    assert roller.roll(living=()) == 0
    assert roller.torn == 1
    assert not list(journal.glob("*/*"))


def test_a_damaged_segment_is_kept_beside_what_can_be_read_of_it(journal: Path, tmp_path: Path) -> None:
    written(journal, range(1, 4))
    (segment,) = journal.glob("requests/*.closed")
    content = bytearray(segment.read_bytes())
    content[-300] ^= 1
    segment.write_bytes(content)
    roller = Roller(journal, tmp_path)
    assert roller.roll(living=()) == 2
    assert roller.damaged == 1
    assert (journal / "damaged" / segment.name).read_bytes() == content


def test_what_is_kept_of_a_damaged_segment_is_on_disk_before_its_claim_goes(
    journal: Path, tmp_path: Path
) -> None:
    written(journal, range(1, 4))
    (segment,) = journal.glob("requests/*.closed")
    os.truncate(segment, segment.stat().st_size - 7)
    synced: list[tuple[str, int]] = []

    def sync(path: Path) -> None:
        synced.append((path.relative_to(journal.parent).as_posix(), len([*journal.glob("rolling/*/*")])))

    place = journal.relative_to(journal.parent).as_posix()
    assert Roller(journal, tmp_path, sync).roll(living=()) == 2
    copy = f"{place}/damaged/{segment.name}.half"
    assert synced == [(place, 1), (copy, 1), (f"{place}/damaged", 1)]
    assert [each.name for each in journal.glob("damaged/*")] == [segment.name]
    assert not [*journal.glob("rolling/*")]


def test_a_segment_that_is_set_aside_is_on_disk_before_its_claim_goes(journal: Path, tmp_path: Path) -> None:
    (journal / "requests").mkdir(parents=True)
    poison = poisoned(journal / "requests")
    synced: list[tuple[str, int]] = []
    sync = lambda path: synced.append((path.name, len([*journal.glob("rolling/*")])))  # noqa: E731
    assert Roller(journal, tmp_path, sync).roll(living=()) == 0
    assert synced == [(journal.name, 1), (poison.name, 1), ("damaged", 1)]
    assert not [*journal.glob("rolling/*")]


def test_whole_segments_leave_nothing_to_keep(journal: Path, tmp_path: Path) -> None:
    written(journal, range(1, 4))
    synced: list[Path] = []
    assert Roller(journal, tmp_path, synced.append).roll(living=()) == 3
    assert synced == []


def poisoned(folder: Path) -> Path:
    """A whole segment whose rows have another form than any log."""
    made = pa.schema([("at", pa.string())])
    segment = Segment(folder / "z@000000000001-poison.open", made)
    segment.append(pa.record_batch([["yesterday"]], made))
    segment.close()
    return segment.path.with_suffix(".closed")


@pytest.mark.parametrize("left", [False, True])
def test_a_poisoned_segment_goes_aside_and_the_others_are_rolled(
    journal: Path, tmp_path: Path, left: bool
) -> None:
    written(journal, range(1, 4))
    poison = poisoned(journal / "requests")
    if left:  # a roller that knew no better had claimed them all
        claimed = journal / "rolling" / "requests.0123456789abcdef"
        claimed.mkdir(parents=True)
        for segment in journal.glob("requests/*"):
            segment.rename(claimed / segment.name)
        written(journal, range(4, 7), "gateway/0/b")
    roller = Roller(journal, tmp_path)
    assert roller.waiting() > 500
    assert roller.roll(living=()) == (6 if left else 3)
    assert roller.damaged == 1
    assert roller.why
    assert (journal / "damaged" / poison.name).stat().st_size > 100
    assert roller.waiting() == 0
    assert not list(journal.glob("rolling/*"))
    rows = read_log(tmp_path, "requests", unit="router", since=None)
    assert rows["request_id"].to_list() == [f"r{n}" for n in range(1, 7 if left else 4)]
    assert roller.roll(living=()) == 0


def test_what_cannot_be_read_now_stays_and_the_others_are_rolled(journal: Path, tmp_path: Path) -> None:
    written(journal, range(1, 4))
    (journal / "rolling").mkdir()
    (journal / "rolling" / "requests.0123456789abcdef").write_text("no folder")
    roller = Roller(journal, tmp_path)
    with pytest.raises(SetupError, match="rolling the journal"):
        roller.roll(living=())
    assert read_log(tmp_path, "requests", unit="router", since=None).height == 3
    assert roller.damaged == 0


def test_a_full_disk_costs_rows_that_are_counted_and_the_log_recovers(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    child = forked(lambda: log_writers.write_little(tmp_path / "journal", 20_000, write_end))
    os.close(write_end)
    with os.fdopen(read_end) as said:
        number, acknowledged, trouble, recovered, dropped, after = ast.literal_eval(said.read())
    os.waitpid(child, 0)
    assert acknowledged == number - 1 > 5
    assert "File too large" in trouble
    assert recovered
    assert after is None
    assert dropped == 1
    Roller(tmp_path / "journal", tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)["seq"].to_list()
    assert found == [*range(1, number), number + 1]


def test_a_journal_whose_place_is_taken_costs_rows_until_it_is_free(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    log = LogWriter(tmp_path / "journal", "requests", "a", every=0.0)
    assert not log.wait(log.put(request(1)) or 0, 10)
    assert log.trouble
    (tmp_path / "journal").unlink()
    assert log.wait(log.put(request(2)) or 0, 10)
    assert log.trouble is None
    log.close()
    assert (log.acknowledged, log.dropped) == (2, 1)


def test_a_roller_that_is_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    journal, rng = tmp_path / "journal", random.Random(5)
    for round_ in range(8):
        written(journal, range(1, 40), f"w{round_}", segment_bytes=1)
        child = forked(lambda: log_writers.roll(journal, tmp_path))
        select.select([], [], [], rng.uniform(0.0, 0.04))
        killed(child)
    Roller(journal, tmp_path).roll(living=())
    found = read_log(tmp_path, "requests", unit="router", since=None)
    assert found.height == found.select("writer", "seq").n_unique() == 8 * 39
    assert not list(journal.glob("*/*"))


@pytest.mark.parametrize("done", [False, True])
def test_what_a_killed_roller_had_claimed_is_finished_once(journal: Path, tmp_path: Path, done: bool) -> None:
    """As if it was killed after its Parquet file stood: before the folder was renamed, and after."""
    written(journal, range(1, 4))
    claimed = journal / "rolling" / "requests.0123456789abcdef"
    claimed.mkdir(parents=True)
    (segment,) = journal.glob("requests/*.closed")
    content = segment.read_bytes()
    segment.rename(claimed / segment.name)
    Roller(journal, tmp_path).roll(living=())
    again = claimed.with_name(claimed.name + ".done") if done else claimed
    again.mkdir()
    (again / segment.name).write_bytes(content)
    Roller(journal, tmp_path).roll(living=())
    assert read_log(tmp_path, "requests", unit="router", since=None)["seq"].to_list() == [1, 2, 3]
    assert not list(journal.glob("rolling/*"))


def test_of_two_rollers_of_one_journal_one_works(journal: Path, tmp_path: Path) -> None:
    written(journal, range(1, 4))
    with Roller(journal, tmp_path)._alone() as mine:
        assert mine
        assert Roller(journal, tmp_path).roll(living=()) == 0
    assert Roller(journal, tmp_path).roll(living=()) == 3


def test_a_store_that_cannot_be_written_leaves_the_journal_as_it_is(journal: Path, tmp_path: Path) -> None:
    written(journal, range(1, 4))
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(SetupError, match="writing"):
        Roller(journal, tmp_path).roll(living=())
    (tmp_path / "logs").unlink()
    assert Roller(journal, tmp_path).roll(living=()) == 3


def test_segments_that_were_not_whole_are_counted_once_however_long_the_store_is_away(
    journal: Path, tmp_path: Path
) -> None:
    written(journal, range(1, 4), "torn")
    written(journal, range(1, 4), "damaged")
    damaged, torn = sorted(journal.glob("requests/*.closed"))
    os.truncate(torn, torn.stat().st_size - 7)
    torn.rename(torn.with_suffix(".open"))
    os.truncate(damaged, damaged.stat().st_size - 7)
    roller = Roller(journal, tmp_path)
    (tmp_path / "logs").write_text("a file")
    for _ in range(3):
        with pytest.raises(SetupError, match="writing"):
            roller.roll(living=())
    assert (roller.torn, roller.damaged) == (0, 0)
    assert not list(journal.glob("damaged/*"))
    (tmp_path / "logs").unlink()
    assert roller.roll(living=()) == 4
    assert (roller.torn, roller.damaged) == (1, 1)
    assert (journal / "damaged" / damaged.name).exists()
    assert roller.roll(living=()) == 0
    assert (roller.torn, roller.damaged) == (1, 1)


def test_a_log_file_that_is_none_is_told(tmp_path: Path) -> None:
    place = tmp_path / "logs" / "requests" / "2026-04-20"
    place.mkdir(parents=True)
    (place / "20260420T030000-x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_log(tmp_path, "requests", unit="router", since=None)


def test_a_roller_takes_no_segment_that_is_just_being_begun(journal: Path, tmp_path: Path) -> None:
    ended = threading.Event()

    def roll() -> None:
        roller = Roller(journal, tmp_path / "files")
        while not ended.is_set():
            roller.roll(living=())

    rolling = threading.Thread(target=roll)
    rolling.start()
    try:
        log = written(journal, range(1, 301), segment_bytes=1)
    finally:
        ended.set()
        rolling.join()
    Roller(journal, tmp_path / "files").roll(living=())
    assert (log.acknowledged, log.dropped) == (300, 0)
    rows = read_log(tmp_path / "files", "requests", unit="router")
    assert rows["seq"].sort().to_list() == list(range(1, 301))


def test_what_a_killed_writer_left_before_it_had_begun_goes_after_an_hour(journal: Path) -> None:
    folder = journal / "requests"
    folder.mkdir(parents=True)
    old, young = folder / "a@000000000001-00.new", folder / "b@000000000001-00.new"
    for path in (old, young):
        path.touch()
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    assert Roller(journal, journal.parent / "files").roll(living=()) == 0
    assert not old.exists()
    assert young.exists()
