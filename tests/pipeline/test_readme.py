"""The README's commands for a model of one's own, executed in their order; people answer the review."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import logs, make_world
from mangaops.cli import main
from mangaops.pipeline.server_process import ServerProcess

README = Path(__file__).parents[2] / "README.md"
pytestmark = pytest.mark.xdist_group("readme")


def commands(section: str) -> list[list[str]]:
    """The `mangaops` lines of a section, as arguments; globs stay as they are typed in quotes."""
    text = README.read_text(encoding="utf-8")
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^    \.venv/bin/mangaops (.*)$", part, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def code_of(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def two_in_one(rows: int) -> pl.DataFrame:
    """Messages that say two things at once, so that two models find something to answer differently."""
    said = logs(rows, seed=5)
    return said.with_columns(text=pl.concat_str("text", pl.col("text").reverse(), separator=" "))


def answer(queue: Path, truth: dict[str, str]) -> None:
    """A person fills in the column `answer`, by what the text says."""
    with queue.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["answer"] = truth.get(row["text"], "A")
    with queue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def curled() -> tuple[str, bytes]:
    """Path and body of the README's request."""
    found = re.search(r"curl -s localhost:8000(\S+) -d '(.*)'", README.read_text(encoding="utf-8"))
    assert found is not None
    return found[1], found[2].encode()


def asked(url: str, request: tuple[str, bytes]) -> dict[str, Any]:
    with urllib.request.urlopen(url + request[0], request[1], timeout=10) as reply:
        answered: dict[str, Any] = json.load(reply)
    return answered


def test_the_readme_leads_from_init_to_a_reviewed_release_and_back(place: Path, base: Path) -> None:
    typed = commands("Release a model of your own")
    names = [" ".join(line[:2]) for line in typed]
    assert names == [
        "init", "stack check", "data validate", "release bootstrap", "release run",
        "review export", "review import", "release run", "serve --port", "release run", "release rollback",
    ]  # fmt: skip
    assert code_of(typed[0]) == 0
    world = make_world(place, base, simulated=False)
    said = "columns: {text: utterance, label: intent}"
    assert said in README.read_text(encoding="utf-8")
    world.stack.write_text(
        world.stack.read_text().replace("  intent-data:\n", f"  intent-data:\n    {said}\n")
    )
    (place / "logs").mkdir()
    theirs = {"text": "utterance", "label": "intent"}
    pl.read_parquet(place / "first.parquet").rename(theirs).write_parquet(place / "logs" / "1.parquet")
    assert code_of(typed[2]) == 0
    assert code_of(typed[3]) == 0
    pl.read_parquet(place / "second.parquet").rename(theirs).write_parquet(place / "logs" / "2.parquet")
    window = pl.concat([logs(400, seed=4), two_in_one(80)])
    window.rename(theirs).drop("intent").write_parquet(place / "traffic.parquet")
    assert code_of(typed[4]) == 3
    assert code_of(typed[5]) == 0
    golden = pl.concat([pl.read_parquet(place / f"{name}.parquet") for name in ("first", "second")])
    known = {
        **dict(golden.select("text", "label").iter_rows()),
        **dict(window.select("text", "label").iter_rows()),
    }
    answer(place / "queue.csv", known)
    assert code_of(typed[6]) == 0
    assert code_of(typed[7]) == 0
    free = [word.replace("8000", "0") for word in typed[8]]
    with ServerProcess([sys.executable, "-c", "from mangaops.cli import main; main()", *free]) as gateway:
        assert asked(gateway.url, curled())["release"] == "router-2"
        assert code_of(typed[9]) == 0  # equal logs: decided already, so nothing is shadowed anew
        assert code_of(typed[10]) == 0
        assert asked(gateway.url, curled())["release"] == "router-1"
