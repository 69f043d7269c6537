"""Many processes on one ledger: exactly one winner a revision."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
import racers

import histories as h
from mangaops.registry import fold
from mangaops.store import Ledger


def run_race(url: str, folder: Path, processes: int, attempts: int) -> None:
    """All start together; afterwards winners, losers and the ledger tell the same story."""
    with Ledger(url) as ledger:
        ledger.append([h.dataset(1)], expect={}, at=h.AT)
    forks = multiprocessing.get_context("fork")
    gate = forks.Barrier(processes)
    names = [f"racer-{number}" for number in range(processes)]
    started = [
        forks.Process(target=racers.race, args=(url, name, attempts, gate, folder / f"{name}.txt"))
        for name in names
    ]
    for racer in started:
        racer.start()
    for racer in started:
        racer.join()
    assert [racer.exitcode for racer in started] == [0] * processes
    said = {name: (folder / f"{name}.txt").read_text().splitlines() for name in names}
    check_race(url, said, processes * attempts)


def check_race(url: str, said: dict[str, list[str]], attempts: int) -> None:
    won = {
        int(line.split()[1]): name for name, lines in said.items() for line in lines if line.startswith("won")
    }
    words = Counter(line.split()[0] for lines in said.values() for line in lines)
    assert words["won"] + words["lost"] == attempts
    assert words["won"] == len(won)
    with Ledger(url) as ledger:
        events = ledger.read("router")
        assert ledger.verify().ok
    assert {event.revision: event.actor for event in events if event.kind == "model_registered"} == won
    state = fold(events)
    assert state.generation == len(won) == len(events) // 7
    assert state.champion == f"router-{len(won)}"
    print(f"{attempts} promotions in {len(said)} processes: {words['won']} won, {words['lost']} refused")


def test_of_concurrent_promotions_one_wins_each_revision(ledger_url: str, tmp_path: Path) -> None:
    run_race(ledger_url, tmp_path, processes=3, attempts=12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_concurrent_promotions_in_sixteen_processes(ledger_url: str, tmp_path: Path) -> None:
    run_race(ledger_url, tmp_path, processes=16, attempts=625)
