"""Closed segments of a journal become Parquet under `logs/`, each row once, whenever this is killed.

    closed segments ─▶ claimed: one folder under rolling/ ─▶ one Parquet file of the folder's name
                    ─▶ the folder is renamed to ....done ─▶ the folder goes

A claimed folder that was left behind is finished first: its Parquet file is written again, under its name.
Segments that are open are let alone while their writer lives. A segment that is damaged, and not only torn at
its end by a kill, is kept under `damaged/` beside what could be read of it. One whose rows no Parquet file
can hold goes there as it is, and the others are rolled without it.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from mangaops.errors import MangaopsError, SetupError
from mangaops.store.bundles import Sync, keep_copy, make_folder, sync_folder
from mangaops.store.foreign import file_errors
from mangaops.store.log_form import CLOSED, COLUMNS, NEW, OPEN, arrow, is_held, read_segment
from mangaops.store.objects import open_objects

LOGS: Final = "logs"
_ROLLING: Final = "rolling"
_DAMAGED: Final = "damaged"
_DONE: Final = ".done"
_FILE_BYTES: Final = 64 * 2**20
_UNBORN_SECONDS: Final = 3600.0


class Roller:
    """Brings the segments of one journal to where the logs are kept."""

    def __init__(self, journal: Path, root: str | Path, sync: Sync = sync_folder) -> None:
        """`root` is the folder or fsspec URL of all files; the logs lie in `logs/requests`, `logs/shadow`.

        `sync` brings to the disk what is kept of damaged segments.

        Raises:
            SetupError: the URL names a place that cannot be reached, or pyarrow is not installed.
        """
        arrow()
        self._journal, self._sync = journal, sync
        self._objects = open_objects(root)
        self.torn = 0
        """How many segments ended in a batch that was being written when their writer was killed."""
        self.damaged = 0
        """How many segments were not whole or could not be used, and are kept under `damaged/`."""
        self.why: str | None = None
        """What was wrong with the newest segment that could not be used."""

    def roll(self, *, living: Collection[str]) -> int:
        """Every closed segment, and every open one whose writer lives no more, is Parquet; how many rows.

        `living`: the writers that run; one that holds its segment is alive without being named. Where
        another process rolls this journal now, nothing is done.

        Raises:
            SetupError: disk or store cannot be read or written; what was not rolled stays in the journal.
        """
        rows, trouble = 0, None
        refused = f"rolling the journal {self._journal} was refused"
        with file_errors(refused), self._alone() as mine:
            for claimed in self._claimed(living) if mine else ():
                try:
                    rows += self._finish_what_can_be(claimed)
                except (OSError, MemoryError) as error:
                    trouble = trouble or error
            arrow().default_memory_pool().release_unused()  # a roll now and then holds on to nothing between
            if isinstance(trouble, OSError):
                raise trouble
        if trouble:
            raise SetupError(
                refused, found="not enough memory", next_step="give the gateway more"
            ) from trouble
        return rows

    def waiting(self) -> int:
        """Bytes in the journal that are not rolled yet, open segments among them."""
        folders = [self._journal / kind for kind in COLUMNS] + list(self._journal.glob(f"{_ROLLING}/*"))
        return sum(_size(path) for folder in folders for path in folder.glob("*"))

    def _claimed(self, living: Collection[str]) -> Iterator[Path]:
        """Claimed folders: those that were left behind, then new ones, each claimed when it is asked for."""
        yield from sorted(self._journal.glob(f"{_ROLLING}/*"))
        for kind in COLUMNS:
            self._forget_unborn(kind)
            for segments in self._ready(kind, living):
                yield self._claim(kind, segments)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        make_folder(self._journal)
        file = os.open(self._journal / "roll.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(file)

    def _ready(self, kind: str, living: Collection[str]) -> Iterator[list[Path]]:
        """Segments that may be rolled, oldest first, as many together as make one file."""
        group: list[Path] = []
        size = 0
        for path in sorted((self._journal / kind).glob(f"*{CLOSED}")) + self._left_open(kind, living):
            group.append(path)
            size += path.stat().st_size
            if size >= _FILE_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _left_open(self, kind: str, living: Collection[str]) -> list[Path]:
        opened = sorted((self._journal / kind).glob(f"*{OPEN}"))
        dead = [path for path in opened if unquote(path.name.rpartition("@")[0]) not in living]
        return [path for path in dead if not _held(path)]

    def _forget_unborn(self, kind: str) -> None:
        """Files of writers that were killed before they had begun a segment are gone: they hold no rows."""
        for path in (self._journal / kind).glob(f"*{NEW}"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _UNBORN_SECONDS and not is_held(path):
                    path.unlink()

    def _claim(self, kind: str, segments: list[Path]) -> Path:
        folder = self._journal / _ROLLING / f"{kind}.{secrets.token_hex(8)}"
        make_folder(folder)
        for segment in segments:
            segment.rename(folder / segment.name)
        return folder

    def _finish_what_can_be(self, claimed: Path) -> int:
        """As `_finish`; where that fails for the segments' own sake each is tried alone, or set aside."""
        try:
            return self._finish(claimed)
        except (MangaopsError, OSError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever Arrow says of rows that no writer of today wrote
            self.why = f"{type(error).__name__}: {error}"[:300]
        kind, segments = claimed.name.partition(".")[0], sorted(claimed.iterdir())
        if len(segments) > 1:
            rows = sum(self._finish_what_can_be(self._claim(kind, [segment])) for segment in segments)
        else:
            rows = 0
            self._set_aside(segments)
        claimed.rmdir()
        return rows

    def _set_aside(self, segments: list[Path]) -> None:
        kept = self._journal / _DAMAGED
        make_folder(kept, self._sync)
        for segment in segments:
            self._sync(segment)
            segment.rename(kept / segment.name)
        self._sync(kept)
        self.damaged += len(segments)

    def _finish(self, claimed: Path) -> int:
        """The rows are stored and the claim is gone; only then is a segment counted that was not whole."""
        if claimed.suffix == _DONE:
            shutil.rmtree(claimed)
            return 0
        kind, _, token = claimed.name.partition(".")
        segments = [(path, *read_segment(path)) for path in sorted(claimed.iterdir())]
        tables = [table for _, table, _ in segments if table is not None]
        rows: int = sum(table.num_rows for table in tables)
        if rows:
            self._store(kind, token, arrow().concat_tables(tables, promote_options="default"))
        cut = [path for path, _, bytes_cut in segments if bytes_cut]
        damaged = [path for path in cut if path.suffix != OPEN]
        self._keep(damaged)
        done = claimed.with_name(claimed.name + _DONE)
        claimed.rename(done)
        self.torn += len(cut) - len(damaged)
        self.damaged += len(damaged)
        shutil.rmtree(done)
        return rows

    def _keep(self, damaged: list[Path]) -> None:
        """The segments lie under `damaged/` too, on disk; told twice, once."""
        for path in damaged:
            keep_copy(path, self._journal / _DAMAGED, self._sync)

    def _store(self, kind: str, token: str, table: Any) -> None:
        from pyarrow import parquet

        table = table.sort_by("at")
        first, last = table["at"][0].as_py(), table["at"][-1].as_py()
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        self._objects.put(file_name(kind, first, last, token), buffer.getvalue())


def file_name(kind: str, first: datetime, last: datetime, token: str) -> str:
    """Where rows from `first` to `last` lie: in the folder of the day of the last one."""
    return f"{LOGS}/{kind}/{last:%Y-%m-%d}/{first:%Y%m%dT%H%M%S}-{token}.parquet"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # rolled this very moment


def _held(path: Path) -> bool:
    try:
        return is_held(path)
    except FileNotFoundError:
        return True  # closed this very moment: it is found under its other name the next time
