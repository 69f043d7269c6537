"""The logs of a gateway, written by the real writer and roller; both sides of its shadow are rigged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from desk_world import Rigged, text_of

from mangaops.inference import Answer
from mangaops.store import LogWriter, Roller


def told(answer: Answer) -> str:
    return json.dumps({"label": answer.label, "confidence": answer.confidence, "action": str(answer.action)})


@dataclass
class GatewayLogs:
    """Requests a minute apart from `start` on, two of them a conversation."""

    journal: Path
    root: Path
    start: datetime
    champion: str = "router-1"
    challenger: str = "router-2"
    generation: int = 1
    ours: Rigged = field(default_factory=lambda: Rigged("challenger", 0.1))
    theirs: Rigged = field(default_factory=lambda: Rigged("champion", 0.1))
    asked: int = 0
    sessions: int = 0
    writer: str = ""

    def serve(self, count: int, *, rolled: bool = True, **changes: Any) -> None:
        """So many requests are logged; `changes` say what became of them: see `_one`."""
        self.serve_each([changes] * count, rolled=rolled)

    def serve_each(
        self, changes: Sequence[Mapping[str, Any]], *, rolled: bool = True, born: str = ""
    ) -> None:
        """A request is logged for each of these, by one writer; `born` is the end of its name."""
        self.sessions += 1
        self.writer = f"gateway/requests/{self.sessions}{born}"
        requests = LogWriter(self.journal, "requests", self.writer, every=0.0)
        shadow = LogWriter(self.journal, "shadow", f"gateway/shadow/{self.sessions}", every=0.0)
        for number, change in enumerate(changes):
            self._one(self.asked + number, number + 1, requests, shadow, **change)
        for writer in (requests, shadow):
            writer.close()
        assert (requests.dropped, shadow.dropped) == (sum("dropped" in each for each in changes), 0)
        self.asked += len(changes)
        if rolled:
            self.roll()

    def behind(self, rows: int) -> Callable[[], None]:
        """The newest so many rows of the request log are not rolled yet; what is given rolls them."""
        newest = max((self.root / "logs" / "requests").glob("*/*.parquet"))
        whole = pl.read_parquet(newest).sort("at")
        newest.unlink()
        whole.head(-rows).write_parquet(newest.with_name("19990101T000000-first.parquet"))
        return lambda: whole.tail(rows).write_parquet(newest)

    def roll(self) -> None:
        Roller(self.journal, self.root).roll(living=())

    def _one(
        self,
        number: int,
        seq: int,
        requests: LogWriter,
        shadow: LogWriter,
        *,
        mirror: str = "sent",
        error: str | None = None,
        lost: bool = False,
        hidden: bool = False,
        dropped: bool = False,
        unit: str = "router",
        release: str | None = None,
        challenger: str | None = None,
    ) -> None:
        at, text = self.start + timedelta(minutes=number), text_of(number, "live")
        same = {
            "at": at,
            "request_id": f"q{number:05}",
            "unit": unit,
            "generation": self.generation,
            "conversation_id": f"c{number // 2}",
            "user_id": None,
            "text": text,
        }
        theirs = told(self.theirs.answer(text))
        if not hidden:
            row = {"release": release or self.champion, "answer": theirs, "latency_ms": 3.0, "batch": 1}
            fault = {"no column of this log": 1} if dropped else {}
            requests.put(same | row | {"error": None, "mirror": mirror} | fault)
        if mirror != "sent" or lost or dropped:
            return
        row = {
            "request_writer": self.writer,
            "request_seq": seq,
            "champion": release or self.champion,
            "challenger": challenger or self.challenger,
            "champion_answer": theirs,
            "champion_ms": 3.0,
            "challenger_answer": None if error else told(self.ours.answer(text)),
            "challenger_ms": None if error else 4.0,
            "challenger_error": error,
            "control_answer": theirs if number % 10 == 0 else None,
            "control_ms": 3.0 if number % 10 == 0 else None,
        }
        shadow.put(same | row | {"at": at + timedelta(seconds=1)})
