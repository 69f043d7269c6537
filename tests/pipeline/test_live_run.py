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


def mirror(world: World, first: int, count: int) -> None:
    """A gateway whose challenger answers as its champion does has mirrored so many requests more."""
    window = pl.read_parquet(world.folder / "traffic.parquet")
    truth = pl.read_parquet(world.folder / "truth.parquet")
    journal, writer = world.folder / "journal", f"gateway/{first}"
    requests, shadow = (LogWriter(journal, kind, writer, every=0.0) for kind in ("requests", "shadow"))
    rows = window.join(truth, on="request_id").sort("request_id")[first : first + count]
    for number, row in enumerate(rows.iter_rows(named=True), 1):
        same = {name: row[name] for name in ("request_id", "text", "conversation_id", "user_id")}
        at = datetime.now(UTC) + timedelta(minutes=first + number)
        same |= {"unit": "router", "generation": 1, "at": at}
        answer = json.dumps({"label": row["label"], "confidence": 0.9, "action": "route"})
        said = {"release": "router-1", "answer": answer, "latency_ms": 2.0, "batch": 1, "mirror": "sent"}
        requests.put(same | said)
        both = {"champion": "router-1", "challenger": "router-2", "champion_answer": answer}
        both |= {"challenger_answer": answer, "request_writer": writer, "request_seq": number}
        shadow.put(same | both)
    for log in (requests, shadow):
        log.close()
    Roller(journal, world.folder / "home").roll(living=())


def test_a_weekly_run_by_live_traffic_promotes(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    shop, waited = world.workshop(), []

    def pause(_seconds: float) -> None:
        mirror(world, 60 * len(waited), 60)
        waited.append(True)

    shop = replace(shop, pause=pause)
    result = world.run(shop, "first", "second", shadow=ShadowMode.LIVE)
    assert (result.outcome, result.state) == (Outcome.PROMOTE, State.CHAMPION), result.says
    assert len(waited) == 2
    report = Path(result.files["report"]).read_text()
    assert "live of a traffic window" in report
    assert "<dt>Not answered by both</dt><dd>none</dd>" in report


def test_a_live_shadow_beside_a_file_of_traffic_is_refused(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    with pytest.raises(UsageError, match="replays no --traffic"):
        world.run(world.workshop(), "first", shadow=ShadowMode.LIVE, traffic=world.source("traffic"))
