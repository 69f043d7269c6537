"""The end of another process, as an event."""

from __future__ import annotations

import os
import select


class Ends:
    """A process that runs now, whatever becomes of its number."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def within(self, seconds: float) -> bool:
        """Whether it ends in that time, which is waited for."""
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def __del__(self) -> None:
        os.close(self._descriptor)
