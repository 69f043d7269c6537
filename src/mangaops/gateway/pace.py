"""How fast a lane could answer: by the least that texts took, since a model that is seldom run looks slow.

Between two texts of a quiet hour other work takes the processor's caches, so that the mean of live texts says
little of what the threads could do when they are busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from mangaops.gateway.lane import Lane

ENOUGH: Final = 100
"""Texts that make a window whose mean counts."""

BESIDE: Final = 0.0003
"""Seconds that a request takes beside the model: of the event loop and of the log."""

_WINDOWS: Final = 1200
"""Windows that count, of half a second or more each: a burst of short texts is forgotten after them."""


class Pace:
    """What one lane could answer a second; looked at again and again on its event loop."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._recent: deque[float] = deque(maxlen=_WINDOWS)
        self._served: tuple[str, ...] = ()
        self._begin()
        self._mixed = True

    def rate(self, served: tuple[str, ...], warmed: Mapping[str, float]) -> float:
        """Texts a second with all threads busy; 0 where nothing is known yet.

        `served` are the releases that answer now, `warmed` the seconds of a typical text when each was
        warmed. Windows of other releases, and the one in which these began, do not count.
        """
        if served != self._served:
            self._served, self._mixed = served, True
            self._recent.clear()
            self._begin()
        elif self._lane.texts - self._texts >= ENOUGH:
            if not self._mixed:
                spent = self._lane.seconds - self._seconds
                self._recent.append(spent / (self._lane.texts - self._texts))
            self._mixed = False
            self._begin()
        told = [warmed[release] for release in served if release in warmed]
        least = min([*self._recent, *([max(told)] if told else [])], default=0.0)
        return self._lane.size / (least + BESIDE) if least else 0.0

    def _begin(self) -> None:
        self._texts, self._seconds = self._lane.texts, self._lane.seconds
