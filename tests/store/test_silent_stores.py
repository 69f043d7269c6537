"""Stores that never answer, or stop in the middle: refused by name, and never waited for without end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from hanging_store import Hanging, hanging
from mangaops.errors import IntegrityError, SetupError
from mangaops.inference import manifest
from mangaops.store import Artifacts
from mangaops.store.objects import open_objects
from mangaops.store.remote import open_bundles
from mangaops.store.silence import MOST, awaited, longest_write
from mangaops.store.silence import SILENCE as SILENT

SILENCE = 0.3
SECRET = "hunter2"


@pytest.fixture
def away() -> Iterator[type[Hanging]]:
    """The store, which answers until a test closes it."""
    with hanging() as made:
        yield made


numbers = itertools.count()


@pytest.fixture
def store(away: type[Hanging], tmp_path: Path) -> Artifacts:
    url = f"hanging://mei:{SECRET}@bucket/{next(numbers)}?sig={SECRET}"
    return Artifacts(url, cache=tmp_path / "cache", silence=SILENCE)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "sealed"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"the first and the rest")
    manifest.seal(folder)
    return folder


@pytest.mark.parametrize("closed", [".committed", "model.onnx"])
def test_a_store_that_sends_nothing_more_is_refused_by_name(
    away: type[Hanging], store: Artifacts, sealed: Path, closed: str
) -> None:
    digest = store.put(sealed)
    away.closed = closed
    with pytest.raises(SetupError) as caught:
        store.open(digest)
    assert caught.value.refused.startswith(f"reading {digest} from hanging://bucket/")
    assert caught.value.found == "no byte for 0.3 s"
    assert caught.value.accepted
    assert caught.value.next_step
    assert SECRET not in caught.value.message
    away.closed = ""
    assert (store.open(digest) / "model.onnx").read_bytes() == b"the first and the rest"


def test_looking_up_what_a_silent_store_has_is_refused_too(
    away: type[Hanging], store: Artifacts, sealed: Path
) -> None:
    digest = store.put(sealed)
    assert store.has(digest)
    away.closed = ".committed"
    with pytest.raises(SetupError, match=r"looking sha256:.* up in hanging://bucket/"):
        store.has(digest)


@pytest.mark.parametrize("closed", [".committed", "model.onnx"])
def test_a_store_that_takes_nothing_more_is_refused_by_name_and_holds_no_half_bundle(
    away: type[Hanging], store: Artifacts, sealed: Path, closed: str
) -> None:
    away.closed = closed
    with pytest.raises(SetupError) as caught:
        store.put(sealed)
    assert caught.value.refused.startswith("storing sha256:")
    assert " in hanging://bucket/" in caught.value.refused
    assert caught.value.found.startswith("no byte for 0.3")
    assert SECRET not in caught.value.message
    away.closed = ""
    digest = store.put(sealed)
    assert (store.open(digest) / "model.onnx").read_bytes() == b"the first and the rest"


def test_removing_from_a_silent_store_is_refused_too(
    away: type[Hanging], sealed: Path, tmp_path: Path
) -> None:
    bundles = open_bundles(f"hanging://bucket/{next(numbers)}", tmp_path / "cache", SILENCE)
    digest = Artifacts(f"hanging://bucket/{next(numbers) - 1}", cache=tmp_path / "cache").put(sealed)
    away.closed = ".committed"
    with pytest.raises(SetupError, match=r"removing sha256:.* from hanging://bucket/"):
        bundles.forget(digest)
    away.closed = ""
    bundles.forget(digest)
    assert not bundles.has(digest)


def test_a_rolled_log_is_written_or_refused_and_tried_again(away: type[Hanging]) -> None:
    objects = open_objects(f"hanging://mei:{SECRET}@bucket/{next(numbers)}", SILENCE)
    away.closed = "rows.parquet"
    with pytest.raises(SetupError, match=r"writing logs/rows\.parquet to hanging://bucket/") as caught:
        objects.put("logs/rows.parquet", b"rows")
    assert SECRET not in caught.value.message
    away.closed = ""
    objects.put("logs/rows.parquet", b"rows")
    assert objects.names("logs", ".parquet") == ["logs/rows.parquet"]
    away.closed = "rows.parquet"
    with pytest.raises(SetupError, match=r"removing logs/rows\.parquet from hanging://bucket/"):
        objects.remove("logs/rows.parquet")
    away.closed = ""
    objects.remove("logs/rows.parquet")
    objects.remove("logs/rows.parquet")
    assert objects.names("logs", ".parquet") == []


def test_a_large_write_is_awaited_for_as_long_as_a_slow_store_takes() -> None:
    assert longest_write(0) == SILENT == 30.0
    assert longest_write(90 * 2**20) == 30.0 + 90 * 4


def test_what_a_store_says_of_itself_is_told_as_before(store: Artifacts) -> None:
    with pytest.raises(IntegrityError, match="does not hold it"):
        store.open("sha256:" + "0" * 64)


class Told(Queue[Any]):
    """A queue that notes for how long it was listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: list[float | None] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self.listened.append(timeout)
        return super().get(block, timeout)


def test_each_sign_of_life_gives_a_call_its_whole_time_again() -> None:
    def call(alive: Callable[[], None]) -> str:
        alive()
        alive()
        return "done"

    told = Told()
    assert awaited(call, "it was refused", 9.0, heard=told) == "done"
    assert told.listened == [9.0, 9.0, 9.0]


def test_a_file_that_grows_is_a_sign_of_life_where_a_store_gives_no_other() -> None:
    opened, looks = threading.Event(), itertools.count()

    def grows() -> int:
        look = next(looks)
        if look == 6:
            opened.set()
        return look

    assert awaited(lambda _alive: opened.wait(), "it was refused", 0.05, grows=grows)


def test_what_a_call_raises_is_raised_here() -> None:
    def call(_alive: Callable[[], None]) -> None:
        raise FileNotFoundError("no such key")

    with pytest.raises(FileNotFoundError, match="no such key"):
        awaited(call, "it was refused")


def test_calls_that_hang_do_not_pile_up_without_end() -> None:
    opened = threading.Event()
    try:
        for _ in range(MOST):
            with pytest.raises(SetupError, match="no byte for"):
                awaited(lambda _alive: opened.wait(), "it was refused", 0.01)
        with pytest.raises(SetupError, match=f"{MOST} earlier calls that still hang"):
            awaited(lambda _alive: None, "it was refused")
    finally:
        opened.set()
    for thread in threading.enumerate():
        if thread.name == "store call":
            thread.join(10)
    assert awaited(lambda _alive: "again", "it was refused") == "again"


def test_many_calls_at_once_that_are_all_well_are_no_calls_that_hang() -> None:
    together = threading.Barrier(MOST + 4)

    def read() -> int:
        return awaited(lambda _alive: together.wait(30), "it was refused")

    with ThreadPoolExecutor(MOST + 4) as pool:
        found = [each.result() for each in [pool.submit(read) for _ in range(MOST + 4)]]
    assert sorted(found) == list(range(MOST + 4))
