"""Calls to a store that may never answer: each is awaited while it gives signs of life, and no longer.

What hangs cannot be ended from outside: it stays in a daemon thread of its own until its store ends it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeVar

from mangaops.errors import SetupError

T = TypeVar("T")

SILENCE: Final = 30.0
"""Seconds without a byte after which a store is taken to be gone; a cutover waits twice as long."""

MOST: Final = 16
"""So many calls of a process may hang; further ones are refused at once."""

SLOWEST: Final = 256 * 1024
"""Bytes a second that a store takes at least."""

_given_up: set[threading.Thread] = set()
"""Calls that nobody awaits any more, and that may still hang; counted for the whole process."""


class Heard(Protocol):
    """Hands over what a thread says: None for a sign of life, or how its call ended."""

    def put(self, item: Any) -> None:
        """It was said."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """What was said next. Raises Empty after `timeout` seconds."""


def awaited(
    call: Callable[[Callable[[], None]], T],
    refused: str,
    silence: float = SILENCE,
    *,
    grows: Callable[[], object] = lambda: None,
    heard: Heard | None = None,
) -> T:
    """What the call gives, or raises; it is handed what it calls for each sign of life.

    Where a call gives none itself, that `grows` gives something else than before is one.

    Raises:
        SetupError: there was no sign of life for `silence` seconds, or too many earlier calls still hang.
    """
    said: Heard = heard or SimpleQueue()

    def run() -> None:
        try:
            found = call(lambda: said.put(None))
        except BaseException as error:  # noqa: BLE001 - raised where the call is awaited
            said.put((False, error))
        else:
            said.put((True, found))

    _require_room(refused)
    calling = threading.Thread(target=run, name="store call", daemon=True)
    calling.start()
    try:
        well, found = _ended(said, refused, silence, grows)
    except SetupError:  # it was silent: what a call raises is in `found`
        _given_up.add(calling)
        raise
    if not well:
        raise found
    return found  # type: ignore[no-any-return]


def write(files: Any, path: str, content: bytes, refused: str, silence: float = SILENCE) -> None:
    """The object stands whole at `path` of an fsspec file system.

    Raises:
        SetupError: it took longer than `longest_write`, or too many earlier calls still hang.
    """
    limit = longest_write(len(content), silence)
    awaited(lambda _alive: files.pipe_file(path, content), refused, limit)


def longest_write(size: int, silence: float = SILENCE) -> float:
    """For how many seconds a write of `size` bytes is awaited: a store says nothing before its end."""
    return silence + size / SLOWEST


def _ended(said: Heard, refused: str, silence: float, grows: Callable[[], object]) -> tuple[bool, Any]:
    """Whether the call ended well, and what it gave or raised."""
    before = grows()
    while True:
        try:
            ended: tuple[bool, Any] | None = said.get(timeout=silence)
        except Empty:
            if grows() == before:
                raise _silent(refused, f"no byte for {silence:g} s", silence) from None
            ended = None
        if ended is not None:
            return ended
        before = grows()


def _require_room(refused: str) -> None:
    _given_up.difference_update([each for each in _given_up.copy() if not each.is_alive()])
    if len(_given_up) >= MOST:
        raise _silent(refused, f"{len(_given_up)} earlier calls that still hang", SILENCE)


def _silent(refused: str, found: str, silence: float) -> SetupError:
    return SetupError(
        refused,
        found=found,
        accepted=f"a store that sends something every {silence:g} s",
        next_step="see whether the store runs and can be reached from this machine, then try again",
    )
