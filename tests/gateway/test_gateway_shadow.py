"""The shadow in-process: what it cannot load it tells, and nothing that fails ends it."""

from __future__ import annotations

import errno
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gateway_parts import Says, echoed, until

from mangaops.errors import SetupError
from mangaops.gateway import gauges
from mangaops.gateway.copies import Copy
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.shadow import _MOMENT, Shadow, _accept, _asked, _listening
from mangaops.gateway.units import Unit, units_of
from mangaops.inference import Answer
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.registry import Event, UnitState
from mangaops.stack import LogSpec, ShadowSpec
from mangaops.store import LogWriter
from mangaops.vocabulary import SHADOW_WORKER, EventKind, Family, Purpose

UNIT = Unit("router", Family.INTENT_CLASSIFIER, "fallback:offer_human", ShadowSpec(), LogSpec(), 0.0)


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


def copy_of(text: str) -> Copy:
    values = {
        **dict.fromkeys(("conversation_id", "user_id", "options", "seq", "latency_ms", "answer"), None),
        "unit": "router",
        "generation": 1,
        "at": 0.0,
        "writer": "w",
        "late": False,
        "request_id": f"id of {text}",
        "text": text,
        "release": "router-1",
        "challenger": "router-2",
    }
    return Copy(values, UNIT)


def test_no_word_of_a_user_gets_into_an_error() -> None:
    def fails(texts: Any) -> list[Answer]:
        raise ValueError(f"cannot read {texts[0]}")

    asked = [copy_of("my secret")]
    assert _asked(Says(fails), asked, "challenger", 1000.0) == [{"challenger_error": "ValueError"}]
    (said,) = _asked(Says(), [copy_of("faq")], "challenger", 1000.0)
    assert json.loads(said["challenger_answer"])["label"] == "faq"


def test_of_copies_that_are_answered_together_one_that_fails_costs_no_other_its_answer() -> None:
    def picky(texts: Sequence[str]) -> list[Answer]:
        if "bad" in texts:
            raise KeyError
        return echoed(texts)

    said = _asked(Says(picky), [copy_of(text) for text in ("a", "bad", "c")], "challenger", 1000.0)
    assert [each.get("challenger_error") for each in said] == [None, "KeyError", None]
    assert [json.loads(said[place]["challenger_answer"])["label"] for place in (0, 2)] == ["a", "c"]


def test_each_answer_has_its_part_of_the_time_and_a_late_one_is_none() -> None:
    four = [copy_of(text) for text in "abcd"]
    begun = time.perf_counter()
    said = _asked(Says(), four, "challenger", 1000.0)
    spent = (time.perf_counter() - begun) * 1000
    assert 0 < sum(each["challenger_ms"] for each in said) <= spent
    assert _asked(Says(), four[:1], "control", 0.0)[0]["control_error"] == "timeout"


def answering(world: GatewayWorld, folder: Path, batches: list[list[str]]) -> Any:
    """A shadow whose challenger is loaded and keeps what it is asked together."""

    def keeps(texts: Sequence[str]) -> list[Answer]:
        batches.append([*texts])
        return echoed(texts)

    world.shadow_next()
    return following(world, folder, Loads(lambda _release: Says(keeps)))


def rows_of(shadow: Shadow) -> list[dict[str, Any]]:
    """What the shadow would log."""
    rows: list[dict[str, Any]] = []
    shadow._log = SimpleNamespace(put=rows.append)  # type: ignore[assignment]
    return rows


def test_a_challenger_whose_pace_is_known_answers_copies_of_like_length_together(
    world: GatewayWorld, tmp_path: Path
) -> None:
    batches: list[list[str]] = []
    with answering(world, tmp_path, batches) as (shadow, _):
        until(lambda: "router-2" in shadow._sides["router"].predictors, "the challenger")
        rows = rows_of(shadow)
        batches.clear()
        for text in ("first", "alike", "a text that is much longer", "other"):
            shadow._copies.put(copy_of(text))
        while copies := shadow._copies.take(0.01):
            shadow._answer(copies)
    assert batches[0] == ["first"], "nobody knows how long one takes"
    assert ["alike", "other"] in batches
    assert {row["text"]: json.loads(row["challenger_answer"])["label"] for row in rows} == {
        text: text for text in ("first", "alike", "a text that is much longer", "other")
    }


def test_a_challenger_that_takes_long_answers_alone(world: GatewayWorld, tmp_path: Path) -> None:
    batches: list[list[str]] = []
    with answering(world, tmp_path, batches) as (shadow, _):
        until(lambda: "router-2" in shadow._sides["router"].predictors, "the challenger")
        for slow in (_MOMENT, 1.5 * _MOMENT, 20 * _MOMENT):
            shadow._took[copy_of("a").sides] = slow
            assert shadow._beside(copy_of("a")) == 0
        shadow._took[copy_of("a").sides] = _MOMENT / 5
        assert shadow._beside(copy_of("a")) == 4


def loaded(world: GatewayWorld, folder: Path, say: Callable[[Sequence[str]], list[Answer]] = echoed) -> Any:
    """A shadow that has loaded champion and challenger."""

    @contextmanager
    def ready() -> Iterator[Shadow]:
        world.shadow_next()
        with following(world, folder, Loads(lambda _release: Says(say))) as (shadow, _):
            until(lambda: len(shadow._sides["router"].predictors) == 2, "both sides")
            yield shadow

    return ready()


def control_of(share: float) -> Unit:
    return replace(UNIT, shadow=ShadowSpec(control=share))


@pytest.mark.parametrize(("share", "asked"), [(1.0, True), (0.0, False)])
def test_the_champion_is_asked_again_about_whole_batches_of_its_share(
    world: GatewayWorld, tmp_path: Path, share: float, asked: bool
) -> None:
    with loaded(world, tmp_path) as shadow:
        rows = rows_of(shadow)
        shadow._answer([replace(copy_of(text), unit=control_of(share)) for text in ("a", "b", "c")])
    labels = [json.loads(row["control_answer"])["label"] if row["control_answer"] else None for row in rows]
    assert labels == (["a", "b", "c"] if asked else [None] * 3)


def test_a_control_that_fails_is_missing_for_that_request_alone(world: GatewayWorld, tmp_path: Path) -> None:
    def picky(texts: Sequence[str]) -> list[Answer]:
        if "bad" in texts:
            raise KeyError
        return echoed(texts)

    with loaded(world, tmp_path, picky) as shadow:
        rows = rows_of(shadow)
        shadow._answer([replace(copy_of(text), unit=control_of(1.0)) for text in ("a", "bad", "c")])
    assert [row["control_answer"] is None for row in rows] == [False, True, False]
    assert [row["challenger_error"] for row in rows] == [None, "KeyError", None]


def test_a_copy_that_came_too_late_is_logged_as_such_and_asked_of_nobody(
    world: GatewayWorld, tmp_path: Path
) -> None:
    late = replace(copy_of("a"), unit=control_of(1.0))
    late.values = {**late.values, "late": True}
    with loaded(world, tmp_path) as shadow:
        rows = rows_of(shadow)
        assert shadow._beside(late) == 0
        shadow._answer([late])
    assert [(row["challenger_error"], row["control_answer"]) for row in rows] == [("expired", None)]


def test_copies_whose_challenger_went_before_they_were_answered_say_so(
    world: GatewayWorld, tmp_path: Path
) -> None:
    with loaded(world, tmp_path) as shadow:
        rows, copies = rows_of(shadow), [copy_of("a"), copy_of("b")]
        shadow._took[copies[0].sides] = _MOMENT / 10
        assert [shadow._beside(each) for each in copies] == [9, 9]
        world.end_shadow()
        until(lambda: not shadow._sides["router"].predictors, "a shadow that let go")
        shadow._answer(copies)
    assert [row["challenger_error"] for row in rows] == ["not loaded yet"] * 2


def test_what_cannot_be_read_or_gains_nothing_goes_alone(world: GatewayWorld, tmp_path: Path) -> None:
    class Picky(Says):
        def read(self, text: str) -> str:
            if text == "bad":
                raise ValueError
            return text

    searches = replace(copy_of("a"), unit=replace(UNIT, family=Family.EMBEDDING_ADAPTER))
    with loaded(world, tmp_path) as shadow:
        shadow._sides["router"].predictors["router-2"] = Picky()
        shadow._took[searches.sides] = _MOMENT / 10
        assert [shadow._beside(each) for each in (searches, copy_of("bad"), copy_of("good"))] == [0, 0, 9]
        rows = rows_of(shadow)
        shadow._answer([copy_of("bad")])
    assert rows[0]["challenger_error"] == "ValueError"


def test_what_failed_says_nothing_of_how_long_others_take(world: GatewayWorld, tmp_path: Path) -> None:
    def fails(texts: Sequence[str]) -> list[Answer]:
        raise KeyError(texts)

    with loaded(world, tmp_path) as shadow:
        rows_of(shadow)
        shadow._sides["router"].predictors["router-2"] = Says(fails)
        shadow._answer([copy_of("a")])
        assert shadow._took == {}
        shadow._sides["router"].predictors["router-2"] = Says()
        shadow._answer([copy_of("a")])
        assert shadow._took[copy_of("a").sides] > 0


def test_a_challenger_that_became_slow_answers_alone_from_then_on(
    world: GatewayWorld, tmp_path: Path
) -> None:
    def slow(texts: Sequence[str]) -> list[Answer]:
        threading.Event().wait(2 * _MOMENT)
        return echoed(texts)

    late = replace(copy_of("a"), unit=replace(UNIT, shadow=ShadowSpec(time_limit_ms=1)))
    with loaded(world, tmp_path) as shadow:
        rows = rows_of(shadow)
        shadow._sides["router"].predictors["router-2"] = Says(slow)
        shadow._took[late.sides] = _MOMENT / 10
        shadow._answer([late])
        assert rows[0]["challenger_error"] == "timeout"
        assert shadow._beside(copy_of("b")) == 0


def test_what_waits_when_the_process_is_to_end_is_still_answered(world: GatewayWorld, tmp_path: Path) -> None:
    with loaded(world, tmp_path) as shadow:
        rows = rows_of(shadow)
        for text in ("a", "b", "c"):
            shadow._copies.put(copy_of(text))
        shadow.end()
        shadow._log.acknowledged = shadow._log.dropped = 0  # type: ignore[misc]
        shadow.answer_all(SimpleNamespace(value=0.0))
    assert sorted(row["text"] for row in rows) == ["a", "b", "c"]


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
