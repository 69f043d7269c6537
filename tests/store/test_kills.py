"""Writers that are killed with -9 at any moment: nothing acknowledged is lost, doubled or half-written."""

from __future__ import annotations

import os
import random
import select
import signal
from collections import defaultdict
from pathlib import Path

import pytest
import racers

from mangaops.store import Artifacts, Journal, Ledger


def run_and_kill(url: str, root: Path, start: int, rng: random.Random) -> list[list[str]]:
    """What a writer acknowledged before it was killed at a random moment of its first or next few facts."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            os.close(read_end)
            racers.write(url, root, start, lambda fact: _tell(write_end, fact))
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as said:
        lines = [said.readline() for _ in range(rng.randrange(8))]
        select.select([], [], [], rng.uniform(0.0, 0.03))
        os.kill(writer, signal.SIGKILL)
        lines += said.readlines()
    _, status = os.waitpid(writer, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the writer ended by itself"
    return [line.split() for line in lines if line.endswith("\n")]


def _tell(pipe: int, fact: str) -> None:
    os.write(pipe, f"{fact}\n".encode())


def check(url: str, root: Path, told: dict[str, list[list[str]]]) -> None:
    """Each acknowledged fact is there, once and whole; whatever else is there is whole too."""
    with Ledger(url) as ledger:
        events = ledger.read("stack")
        assert ledger.verify().ok
        runs = [event.body["run"] for event in events]
        assert len(runs) == len(set(runs)) == len(ledger.read("data/crash"))
        by_revision = {event.revision: event for event in events}
        for _, number, revision, own in told["event"]:
            assert by_revision[int(revision)].body["run"] == f"run-{number}"
            assert by_revision[int(revision)].hash == own
        journal = Journal(ledger)
        for _, number, digest in told["journal"]:
            assert journal.get(f"key-{number}") == {"digest": digest}
    artifacts = Artifacts(root)
    stored = artifacts.digests()
    assert {digest for _, _, digest in told["artifact"]} <= set(stored)
    for digest in stored:
        assert (artifacts.open(digest) / "model.onnx").stat().st_size > 0


def kill_many(url: str, root: Path, kills: int, seed: int) -> None:
    """So many writers in turn, each killed at a moment of its own; all is checked every 50 and at the end."""
    rng, told = random.Random(seed), defaultdict(list)
    for number in range(kills):
        for fact in run_and_kill(url, root, number * 100_000, rng):
            told[fact[0]].append(fact)
        if number % 50 == 49:
            check(url, root, told)
    check(url, root, told)
    counted = {what: len(facts) for what, facts in told.items()}
    print(f"{kills} kills; acknowledged and found again: {counted}")
    assert len(told["journal"]) > 0
    Artifacts(root).put(racers.sealed_folder(root.parent / "whole", 0))
    assert list(root.glob(".writing/*")) == []


def test_a_killed_writer_leaves_whole_facts_only(ledger_url: str, tmp_path: Path) -> None:
    kill_many(ledger_url, tmp_path / "store", kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_kills(ledger_url: str, tmp_path: Path) -> None:
    kill_many(ledger_url, tmp_path / "store", kills=500, seed=2)
