"""Pins: a conversation keeps its generation for the stated time, in every process, and no longer."""

from __future__ import annotations

import multiprocessing
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_parts import ANY_TEXT
from hypothesis import HealthCheck, given, settings

from mangaops.errors import SetupError
from mangaops.gateway.pins import Pins

PLACES = 65_536


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Pins]:
    made = Pins(tmp_path / "pins.bin")
    yield made
    made.close()


def pinned_there(path: Path, conversation: str, generation: int) -> int:
    pins = Pins(path)
    try:
        return pins.pinned("router", conversation, generation, 0, 600)
    finally:
        pins.close()


def move_ends(path: Path, seconds: int) -> None:
    """Every pin in the file ends so many seconds later than it did."""
    held = bytearray(path.read_bytes())
    for at in range(0, len(held), 16):
        key, generation, ends = struct.unpack_from("<8sII", held, at)
        if ends:
            struct.pack_into("<8sII", held, at, key, generation, ends + seconds)
    with path.open("r+b") as file:
        file.write(held)


def test_a_conversation_keeps_the_generation_that_answered_it_first(pins: Pins) -> None:
    assert pins.pinned("router", "c1", 1, 0, 600) == 1
    assert pins.pinned("router", "c1", 2, 0, 600) == 1
    assert pins.pinned("router", "c2", 2, 0, 600) == 2
    assert pins.pinned("sentiment", "c1", 5, 0, 600) == 5


def test_after_its_time_a_pin_counts_for_nothing(pins: Pins, tmp_path: Path) -> None:
    assert pins.pinned("router", "c1", 1, 0, 600) == 1
    move_ends(tmp_path / "pins.bin", -599)
    assert pins.pinned("router", "c1", 2, 0, 600) == 1
    move_ends(tmp_path / "pins.bin", -2)
    assert pins.pinned("router", "c1", 2, 0, 600) == 2
    assert pins.pinned("router", "c1", 3, 0, 600) == 2


def test_pins_of_before_a_rollback_are_overridden_and_later_ones_stand(pins: Pins) -> None:
    assert pins.pinned("router", "c1", 2, 0, 600) == 2
    assert pins.pinned("router", "c1", 3, 3, 600) == 3
    assert pins.pinned("router", "c1", 4, 3, 600) == 3


def test_two_processes_share_pins_and_they_outlive_both(pins: Pins, tmp_path: Path) -> None:
    assert pins.pinned("router", "here", 1, 0, 600) == 1
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        asked = [(tmp_path / "pins.bin", "here", 2), (tmp_path / "pins.bin", "there", 3)]
        assert pool.starmap(pinned_there, asked) == [1, 3]
    assert pins.pinned("router", "there", 4, 0, 600) == 3


@given(ANY_TEXT, ANY_TEXT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_names_a_conversation(pins: Pins, unit: str, conversation: str) -> None:
    first = pins.pinned(unit, conversation, 1, 0, 600)
    assert first == 1
    assert pins.pinned(unit, conversation, 2, 0, 600) == 1


def test_where_places_run_out_the_pin_that_ends_first_goes_and_nothing_else_breaks(pins: Pins) -> None:
    for number in range(PLACES // 4):
        pins.pinned("router", f"old {number}", 1, 0, 100)
    kept = [pins.pinned("router", f"old {number}", 2, 0, 100) for number in range(1000)]
    assert kept.count(1) > 950  # a quarter of the places is taken: few conversations meet
    for number in range(2 * PLACES):
        assert pins.pinned("router", f"new {number}", 2, 0, 600) in (2, 1)
    gone = [pins.pinned("router", f"old {number}", 3, 0, 100) for number in range(1000)]
    assert gone.count(1) < 100  # they end first, so they made room


def test_pins_of_before_the_machine_started_anew_count_for_nothing(pins: Pins, tmp_path: Path) -> None:
    assert pins.pinned("router", "c1", 1, 0, 600) == 1
    move_ends(tmp_path / "pins.bin", 10 * 24 * 3600)  # the clock went back: it counts from the start
    assert pins.pinned("router", "c1", 2, 0, 600) == 2


def test_a_file_that_cannot_be_opened_is_one_plain_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="the pins"):
        Pins(tmp_path / "nowhere" / "pins.bin")


def test_the_clock_is_the_one_that_nobody_sets(pins: Pins, tmp_path: Path) -> None:
    pins.pinned("router", "c1", 1, 0, 600)
    held = (tmp_path / "pins.bin").read_bytes()
    ends = max(struct.unpack_from("<8sII", held, at)[2] for at in range(0, len(held), 16))
    assert abs(ends - 600 - time.monotonic()) < 5
