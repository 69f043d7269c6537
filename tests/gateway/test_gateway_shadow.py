"""The shadow in-process: what it cannot load it tells, and nothing that fails ends it."""

from __future__ import annotations

import errno
import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_parts import Says, until

from mangaops.errors import SetupError
from mangaops.gateway import gauges
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.shadow import Shadow, _accept, _asked, _listening
from mangaops.gateway.units import units_of
from mangaops.inference import Answer
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.registry import Event, UnitState
from mangaops.store import LogWriter
from mangaops.vocabulary import SHADOW_WORKER, EventKind, Purpose


class Loads:
    """Loads what a function of the release gives."""

    def __init__(self, make: Callable[[str], Says]) -> None:
        self.make = make
        self.asked: list[str] = []

    def load(self, _state: UnitState, release: str, purpose: Purpose) -> Says:
        assert purpose == Purpose.SHADOW
        self.asked.append(release)
        return self.make(release)


@contextmanager
def following(world: GatewayWorld, folder: Path, loads: Loads) -> Iterator[tuple[Shadow, threading.Thread]]:
    """A shadow that follows the world's ledger in a thread."""
    settings = GatewaySettings(
        stack=world.stack,
        home=folder,
        ledger_url=f"sqlite:///{world.home / 'ledger.db'}",
        files_root=str(world.home),
    )
    log = LogWriter(folder / "journal", "shadow", "gateway/shadow/1")
    shadow = Shadow(units_of(world.shop.desk.stack), settings, log, loads)  # type: ignore[arg-type]
    thread = threading.Thread(target=shadow.follow)
    thread.start()
    try:
        yield shadow, thread
    finally:
        shadow.end()
        thread.join()
        log.close()


def told(world: GatewayWorld) -> list[Event]:
    return [each for each in world.shop.desk.ledger.read("stack") if each.kind == EventKind.LOAD_REFUSED]


def counted(error: str) -> float:
    return gauges.LOAD_REFUSED.labels("router", error)._value.get()


@pytest.mark.parametrize(
    ("fault", "error", "found"),
    [
        (lambda n: SetupError("no store", found=f"no file tmp{n}"), "SetupError", "no file tmp1"),
        (lambda n: MemoryError(f"{n} too large"), "SetupError", "MemoryError: 1 too large"),
        (lambda _: RuntimeError("bad graph"), "SetupError", "RuntimeError: bad graph"),
    ],
    ids=["other words each time", "no memory", "the same words"],
)
def test_a_challenger_that_cannot_be_loaded_is_told_once_and_the_shadow_follows_on(
    world: GatewayWorld, tmp_path: Path, fault: Callable[[int], Exception], error: str, found: str
) -> None:
    def make(release: str) -> Says:
        if release == "router-2":
            raise fault(loads.asked.count(release))
        return Says()

    before = counted(error)
    assert world.shadow_next() == "router-2"
    loads = Loads(make)
    with following(world, tmp_path, loads) as (shadow, thread):
        until(lambda: told(world), "the event of the refusal")
        (event,) = told(world)
        assert event.body["worker"] == SHADOW_WORKER
        assert (event.body["release"], event.body["error"], event.body["found"]) == ("router-2", error, found)
        assert counted(error) == before + 1
        until(lambda: "router-1" in shadow._sides["router"].predictors, "the other release")
        until(lambda: loads.asked.count("router-2") == 2, "a second try")
        loads.make = lambda _release: Says()
        until(lambda: "router-2" in shadow._sides["router"].predictors, "the challenger")
        assert thread.is_alive()
        assert len(told(world)) == 1


def test_whatever_fails_while_the_ledger_is_followed_ends_no_thread(
    world: GatewayWorld, tmp_path: Path
) -> None:
    failed = threading.Event()

    class Worker:
        """A connection that fails in no way that a socket does, once."""

        def sendall(self, _line: bytes) -> None:
            if not failed.is_set():
                failed.set()
                raise MemoryError

    world.shadow_next()
    with following(world, tmp_path, Loads(lambda _release: Says())) as (shadow, thread):
        shadow._workers.add(Worker())  # type: ignore[arg-type]
        until(failed.is_set, "the failure")
        world.end_shadow()
        until(lambda: not shadow._sides["router"].predictors, "a shadow that follows on")
        assert thread.is_alive()


def test_no_word_of_a_user_gets_into_an_error() -> None:
    def fails(texts: Any) -> list[Answer]:
        raise ValueError(f"cannot read {texts[0]}")

    assert _asked(Says(fails), "my secret", "challenger", 1000.0) == {"challenger_error": "ValueError"}
    assert json.loads(_asked(Says(), "faq", "challenger", 1000.0)["challenger_answer"])["label"] == "faq"


class Crowded:
    """A listening socket for whose first connection the process has no descriptor left."""

    def __init__(self, real: socket.socket) -> None:
        self.real, self.refused = real, False

    def accept(self) -> Any:
        if not self.refused:
            self.refused = True
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()


def test_a_connection_for_which_there_is_no_descriptor_is_taken_later(
    world: GatewayWorld, tmp_path: Path
) -> None:
    with (
        following(world, tmp_path, Loads(lambda _release: Says())) as (shadow, _),
        tempfile.TemporaryDirectory(prefix="m") as short,
        closing(_listening(Path(short) / "s")) as real,
        socket.socket(socket.AF_UNIX) as worker,
    ):
        server = Crowded(real)
        threading.Thread(target=_accept, args=(server, shadow), daemon=True).start()
        worker.settimeout(30)
        worker.connect(str(Path(short) / "s"))
        assert json.loads(worker.makefile("rb").readline()) == {"ready": []}
        assert server.refused
