"""Processes that write logs and are made to be killed or to run out of disk, and rows for them."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from mangaops.store import LogWriter, Roller

START = datetime(2026, 4, 20, 3, tzinfo=UTC)


def request(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the request log."""
    return {
        "at": START + timedelta(milliseconds=number),
        "request_id": f"r{number}",
        "unit": "router",
        "release": "router-1",
        "generation": 1,
        "conversation_id": f"c{number % 7}",
        "user_id": None,
        "text": f"where is volume {number}? 新刊",
        "options": None,
        "answer": '{"label":"faq"}',
        "latency_ms": 2.5,
        "error": None,
        "batch": 1,
        "mirror": "sent",
    } | changes


def write(journal: Path, writer: str, acknowledge: Callable[[int], None]) -> None:
    """Puts rows as fast as it can until it is killed, and tells each number that is on disk."""
    log = LogWriter(journal, "requests", writer, every=0.0, segment_bytes=20_000)
    told = 0
    for number in count(1):
        seq = log.put(request(number))
        if seq is not None and seq % 50 == 0:
            log.wait(seq, 10)
        if log.acknowledged > told:
            told = log.acknowledged
            acknowledge(told)


def roll(journal: Path, root: Path) -> None:
    """Rolls again and again until it is killed."""
    roller = Roller(journal, root)
    while True:
        roller.roll(living=())


def write_little(journal: Path, most: int, told: int) -> None:
    """Writes into files that may not grow over `most` bytes, then into ones that may; tells how it went."""
    log = LogWriter(journal, "requests", "small", every=0.0, segment_bytes=2**30)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    number = 0
    while log.trouble is None:
        number += 1
        log.wait(log.put(request(number)) or 0, 10)
    acknowledged, trouble = log.acknowledged, log.trouble
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    seq = log.put(request(number + 1))
    found = log.wait(seq or 0, 10)
    log.close()
    os.write(told, repr((number, acknowledged, trouble, found, log.dropped, log.trouble)).encode())
