"""Progress tells how long a step has taken and will take: its clock is that step's alone."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from mangaops.cli import screen
from mangaops.datasets.files import pieces


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(screen.time, "monotonic", made)
    return made


AGAIN = {
    "the count fell": [(0, 3), (2, 3), (1, 3)],
    "the count stood": [(1, 3), (1, 3)],
    "another total": [(1, 3), (2, 9)],
    "from nothing": [(1, 3), (0, 3)],
}


@pytest.mark.parametrize("case", AGAIN)
def test_a_title_that_comes_again_has_a_clock_of_its_own(
    case: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    report = screen._lines()
    *earlier, (done, total) = AGAIN[case]
    for each in earlier:
        report("reading", *each)
    clock.now += 94
    report("reading", done, total)
    clock.now += 10
    report("reading", done + 1, total)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if f" {done + 1} of {total}" in line]
    assert "(10 s" in said


def test_a_step_that_goes_on_keeps_its_clock(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    report = screen._lines()
    for done in (0, 1, 2, 4):
        report("training: epoch", done, 4)
        clock.now += 30
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("(")[2] for line in said] == ["30 s, ETA 90 s)", "60 s, ETA 60 s)", "90 s)"]


def test_a_bar_whose_title_comes_again_starts_at_nought(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=160, get_time=clock)
    monkeypatch.setattr(screen, "console", lambda **_: console)
    with screen._bars() as report:
        report("reading", 1, 3)
        clock.now += 94
        report("reading", 1, 3)
        clock.now += 10
    assert re.findall(r"\d:\d\d:\d\d", drawn.getvalue())[-1] == "0:00:10"


def test_files_are_read_under_one_title_that_comes_to_its_end(tmp_path: Path) -> None:
    for number in range(3):
        pl.DataFrame({"text": ["hello"]}).write_parquet(tmp_path / f"logs-{number}.parquet")
    told: list[tuple[str, int, int]] = []
    list(pieces((str(tmp_path / "*.parquet"),), lambda *said: told.append(said)))
    assert {what.split(":")[0] for what, _, _ in told} == {"reading files"}
    assert [(done, total) for _, done, total in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert "logs-1.parquet" in told[1][0]
