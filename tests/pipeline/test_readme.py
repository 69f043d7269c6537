"""The README's commands for a model of one's own, executed in their order; people answer the review."""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from conftest import logs, make_world
from mangaops.cli import main

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


def test_the_readme_leads_from_init_to_a_reviewed_release_and_back(place: Path, base: Path) -> None:
    typed = commands("Release a model of your own")
    names = [" ".join(line[:2]) for line in typed]
    assert names == [
        "init", "stack check", "data validate", "release bootstrap", "release run",
        "review export", "review import", "release run", "release rollback",
    ]  # fmt: skip
    assert code_of(typed[0]) == 0
    make_world(place, base, simulated=False)
    (place / "logs").mkdir()
    theirs = {"text": "utterance", "label": "intent"}
    pl.read_parquet(place / "first.parquet").rename(theirs).write_parquet(place / "logs" / "1.parquet")
    mapped = ["--column", "text=utterance", "--column", "label=intent"]
    assert code_of(typed[2]) == 0
    assert code_of([*typed[3], *mapped]) == 0
    pl.read_parquet(place / "second.parquet").rename(theirs).write_parquet(place / "logs" / "2.parquet")
    window = logs(400, seed=4)
    window.rename(theirs).drop("intent").write_parquet(place / "traffic.parquet")
    assert code_of([*typed[4], *mapped]) == 3
    assert code_of(typed[5]) == 0
    golden = pl.concat([pl.read_parquet(place / f"{name}.parquet") for name in ("first", "second")])
    known = {
        **dict(golden.select("text", "label").iter_rows()),
        **dict(window.select("text", "label").iter_rows()),
    }
    answer(place / "queue.csv", known)
    assert code_of(typed[6]) == 0
    assert code_of([*typed[7], *mapped]) == 0
    assert code_of(typed[8]) == 0
