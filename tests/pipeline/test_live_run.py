"""A whole run by live traffic: from labelled logs to a promotion, with the logs of a gateway."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from conftest import Told, World, copied
from mangaops.errors import UsageError
from mangaops.store import LogWriter, Roller
from mangaops.vocabulary import Outcome, ShadowMode, State


class Mirrored:
    """A gateway whose challenger answers as its champion does: one writer a log, a segment for each batch."""

    def __init__(self, world: World) -> None:
        self.world, self.journal, self.asked = world, world.folder / "journal", 0
        self.requests, self.shadow = (
            LogWriter(self.journal, kind, "gateway", every=0.0, segment_bytes=1)
            for kind in ("requests", "shadow")
        )
        window = pl.read_parquet(world.folder / "traffic.parquet")
        truth = pl.read_parquet(world.folder / "truth.parquet")
        self.rows = window.join(truth, on="request_id").sort("request_id")

    def serve(self, count: int) -> None:
        """So many requests more, a minute apart, are answered by both sides, and are in the logs."""
        for row in self.rows[self.asked : self.asked + count].iter_rows(named=True):
            self.asked += 1
            same = {name: row[name] for name in ("request_id", "text", "conversation_id", "user_id")}
            at = datetime.now(UTC) + timedelta(minutes=self.asked)
            same |= {"unit": "router", "generation": 1, "at": at}
            answer = json.dumps({"label": row["label"], "confidence": 0.9, "action": "route"})
            said = {"release": "router-1", "answer": answer, "latency_ms": 2.0, "batch": 1, "mirror": "sent"}
            self.requests.put(same | said)
            both = {"champion": "router-1", "challenger": "router-2", "champion_answer": answer}
            both |= {"challenger_answer": answer, "request_writer": "gateway", "request_seq": self.asked}
            self.shadow.put(same | both)
        for log in (self.requests, self.shadow):
            assert log.wait(self.asked, 60.0)
        Roller(self.journal, self.world.folder / "home").roll(living=["gateway"])

    def close(self) -> None:
        for log in (self.requests, self.shadow):
            log.close()
        Roller(self.journal, self.world.folder / "home").roll(living=())


def test_a_weekly_run_by_live_traffic_promotes(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    shop, gateway, waited = world.workshop(), Mirrored(world), []

    def pause(_seconds: float) -> None:
        waited.append(True)
        gateway.serve(60) if len(waited) < 3 else gateway.close()
        assert len(waited) < 5

    shop = replace(shop, pause=pause)
    result = world.run(shop, "first", "second", shadow=ShadowMode.LIVE)
    assert (result.outcome, result.state) == (Outcome.PROMOTE, State.CHAMPION), result.says
    report = Path(result.files["report"]).read_text()
    assert "live of a traffic window" in report
    assert "<dt>Not answered by both</dt><dd>none</dd>" in report


def test_a_live_shadow_beside_a_file_of_traffic_is_refused(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    with pytest.raises(UsageError, match="replays no --traffic"):
        world.run(world.workshop(), "first", shadow=ShadowMode.LIVE, traffic=world.source("traffic"))
