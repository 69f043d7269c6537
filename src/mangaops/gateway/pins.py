"""Pins: a conversation stays with the generation that answered it first, for a stated time.

The pins of all workers of a gateway lie in one file that each maps into memory: 65,536 places of 16 bytes. A
place holds a hash of unit and conversation, the generation, and the end in seconds of the system's monotonic
clock, which no jump of the wall clock moves; an end that no pin of today could have is of before the machine
started anew, and counts for nothing. Where many conversations meet in a few places the oldest pin goes: that
conversation is then answered by today's release, which is what happens without pins.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

from mangaops.store.foreign import file_errors

_PLACES: Final = 65_536
_PLACE: Final = struct.Struct("<8sII")
_TRIES: Final = 4
_SIZE: Final = _PLACES * _PLACE.size

_LOG: Final = logging.getLogger("mangaops.gateway")


class Pins:
    """The pins in a file that several processes share; where the disk has no room for it there are none."""

    trouble: str | None = None
    """Why no conversation is pinned."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError where the file cannot be used for another reason than a full disk."""
        self._map: mmap.mmap | None = None
        with file_errors(f"the pins {path} cannot be used"), path.open("a+b") as file:
            try:
                # a page that the disk did not promise would end the process at the first write to it
                os.posix_fallocate(file.fileno(), 0, _SIZE)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                self.trouble = f"no room for {path}: {error.strerror}"
                _LOG.warning("conversations are not pinned: %s", self.trouble)
            else:
                self._map = mmap.mmap(file.fileno(), _SIZE)

    def pinned(self, unit: str, conversation: str, generation: int, oldest: int, seconds: float) -> int:
        """The generation that the conversation is pinned to; without a pin `generation`, for `seconds`.

        Pins to generations before `oldest` count for nothing.
        """
        if self._map is None:
            return generation
        key = hashlib.blake2b(f"{unit}\0{conversation}".encode(errors="replace"), digest_size=8).digest()
        now, lasts = int(time.monotonic()), max(1, int(seconds))
        start = int.from_bytes(key[:4], "little")
        place, soonest = start % _PLACES, 2**32
        for step in range(_TRIES):
            at = (start + step) % _PLACES
            known, pinned, ends = _PLACE.unpack_from(self._map, at * _PLACE.size)
            if known == key and now < ends <= now + lasts and pinned >= oldest:
                return int(pinned)
            if known == key or ends < soonest:
                place, soonest = at, -1 if known == key else ends
        _PLACE.pack_into(self._map, place * _PLACE.size, key, generation, now + lasts)
        return generation

    def close(self) -> None:
        """The file is no longer mapped."""
        if self._map is not None:
            self._map.close()
