"""Counts of several processes are one page, also those of a process that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COUNT = """
import os, signal
from mangaops.gateway import gauges
gauges.of_request("router", "router-1")[0].inc(2)
gauges.BEHIND.labels("router").set(int(os.environ["GENERATION"]))
os.kill(os.getpid(), signal.SIGKILL)
"""
SHOW = "from mangaops.gateway import gauges; print(gauges.page().decode())"


def ran(code: str, folder: Path, generation: int = 0) -> str:
    told = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "GENERATION": str(generation)}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_counts_of_killed_processes_stay_and_are_added(tmp_path: Path) -> None:
    assert "mangaops_requests_total{" not in ran(SHOW, tmp_path)
    for generation in (3, 2):
        ran(COUNT, tmp_path, generation)
    page = ran(SHOW, tmp_path).splitlines()
    assert 'mangaops_requests_total{release="router-1",unit="router"} 4.0' in page
    assert 'mangaops_generation_behind{unit="router"} 2.0' in page
