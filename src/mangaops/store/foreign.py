"""The one place where errors of databases, disks and object stores become errors of mangaops."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import exc

from mangaops.errors import IntegrityError, MangaopsError, SetupError, UsageError

_FULL: Final = "the disk is full"
_READ_ONLY: Final = "the place is read-only for this user"
_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_DENIED: Final = (errno.EACCES, errno.EPERM)
_FOLDER: Final = "a folder that this user may read and write, on a disk with room"
_SYSTEM: Final[dict[int, tuple[str, str, str]]] = {
    errno.ENOSPC: (_FULL, _FOLDER, "free some space and run the command again: nothing was half-written"),
    errno.EDQUOT: ("the disk quota is used up", _FOLDER, "free some space and run the command again"),
    errno.EROFS: (_READ_ONLY, _FOLDER, "name a writable folder"),
    **dict.fromkeys(
        _DENIED, ("this user has no permission", _FOLDER, "make the folder writable, or run as its owner")
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        ("a file is where a folder should be", _FOLDER, "move it away, or name another folder"),
    ),
    errno.EISDIR: ("a folder is where a file should be", "a file", "move it away, or name another place"),
    errno.ENOENT: ("there is no such file or folder", _FOLDER, "check the path, or name another one"),
}

_SQL: Final[tuple[tuple[str, str, str], ...]] = (
    ("disk is full", _FULL, "free some space and run the command again: nothing was half-written"),
    ("no space left", _FULL, "free some space and run the command again: nothing was half-written"),
    ("readonly database", _READ_ONLY, "make file and folder writable, or run as their owner"),
    ("read-only transaction", _READ_ONLY, "connect to the primary server"),
    ("permission denied", _READ_ONLY, "grant this user SELECT, INSERT, UPDATE, DELETE and CREATE"),
    ("unable to open database", "the file cannot be opened", "check that its folder exists and is writable"),
    ("database is locked", "another process holds it too long", "see who uses the file, then try again"),
    ("disk i/o error", "the disk does not answer", "use a local disk: SQLite is unsafe on network folders"),
    ("locking protocol", "its files cannot be locked", "use a local disk, or PostgreSQL"),
    ("password authentication failed", "user or password is wrong", "mend the URL in MANGAOPS_LEDGER"),
)
_TORN: Final = ("not a database", "malformed", "no such table", "does not exist", "no such column")
_UNREACHABLE: Final = "check that the server runs and that host, port and database name are right"


@contextmanager
def sql_errors(shown: str) -> Iterator[None]:
    """Errors of the database are raised as errors of mangaops; `shown` is its URL without secrets."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _of_database(shown, str(error.orig)) from error
    except exc.SQLAlchemyError as error:
        raise SetupError(f"the ledger {shown} cannot be used", found=_first_line(str(error))) from error
    except OSError as error:
        raise of_system(f"the ledger {shown} cannot be used", error) from error


def _of_database(shown: str, said: str) -> MangaopsError:
    lower, refused = said.lower(), f"the ledger {shown} cannot be used"
    for needle, found, next_step in _SQL:
        if needle in lower:
            return SetupError(refused, found=f"{found} ({_first_line(said)})", next_step=next_step)
    if "database" in lower and "does not exist" in lower and "relation" not in lower:
        return SetupError(refused, found=_first_line(said), next_step="create the database first")
    if any(needle in lower for needle in _TORN):
        return IntegrityError(
            f"the ledger {shown} was refused: it is no ledger, or a damaged one",
            found=_first_line(said),
            accepted="a database that mangaops made",
            next_step="restore it from its backup, or name another file",
        )
    return SetupError(refused, found=_first_line(said), next_step=_UNREACHABLE)


@contextmanager
def sqlite_errors(refused: str) -> Iterator[None]:
    """Errors of a small database beside the ledger are raised as SetupError; `refused` says which."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        known = (entry for entry in _SQL if entry[0] in said.lower())
        _, found, next_step = next(known, ("", _first_line(said), "look at the disk, or move the file away"))
        raise SetupError(refused, found=found, next_step=next_step) from error


@contextmanager
def file_errors(refused: str) -> Iterator[None]:
    """Errors of a local disk are raised as errors of mangaops; `refused` says what could not be done."""
    try:
        yield
    except OSError as error:
        raise of_system(refused, error) from error


def lacks_room(error: Exception) -> bool:
    """Whether a disk is full or its quota used up, whatever library says so."""
    return getattr(error, "errno", None) in _ROOM or "no space left" in str(error).lower()


def of_system(refused: str, error: OSError, folder: Path | None = None) -> SetupError:
    """What the operating system said, with its remedy, and the part of the path that it said it of.

    `folder` is where it happened if the error names no path: what fails to write names none.
    """
    full = lacks_room(error)
    known = _SYSTEM.get(errno.ENOSPC if full and error.errno != errno.EDQUOT else error.errno or 0)
    if known is None:
        return SetupError(refused, found=str(error), next_step="look at the disk, then try again")
    found, accepted, next_step = known
    path = Path(str(error.filename)) if error.filename else folder
    if path is None:
        where = ""
    elif error.errno in _DENIED:
        where = f": {_whose(_nearest(path))}"
    else:
        where = f": {in_the_way(path) or path}"
    return SetupError(refused, found=f"{found}{where}", accepted=accepted, next_step=next_step)


def in_the_way(path: Path) -> Path | None:
    """The file that stands where `path`, or a folder above it, should be; None where there is none."""
    there = _nearest(path)
    return there if there.is_file() else None


def _nearest(path: Path) -> Path:
    """The path, or the lowest folder above it that is there and may be looked at."""
    for each in (path, *path.absolute().parents):
        try:
            if each.exists():
                return each
        except PermissionError:
            continue
    return path


def _whose(path: Path) -> str:
    """The path, whose it is and what others may do there, beside who asks."""
    try:
        status = path.stat()
    except OSError:
        return str(path)
    mode = stat.filemode(status.st_mode)
    return f"{path} is {mode} of user {status.st_uid}, and this is user {os.geteuid()}"


@contextmanager
def object_errors(refused: str) -> Iterator[None]:
    """Whatever an fsspec backend raises is raised as SetupError: each has a tree of errors of its own.

    Neither its words nor its chain go on: they may hold a signed address.
    """
    try:
        yield
    except MangaopsError:
        raise
    except ImportError as error:
        raise SetupError(
            refused, found=_first_line(str(error)), next_step="install the named fsspec backend with pip"
        ) from error
    except Exception as error:  # noqa: BLE001 - raised as ours, without the chain
        raise _of_store(refused, error) from None


def _of_store(refused: str, error: Exception) -> SetupError:
    """A disk that is full, or what kind of error it was and the HTTP status that the store gave."""
    if isinstance(error, OSError) and lacks_room(error):
        return of_system(refused, OSError(error.errno or errno.ENOSPC, "no room"))
    status = getattr(error, "status", None)
    return SetupError(
        refused,
        found=f"{type(error).__name__}{f', HTTP {status}' if isinstance(status, int) else ''}",
        accepted="an address that fsspec knows and this machine may read and write, as in s3://bucket/folder",
        next_step="check address, region and credentials",
    )


def bad_url(what: str, shown: str, accepted: str) -> UsageError:
    """The error for an address that is none."""
    return UsageError(
        f"{what} {shown!r} was refused: it is no address of one",
        accepted=accepted,
        next_step="mend the address; a password needs no place in it where PGPASSWORD or ~/.pgpass has it",
    )


def _first_line(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if line.strip()), "no word of why")
