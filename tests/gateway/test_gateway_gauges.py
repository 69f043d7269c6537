"""Counts of several processes are one page, also those of a process that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

COUNT = """
import multiprocessing, os, signal
multiprocessing.current_process().name = os.environ["NAME"]
from mangaops.gateway import gauges
for _ in range(2):
    gauges.answered("router", "router-1", 0.004, 1, "off")
gauges.BEHIND.labels("router").set(int(os.environ["GENERATION"]))
os.kill(os.getpid(), signal.SIGKILL)
"""
SHOW = "from mangaops.gateway import gauges; print(gauges.page().decode())"


def ran(code: str, folder: Path, generation: int = 0, name: str = "worker 0") -> str:
    told = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "GENERATION": str(generation), "NAME": name}
    told = {**os.environ, **told}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_counts_of_killed_processes_stay_and_are_added(tmp_path: Path) -> None:
    assert "mangaops_requests_total{" not in ran(SHOW, tmp_path)
    for number, generation in enumerate((3, 2)):
        ran(COUNT, tmp_path, generation, f"worker {number}")
    page = ran(SHOW, tmp_path).splitlines()
    assert 'mangaops_requests_total{release="router-1",unit="router"} 4.0' in page
    assert 'mangaops_generation_behind{unit="router"} 2.0' in page


def test_a_process_started_in_place_of_a_killed_one_counts_on_and_leaves_no_more_files(
    tmp_path: Path,
) -> None:
    ran(COUNT, tmp_path, 3, "shadow")
    files = sorted(tmp_path.glob("*_shadow.db"))
    for _ in range(3):
        mark_process_dead("shadow", str(tmp_path))
        assert "mangaops_generation_behind{" not in ran(SHOW, tmp_path)
        ran(COUNT, tmp_path, 4, "shadow")
    assert sorted(tmp_path.glob("*_shadow.db")) == files
    page = ran(SHOW, tmp_path).splitlines()
    assert 'mangaops_requests_total{release="router-1",unit="router"} 8.0' in page
    assert 'mangaops_request_seconds_count{unit="router"} 8.0' in page
    assert 'mangaops_generation_behind{unit="router"} 4.0' in page
