"""The logs of a gateway, written by the real writer and roller; both sides of its shadow are rigged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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

    def serve(self, count: int, *, rolled: bool = True, **changes: Any) -> None:
        """So many requests are logged. `mirror`, `error`, `lost` and `hidden` say what became of them."""
        self.sessions += 1
        writers = [
            LogWriter(self.journal, kind, f"gateway/{kind}/{self.sessions}", every=0.0)
            for kind in ("requests", "shadow")
        ]
        for number in range(self.asked, self.asked + count):
            self._one(number, number - self.asked + 1, *writers, **changes)
        for writer in writers:
            writer.close()
            assert writer.dropped == 0
        self.asked += count
        if rolled:
            self.roll()

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
        release: str | None = None,
        challenger: str | None = None,
    ) -> None:
        at, text = self.start + timedelta(minutes=number), text_of(number, "live")
        same = {
            "at": at,
            "request_id": f"q{number:05}",
            "unit": "router",
            "generation": self.generation,
            "conversation_id": f"c{number // 2}",
            "user_id": None,
            "text": text,
        }
        theirs = told(self.theirs.answer(text))
        if not hidden:
            row = {"release": release or self.champion, "answer": theirs, "latency_ms": 3.0, "batch": 1}
            requests.put(same | row | {"error": None, "mirror": mirror})
        if mirror != "sent" or lost:
            return
        row = {
            "request_writer": f"gateway/requests/{self.sessions}",
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
