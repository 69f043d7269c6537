"""What a gateway is told when it starts: plain values, so that every process of it can be given them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class GatewaySettings:
    """Where a gateway finds things, where it listens, and its bounds. Sizes in bytes, times in seconds.

    `ledger_url` may hold a password: it is never printed or stored. `queue` is how many texts a worker lets
    wait, and `batch` how many it may answer together while others wait.
    """

    stack: Path
    home: Path
    ledger_url: str = field(repr=False)
    files_root: str
    name: str = "gateway"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 0
    queue: int = 512
    batch: int = 4
    time_limit: float = 2.0
    body_limit: int = 65_536
    text_limit: int = 8_192
    poll: float = 0.1
    drain: float = 10.0
    roll_seconds: float = 30.0
    shadow_memory: int = 4 * 1024**3

    @property
    def folder(self) -> Path:
        """The gateway's own folder: local copies, journals, feedback."""
        return self.home / "gateway" / self.name

    @property
    def lanes(self) -> int:
        """Threads that answer, a worker: as told, or the machine's cores shared by the workers."""
        if self.threads:
            return self.threads
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // self.workers)
