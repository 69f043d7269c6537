"""Users first: the shadow process stands still while a user's text is being answered.

The lowest priority gives users the processor, and not its caches and memory lanes: two models that run
side by side slow each other. The shadow goes on as soon as nobody waits, and after `LONGEST` at any rate: a
gateway that is never idle must not look as if its shadow hung.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from typing import Final

LONGEST: Final = 0.05
"""Seconds for which the shadow stands still at a time."""


class Pause:
    """Halts one process while users are `busy`; used on one event loop.

    Of several workers each halts the shadow for its own users: it goes on when the first of them is idle.
    """

    def __init__(self, process: int) -> None:
        """Raises OSError where there is no such process, or it may not be signalled."""
        self._process = os.pidfd_open(process)
        self._halted = False
        self._timer: asyncio.TimerHandle | None = None

    def users(self, busy: bool) -> None:
        """Users began to wait, or nobody does any more."""
        if not busy:
            self._go_on()
        elif not self._halted:
            self._halted = True
            self._send(signal.SIGSTOP)
            self._timer = asyncio.get_running_loop().call_later(LONGEST, self._go_on)

    def close(self) -> None:
        """The process goes on, and is let alone."""
        self._go_on()
        os.close(self._process)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._halted:
            self._halted = False
            self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):  # it ended
            signal.pidfd_send_signal(self._process, number)


def pause_of(connection: socket.socket) -> Pause | None:
    """What halts the process at the other end of a UNIX socket; None where the system has no such thing.

    A process never halts itself.
    """
    with contextlib.suppress(AttributeError, OSError):
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        process = struct.unpack("3i", told)[0]
        return Pause(process) if process != os.getpid() else None
    return None
