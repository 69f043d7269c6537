"""Kill -9 at any moment of a run: the next one resumes, and the ledger ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Told

pytestmark = pytest.mark.xdist_group("pipeline")


SCRIPT = Path(__file__).parent / "killing.py"


def kill(told: Told, scratch: Path, kills: int, killers: int = 1) -> list[dict[str, Any]]:
    """What each of several killers tells, which share the kills and work side by side."""
    return killed(told, scratch, [str(kills // killers)] * killers)


def killed(told: Told, scratch: Path, counts: list[str]) -> list[dict[str, Any]]:
    """What killers tell who work side by side, each told how many to kill, or to kill after `each` fact."""
    working = []
    for seed, count in enumerate(counts):
        own = scratch / f"killer-{seed}"
        own.mkdir()
        line = [sys.executable, str(SCRIPT), str(told.world.folder), str(own), count, str(seed)]
        working.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
    said = [killer.communicate()[0] for killer in working]
    assert [killer.returncode for killer in working] == [0] * len(counts)
    return [json.loads(each) for each in said]


def test_runs_that_are_killed_resume_and_leave_the_facts_of_one_run(told: Told, tmp_path: Path) -> None:
    (story,) = kill(told, tmp_path, 12)
    assert story["problems"] == []
    assert story["kills"] == 12
    promoted, rejected = story["events"]
    assert (promoted.count("promoted"), rejected.count("promoted")) == (2, 1)  # the bootstrap's and the run's
    assert rejected.count("rejected") == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_after_any_fact_of_a_run_doubles_none(told: Told, tmp_path: Path) -> None:
    (story,) = killed(told, tmp_path, ["each"])
    assert story["problems"] == []
    assert {"evidence_recorded leakage", "evidence_recorded latency", "decided", "promoted"} <= {
        *story["kills"]
    }


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_double_and_halve_no_fact(told: Told, tmp_path: Path) -> None:
    stories = kill(told, tmp_path, int(os.environ.get("MANGAOPS_KILLS", "1000")), killers=2)
    for story in stories:
        print(f"\n{story['kills']} kills, {story['ended']} whole runs of {story['seconds_a_run']} s")
    assert [story["problems"] for story in stories] == [[], []]
    assert all(story["ended"] for story in stories)
