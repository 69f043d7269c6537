"""What a row of the request log and of the shadow log holds, and how rows lie in a segment of a journal.

A segment is a file of frames: length, CRC-32, payload. The first payload is an Arrow schema, each further one
an Arrow record batch. Whatever follows the last whole frame was being written when its writer was killed.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from mangaops.errors import SetupError
from mangaops.store.bundles import sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["requests", "shadow"]

OPEN: Final = ".open"
CLOSED: Final = ".closed"
NEW: Final = ".new"

_TIME: Final = pl.Datetime("us", "UTC")

COLUMNS: Final[dict[str, dict[str, Any]]] = {
    # One row a request that was answered, or that failed. `seq` counts what a writer was given, from 1: a gap
    # is what was dropped. `answer`: JSON; `options` too, of a search: what it was limited to.
    # `mirror`: off, out, sent, shed_queue, shed_rate or shed_down.
    "requests": {
        "seq": pl.Int64,
        "writer": pl.String,
        "at": _TIME,
        "request_id": pl.String,
        "unit": pl.String,
        "release": pl.String,
        "generation": pl.Int32,
        "conversation_id": pl.String,
        "user_id": pl.String,
        "text": pl.String,
        "options": pl.String,
        "answer": pl.String,
        "latency_ms": pl.Float32,
        "error": pl.String,
        "batch": pl.Int16,
        "mirror": pl.String,
    },
    # One row a mirrored request. `request_writer` and `request_seq` are those of its row in the request log.
    # `control_*`: the champion asked a second time, of a share of the requests.
    "shadow": {
        "seq": pl.Int64,
        "writer": pl.String,
        "at": _TIME,
        "request_id": pl.String,
        "request_writer": pl.String,
        "request_seq": pl.Int64,
        "unit": pl.String,
        "champion": pl.String,
        "generation": pl.Int32,
        "challenger": pl.String,
        "conversation_id": pl.String,
        "user_id": pl.String,
        "text": pl.String,
        "options": pl.String,
        "champion_answer": pl.String,
        "champion_ms": pl.Float32,
        "challenger_answer": pl.String,
        "challenger_ms": pl.Float32,
        "challenger_error": pl.String,
        "control_answer": pl.String,
        "control_ms": pl.Float32,
    },
}

_HEAD: Final = struct.Struct("<II")


def arrow() -> Any:
    """The package pyarrow.

    Raises:
        SetupError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise SetupError(
            "the logs of a gateway need the package pyarrow",
            found=str(error),
            next_step='pip install "mangaops[serve]"',
        ) from error
    return pyarrow


def arrow_schema(kind: str) -> pa.Schema:
    """The columns of a log as Arrow has them."""
    made = arrow()
    types = {
        pl.Int64: made.int64(),
        pl.Int32: made.int32(),
        pl.Int16: made.int16(),
        pl.Float32: made.float32(),
        pl.String: made.string(),
        _TIME: made.timestamp("us", tz="UTC"),
    }
    return made.schema([(name, types[dtype]) for name, dtype in COLUMNS[kind].items()])


class Segment:
    """An open segment. Its writer holds a lock on it that the system takes back when the writer is killed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """The segment is on disk with its schema. Raises OSError, and then leaves no file behind.

        It gets its name when it is locked: under that name, unlocked means that its writer was killed.
        """
        self.path = path
        self.size = 0
        self.rows = 0
        new = path.with_suffix(NEW)
        self._file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._frame(schema.serialize())
            new.rename(path)
            sync_folder(path.parent)
        except OSError:
            os.close(self._file)
            for left in (new, path):
                with suppress(OSError):
                    left.unlink()
            raise

    def append(self, batch: pa.RecordBatch) -> None:
        """The rows are on disk. Raises OSError, and then the segment ends where it ended before."""
        self._frame(batch.serialize())
        self.rows += batch.num_rows

    def close(self) -> None:
        """The segment is closed, and will never change; one without rows is gone. Raises OSError."""
        try:
            if self.rows:
                self.path.rename(self.path.with_suffix(CLOSED))
                sync_folder(self.path.parent)
            else:
                self.path.unlink()
        finally:
            os.close(self._file)

    def _frame(self, payload: Any) -> None:
        content = _HEAD.pack(len(payload), zlib.crc32(payload)) + bytes(payload)
        try:
            done = 0
            while done < len(content):
                done += os.write(self._file, content[done:])
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
                os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(content)


def read_segment(path: Path) -> tuple[pa.Table | None, int]:
    """The rows of a segment up to its last whole batch, and how many bytes follow that are no whole batch.

    None: not even the schema is whole.
    """
    made, payloads, cut = arrow(), *_whole(path.read_bytes())
    if not payloads:
        return None, cut
    schema = made.ipc.read_schema(made.py_buffer(payloads[0]))
    batches = [made.ipc.read_record_batch(made.py_buffer(each), schema) for each in payloads[1:]]
    return made.Table.from_batches(batches, schema), cut


def _whole(content: bytes) -> tuple[list[bytes], int]:
    """The payloads of the whole frames, and how many bytes follow them."""
    payloads, at = [], 0
    while at + _HEAD.size <= len(content):
        length, sum_ = _HEAD.unpack_from(content, at)
        payload = content[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(payload) < length or zlib.crc32(payload) != sum_:
            break
        payloads.append(payload)
        at += _HEAD.size + length
    return payloads, len(content) - at


def is_held(path: Path) -> bool:
    """Whether the writer of a segment still has it open."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
