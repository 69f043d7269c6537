"""Copies of requests that wait in the shadow process: those of like length are answered together.

A batch reads a model's weights once for many texts, so that the shadow takes less of the machine. No user
waits for a shadow, so copies can wait for company.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any, Final

from mangaops.gateway.together import of_like_length
from mangaops.gateway.units import Unit

_WAITING: Final = 128
"""Copies that are taken before a worker has to wait; a copy that finds so many held waits no longer."""

_LINGER: Final = 0.25
"""Seconds for which a copy waits for others of like length."""

_TOGETHER: Final = 16
"""Copies in one batch at most."""

_TOKENS: Final = 512
"""What a batch may hold in all: long texts gain nothing from company."""


@dataclass(eq=False)
class Copy:
    """A copy of a request: its values, whose unit it is, and when it came."""

    values: Mapping[str, Any]
    unit: Unit
    came: float = field(default_factory=time.monotonic)
    read: Any = None
    """What it asks as the challenger takes it, once that was looked at."""

    @property
    def asked(self) -> Any:
        """What its unit's family makes of text and options."""
        return self.unit.serving.asks(self.values["text"], json.loads(self.values["options"] or "{}"))

    @property
    def sides(self) -> tuple[str, str, str]:
        """Unit, champion and challenger: copies of the same ones may be answered together."""
        return self.unit.name, self.values["release"], self.values["challenger"]


class Copies:
    """What waits, put by the threads that read from workers, taken by the one that answers."""

    def __init__(self, beside: Callable[[Copy], int]) -> None:
        """`beside`: how many others may be answered with a copy; where any may, it has been read."""
        self._beside = beside
        self._arrived: Queue[Copy] = Queue(_WAITING)
        self._held: deque[Copy] = deque()

    def put(self, copy: Copy) -> None:
        """The copy waits; where there is no room, so does the caller."""
        self._arrived.put(copy)

    def take(self, seconds: float, linger: float = _LINGER) -> list[Copy]:
        """The oldest copy and those that go with it; none where none came for so many seconds.

        The oldest waits no longer than `linger` seconds from its arrival for others.
        """
        if not self._held and not self._hold(seconds):
            return []
        first = self._held.popleft()
        if not (others := self._beside(first)):
            return [first]
        while len(self._held) < _WAITING and (left := first.came + linger - time.monotonic()) > 0:
            self._hold(left)
        while len(self._held) < _WAITING and self._hold(0.0):
            pass
        return [first, *self._company(first, others)]

    def _hold(self, seconds: float) -> bool:
        """One more copy is held, if one comes in time."""
        try:
            self._held.append(self._arrived.get(seconds > 0, seconds or None))
        except Empty:
            return False
        return True

    def _company(self, first: Copy, others: int) -> list[Copy]:
        """At most so many others that are answered with the first; they are held no longer."""
        mine = [each for each in self._held if each.sides == first.sides and self._beside(each)]
        near = of_like_length(len(first.read), [len(each.read) for each in mine])
        room = min(others, _TOGETHER - 1, _TOKENS // max(1, len(first.read)) - 1)
        company = [mine[place] for place in near[: max(0, room)]]
        for each in company:
            self._held.remove(each)
        return company
