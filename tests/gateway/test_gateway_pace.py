"""What a lane could answer, by what its texts took."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mangaops.gateway.pace import BESIDE, ENOUGH, Pace


@dataclass
class Worked:
    """A lane of two threads, as far as it is looked at."""

    size: int = 2
    texts: int = 0
    seconds: float = 0.0

    def answer(self, each: float, texts: int = ENOUGH) -> None:
        self.texts, self.seconds = self.texts + texts, self.seconds + each * texts


def could(each: float) -> object:
    return pytest.approx(2 / (each + BESIDE))


def test_nothing_is_known_before_a_release_is_warm() -> None:
    assert Pace(Worked()).rate(("router-1",), {}) == 0.0  # type: ignore[arg-type]


def test_the_least_counts_that_texts_took_since_the_release_was_warmed() -> None:
    lane, warmed = Worked(), {"router-1": 0.004, "router-2": 0.001}
    pace = Pace(lane)  # type: ignore[arg-type]
    assert pace.rate(("router-1",), warmed) == could(0.004)
    for each, least in ((0.002, 0.004), (0.003, 0.003), (0.008, 0.003), (0.0025, 0.0025)):
        lane.answer(each)  # of the first window no one knows whose texts it has
        assert pace.rate(("router-1",), warmed) == could(least)
    lane.answer(0.0001, texts=ENOUGH - 1)
    assert pace.rate(("router-1",), warmed) == could(0.0025)


def test_what_another_release_took_counts_for_nothing() -> None:
    lane, warmed = Worked(), {"router-1": 0.001, "router-2": 0.005}
    pace = Pace(lane)  # type: ignore[arg-type]
    pace.rate(("router-1",), warmed)
    for _ in range(3):
        lane.answer(0.001)
        pace.rate(("router-1",), warmed)
    lane.answer(0.001)
    assert pace.rate(("router-2",), warmed) == could(0.005)
    lane.answer(0.001)  # the old release's last texts, which waited when the new one came
    assert pace.rate(("router-2",), warmed) == could(0.005)


def test_a_burst_of_short_texts_is_forgotten() -> None:
    lane, warmed = Worked(), {"router-1": 0.002}
    pace = Pace(lane)  # type: ignore[arg-type]
    for each in (0.001, 0.001, 0.0005):
        lane.answer(each)
        pace.rate(("router-1",), warmed)
    assert pace.rate(("router-1",), warmed) == could(0.0005)
    for _ in range(1200):
        lane.answer(0.004)
        pace.rate(("router-1",), warmed)
    assert pace.rate(("router-1",), warmed) == could(0.002)
