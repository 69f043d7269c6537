"""Journalled steps: done once, and not at all by a run that lost its lease."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mangaops.errors import LeaseHeld
from mangaops.pipeline.steps import Steps
from mangaops.store import Journal, Leases, Ledger


def test_a_step_is_done_once(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    done: list[str] = []
    with Leases(ledger).hold("run/router", owner="one") as lease:
        steps = Steps(Journal(ledger), "run-1", lambda: 0.0, lambda *_: None, lease.check)
        for _ in range(2):
            assert steps.do("train", {"seed": 1}, lambda: done.append("train") or {"made": 1}) == {"made": 1}
    assert done == ["train"]


def test_what_a_step_gives_is_the_same_text_when_it_is_made_and_when_it_is_found(tmp_path: Path) -> None:
    steps = Steps(
        Journal(Ledger(f"sqlite:///{tmp_path}/ledger.db")), "run", lambda: 0.0, lambda *_: None, lambda: None
    )
    made, found = (steps.do("order", {}, lambda: {"share": 1.0, "both": (0.0, 0.5)}) for _ in range(2))
    assert json.dumps(made) == json.dumps(found)


def test_a_run_that_lost_its_lease_before_a_step_does_not_begin_it(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    done: list[str] = []
    with Leases(ledger).hold("run/router", owner="one") as lease:
        steps = Steps(Journal(ledger), "run-1", lambda: 0.0, lambda *_: None, lease.check)
        lease.trouble = LeaseHeld("run/router was lost by this run")
        with pytest.raises(LeaseHeld, match="lost by this run"):
            steps.do("train", {"seed": 1}, lambda: done.append("train") or {})
    assert done == []


def test_a_run_that_lost_its_lease_during_a_step_journals_nothing(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")

    def work() -> dict[str, int]:
        lease.trouble = LeaseHeld("run/router was lost by this run")
        return {"made": 1}

    with Leases(ledger).hold("run/router", owner="one") as lease:
        steps = Steps(Journal(ledger), "run-1", lambda: 0.0, lambda *_: None, lease.check)
        with pytest.raises(LeaseHeld):
            steps.do("train", {"seed": 1}, work)
    alone = Steps(Journal(ledger), "run-2", lambda: 0.0, lambda *_: None, lambda: None)
    assert alone.do("train", {"seed": 1}, lambda: {"made": 2}) == {"made": 2}
