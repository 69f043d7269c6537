"""Who a process is, so that what it left behind is known to be left: host, number and moment of start."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_UNKNOWN: Final = "-"


@dataclass(frozen=True)
class Process:
    """One process of one boot of one host. `started` is `-` where the system does not tell."""

    host: str
    pid: int
    started: str

    @property
    def host_name(self) -> str:
        """The host's name, without what makes it unique."""
        return self.host.rpartition("#")[0]


def this_process() -> Process:
    """The calling process."""
    return Process(this_host(), os.getpid(), _started(os.getpid()))


@cache
def this_host() -> str:
    """A name that two machines, two boots or two containers do not share: `name#digest`."""
    boot = _text(Path("/proc/sys/kernel/random/boot_id"))
    try:
        room = os.readlink("/proc/self/ns/pid")
    except OSError:
        room = _UNKNOWN
    name = socket.gethostname()
    return f"{name}#{hashlib.sha256(' '.join((name, boot, room)).encode()).hexdigest()[:12]}"


def is_dead(process: Process) -> bool:
    """Whether the process certainly runs no more; of another host nothing is certain."""
    if process.host != this_host():
        return False
    return not _runs(process.pid) or process.started not in (_UNKNOWN, _started(process.pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """The moment of start in clock ticks since boot; a number that is used again has another."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    dead = not fields or fields[0] in "ZX"
    return _UNKNOWN if len(fields) < 20 else f"{'dead' if dead else ''}{fields[19]}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
