"""What users said of answers, and people of that: a small database of a gateway, shared by its processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mangaops.store.bundles import make_folder
from mangaops.store.foreign import file_errors, sqlite_errors

COLUMNS: Final = ("request_id", "at", "unit", "release", "generation", "outcome", "label", "reviewed")

_MADE: Final = """
CREATE TABLE IF NOT EXISTS feedback (
    request_id TEXT PRIMARY KEY, at TEXT NOT NULL, unit TEXT NOT NULL, release TEXT NOT NULL,
    generation INTEGER NOT NULL, outcome TEXT, label TEXT, reviewed INTEGER NOT NULL DEFAULT 0
) STRICT
"""
REVIEWED: Final = ("request_id", "at", "reviewer", "label", "reason")

_REVIEWS: Final = """
CREATE TABLE IF NOT EXISTS reviews (
    request_id TEXT PRIMARY KEY, at TEXT NOT NULL, reviewer TEXT NOT NULL, label TEXT, reason TEXT NOT NULL
) STRICT
"""
_BUSY_SECONDS: Final = 5.0


class FeedbackBook:
    """Feedback by request id. Safe to share between threads and processes, not over a fork."""

    def __init__(self, path: Path) -> None:
        """The book is open; where there is none it is made.

        Raises:
            SetupError: its disk is full or read-only.
        """
        self._refused = f"the feedback book {path} cannot be used"
        self._lock = threading.Lock()
        with file_errors(self._refused), sqlite_errors(self._refused):
            make_folder(path.parent)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(_MADE)
            self._connection.execute(_REVIEWS)

    def record(self, row: Mapping[str, Any]) -> bool:
        """The feedback is on disk; False, and nothing changed, where its request has one already.

        `row`: request_id, at (text), unit, release, generation, and outcome or label or both.

        Raises:
            SetupError: the disk is full or read-only, or another process holds the book too long.
        """
        names = COLUMNS[:-1]
        statement = (
            f"INSERT INTO feedback ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            "ON CONFLICT (request_id) DO NOTHING"
        )
        with self._lock, sqlite_errors(self._refused):
            return self._connection.execute(statement, [row.get(name) for name in names]).rowcount == 1

    def rows(self) -> list[dict[str, Any]]:
        """All feedback, in order of time and then of request id."""
        with self._lock, sqlite_errors(self._refused):
            found = self._connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM feedback ORDER BY at, request_id"
            ).fetchall()
        return [dict(zip(COLUMNS, values, strict=True)) for values in found]

    def review(self, row: Mapping[str, Any]) -> bool:
        """The review is on disk; False, and nothing changed, where no such feedback waits for one.

        `row`: request_id, at (text), reviewer, label (None: it teaches nothing), reason.

        Raises:
            SetupError: as `record`.
        """
        once = "UPDATE feedback SET reviewed = 1 WHERE request_id = ? AND reviewed = 0"
        kept = f"INSERT INTO reviews ({', '.join(REVIEWED)}) VALUES ({', '.join('?' * len(REVIEWED))})"
        with self._lock, sqlite_errors(self._refused):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                waits = self._connection.execute(once, [row["request_id"]]).rowcount == 1
                if waits:
                    self._connection.execute(kept, [row[name] for name in REVIEWED])
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        return waits

    def reviews(self) -> list[dict[str, Any]]:
        """All reviews, in order of time and then of request id."""
        with self._lock, sqlite_errors(self._refused):
            found = self._connection.execute(
                f"SELECT {', '.join(REVIEWED)} FROM reviews ORDER BY at, request_id"
            ).fetchall()
        return [dict(zip(REVIEWED, values, strict=True)) for values in found]

    def close(self) -> None:
        """No file is open."""
        with self._lock:
            self._connection.close()
