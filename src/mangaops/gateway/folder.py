"""The folder of one gateway: nobody else's while that runs, and no trace of a start that was refused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from mangaops.errors import SetupError
from mangaops.gateway.tickets import KEY, ticket_key
from mangaops.store.bundles import make_folder
from mangaops.store.foreign import file_errors

_LOCK: Final = "gateway.lock"


@contextmanager
def alone_in(folder: Path, name: str) -> Iterator[Callable[[], None]]:
    """The folder is there, with its key, and nobody else's within the block, whose end the lock shares.

    What is yielded is called once the gateway serves. Where that never came, what this start made is gone
    again; anything else in the folder stays, and with it the folder.

    Raises:
        SetupError: the folder cannot be used, or a gateway of that name runs in it.
    """
    serves: list[bool] = []
    refused = f"serving from {folder} was refused"
    with file_errors(refused):
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        had = set() if missing else {each.name for each in folder.iterdir()}
    try:
        with ExitStack() as held:
            with file_errors(refused):
                held.enter_context(_locked(folder, name))
            held.callback(lambda: None if serves else _leave(folder, had))  # before the lock goes
            ticket_key(folder)
            yield lambda: serves.append(True)
    finally:
        for each in () if serves else missing:
            with suppress(OSError):  # it was never made, or others have put something there
                each.rmdir()


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """The lock goes with the process, however that ends."""
    path = folder / _LOCK
    while True:
        make_folder(folder)
        with path.open("w") as lock:
            _take(lock, name)
            if _is_still(path, lock):  # a start that was refused this very moment takes its lock along
                yield
                return


def _take(lock: IO[str], name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SetupError(
            f"serving as {name} was refused: a gateway of that name runs in this home",
            found=f"{lock.name} is held",
            accepted="one gateway of each name",
            next_step="mangaops serve --name another; mangaops gateway list shows who runs",
        ) from error


def _is_still(path: Path, lock: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False


def _leave(folder: Path, had: set[str]) -> None:
    """Key and lock are gone where they are all that came into the folder."""
    with suppress(OSError):
        new = {each.name for each in folder.iterdir()} - had
        for name in new if new <= {KEY, _LOCK} else ():
            (folder / name).unlink()
