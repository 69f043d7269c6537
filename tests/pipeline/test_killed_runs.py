"""Kill -9 at any moment of a run: the next one resumes, and the ledger ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Told

pytestmark = pytest.mark.xdist_group("pipeline")


def kill(told: Told, scratch: Path, kills: int) -> dict[str, object]:
    script = Path(__file__).parent / "killing.py"
    done = subprocess.run(
        [sys.executable, str(script), str(told.world.folder), str(scratch), str(kills), "7"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    story: dict[str, object] = json.loads(done.stdout)
    return story


def test_runs_that_are_killed_resume_and_leave_the_facts_of_one_run(told: Told, tmp_path: Path) -> None:
    story = kill(told, tmp_path, 12)
    assert story["problems"] == []
    assert story["kills"] == 12


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_double_and_halve_no_fact(told: Told, tmp_path: Path) -> None:
    kills = int(os.environ.get("MANGAOPS_KILLS", "1000"))
    story = kill(told, tmp_path, kills)
    print(f"\n{story['kills']} kills, {story['ended']} whole runs of {story['seconds_a_run']} s")
    assert story["problems"] == []
    assert story["ended"]
