"""A promotion asks everybody who serves, and a rollback asks nobody: both tell who followed."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
from desk_world import WHY, Rigged, evaluate, judge, make_desk, make_world, prove_by_seal
from serving import Worker, holding, live, patient, promote_there

from mangaops.errors import IntegrityError, RefusedError, RevisionConflict
from mangaops.registry import Draft, Permit, drafts
from mangaops.release.cutover import Patience, Switched
from mangaops.release.desk import Desk, append, state
from mangaops.release.promote import Promoted, promote
from mangaops.release.rollback import RolledBack, roll_back
from mangaops.vocabulary import Acknowledged, Because

SHORT = Patience(ready=0.2, active=0.2, poll=0.005)
LONG = Patience(ready=60, active=60, poll=0.005)
NEXT = "router-2"
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Standing:
    """A champion, and a challenger with a stored PROMOTE."""

    desk: Desk
    folder: Path
    url: str

    def promote(
        self, patience: Patience = LONG, told: Callable[[str, int, int], None] | None = None
    ) -> Promoted:
        prove = prove_by_seal(self.desk)
        return promote(self.desk, "router", NEXT, prove=prove, reason=WHY, patience=patience, progress=told)

    def roll_back(self, to: str | None = None, patience: Patience = LONG) -> RolledBack:
        prove = prove_by_seal(self.desk)
        return roll_back(self.desk, "router", prove=prove, reason=WHY, to=to, patience=patience)

    @property
    def champion(self) -> str | None:
        return state(self.desk, "router").champion

    def newest(self, count: int) -> list[str]:
        return [str(event.kind) for event in self.desk.ledger.read("router")[-count:]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Desk]:
    """The stores of such a unit, made once."""
    world = make_world(tmp_path_factory.mktemp("made"))
    world.bootstrapped()
    pair = evaluate.Pair(Rigged("champion", 0.1), Rigged("better", 0.02))
    release = world.candidate()
    world.measure_offline(release, pair)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    world.shadowed(release, pair)
    world.judged(release)
    return world.folder, world.desk


@pytest.fixture
def standing(made: tuple[Path, Desk], tmp_path: Path, ledger_url: str) -> Standing:
    """A copy of them, with the same events in a new ledger."""
    folder = tmp_path / "desk"
    shutil.copytree(made[0], folder, ignore=shutil.ignore_patterns("ledger.db*"))
    desk = patient(make_desk(folder, url=ledger_url))
    for stream in ("data/intent-data", "router"):
        for event in made[1].ledger.read(stream):
            desk.ledger.append([Draft(stream, event.kind, event.body, event.actor)], expect={}, at=event.at)
    assert desk.ledger.heads() == made[1].ledger.heads()
    return Standing(desk, folder, ledger_url)


@contextmanager
def silent_process(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """A member in a process that says nothing: its name, and its death."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=live, args=(url, theirs))
    process.start()

    def die() -> None:
        process.kill()
        process.join()

    try:
        yield ours.recv(), die
    finally:
        die()


def killed_promotion(standing: Standing, until: Callable[[], bool]) -> None:
    """The command runs in another process until something is seen, and is killed with -9."""
    process = SPAWN.Process(target=promote_there, args=(standing.folder, standing.url, NEXT))
    process.start()
    while not until():
        process.join(0.01)
        assert process.is_alive(), "it ended before it could be killed"
    process.kill()
    process.join()


def test_where_nobody_serves_the_champion_moves_at_once(standing: Standing) -> None:
    done = standing.promote()
    assert (done.champion, done.before, done.generation) == (NEXT, "router-1", 2)
    assert (done.acknowledged, done.silent) == ({}, ())
    assert standing.newest(2) == ["cutover_prepared", "promoted"]


def test_the_champion_moves_when_every_worker_is_ready_and_each_follows(standing: Standing) -> None:
    with Worker(standing.desk, 0) as one, Worker(standing.desk, 1) as two:
        told: list[tuple[str, int, int]] = []
        done = standing.promote(told=lambda *each: told.append(each))
    assert done.acknowledged == {one.name: 3.5, two.name: 3.5}
    assert done.silent == ()
    assert (f"gateway workers ready for {NEXT}", 2, 2) in told
    assert told[-1] == ("gateway workers that follow", 2, 2)
    assert standing.newest(2) == ["cutover_prepared", "promoted"]


def test_one_worker_that_refuses_keeps_the_champion_everywhere(standing: Standing) -> None:
    with Worker(standing.desk, 0), Worker(standing.desk, 1, prepared=Acknowledged.REFUSED) as sick:
        with pytest.raises(RefusedError) as refused:
            standing.promote()
        assert refused.value.found == f"{sick.name}: not enough memory"
        assert "router-1 stays champion" in refused.value.accepted
        assert "gateway list" in refused.value.next_step
        assert standing.champion == "router-1"
        assert standing.newest(2) == ["cutover_prepared", "cutover_aborted"]
        aborted = standing.desk.ledger.read("router")[-1]
        assert aborted.body["refusals"] == {sick.name: "not enough memory"}
        assert state(standing.desk, "router").prepared is None
        sick.prepared = Acknowledged.READY
        assert standing.promote().champion == NEXT


def test_a_worker_that_stays_silent_keeps_the_champion(standing: Standing) -> None:
    with Worker(standing.desk, 0), Worker(standing.desk, 1, prepared=None) as mute:
        with pytest.raises(RefusedError) as refused:
            standing.promote(SHORT)
        assert refused.value.found == f"{mute.name}: silent for 0.2 s"
    assert standing.newest(2) == ["cutover_prepared", "cutover_aborted"]
    assert standing.champion == "router-1"


def test_a_worker_that_dies_is_not_waited_for(standing: Standing) -> None:
    with Worker(standing.desk, 0) as well, silent_process(standing.url) as (_, die):

        def told(_what: str, done: int, total: int) -> None:
            if (done, total) == (1, 2):
                die()

        done = standing.promote(told=told)
    assert list(done.acknowledged) == [well.name]
    assert done.silent == ()


def test_a_worker_that_appears_is_waited_for_even_between_look_and_transaction(standing: Standing) -> None:
    late: list[Worker] = []

    def told(what: str, done: int, total: int) -> None:
        if "ready" not in what:
            return
        if (done, total) == (1, 1):
            late.append(Worker(standing.desk, 1).__enter__())
            late[0].prepared = None
        elif (done, total) == (1, 2):
            assert standing.champion == "router-1"
            late[0].prepared = Acknowledged.READY

    with Worker(standing.desk, 0) as one:
        done = standing.promote(told=told)
        assert set(done.acknowledged) == {one.name, late[0].name}
    late[0].__exit__()


def test_of_two_promotions_that_wait_for_the_same_preparation_one_wins(standing: Standing) -> None:
    with Worker(standing.desk, 0, prepared=None) as worker, ThreadPoolExecutor(2) as threads:
        waits, waits_too = Event(), Event()
        first = threads.submit(standing.promote, told=lambda *_: waits.set())
        assert waits.wait(60)
        second = threads.submit(standing.promote, told=lambda *_: waits_too.set())
        assert waits_too.wait(60)
        worker.prepared = Acknowledged.READY
        lost = [each.exception(60) for each in (first, second)]
    assert sum(error is None for error in lost) == 1
    assert sum(isinstance(error, RevisionConflict) for error in lost) == 1
    assert (standing.champion, state(standing.desk, "router").generation) == (NEXT, 2)
    assert standing.newest(2) == ["cutover_prepared", "promoted"]


def test_a_rollback_meanwhile_ends_a_promotion_that_waits(standing: Standing) -> None:
    with Worker(standing.desk, 0, prepared=None), ThreadPoolExecutor(1) as threads:
        waits = Event()
        waiting = threads.submit(standing.promote, told=lambda *_: waits.set())
        assert waits.wait(60)
        assert standing.roll_back().to == "fallback:offer_human"
        with pytest.raises(RevisionConflict):
            waiting.result(60)
    assert (standing.champion, state(standing.desk, "router").prepared) == (None, None)


def test_a_worker_that_does_not_switch_is_named(standing: Standing) -> None:
    with Worker(standing.desk, 0) as well, Worker(standing.desk, 1, switches=False) as slow:
        done = standing.promote(Patience(ready=60, active=0.5, poll=0.005))
    assert (done.champion, list(done.acknowledged), done.silent) == (NEXT, [well.name], (slow.name,))


def test_a_worker_that_says_what_it_serves_follows_without_a_word(standing: Standing) -> None:
    """Its word on that very event may be gone: it went on to a newer one, or it was long ago."""
    standing.promote()
    name = standing.desk.gateways.join("gateway", 0, holding("router-1"))
    assert standing.promote(SHORT).silent == (name,)
    said = {"active": NEXT, "generation": 2, "revision": 1, "slots": {}}
    standing.desk.gateways.beat(name, {"units": {"router": said}})
    assert standing.promote(SHORT).acknowledged == {name: None}


def test_a_command_that_was_killed_while_it_waited_goes_on(standing: Standing) -> None:
    with Worker(standing.desk, 0, prepared=None) as worker:
        killed_promotion(standing, lambda: standing.newest(1) == ["cutover_prepared"])
        assert standing.champion == "router-1"
        worker.prepared = Acknowledged.READY
        assert standing.promote().acknowledged == {worker.name: 3.5}
    assert standing.newest(3)[1:] == ["cutover_prepared", "promoted"]
    assert standing.newest(3)[0] != "cutover_prepared"


def test_a_command_that_was_killed_after_it_promoted_goes_on(standing: Standing) -> None:
    with Worker(standing.desk, 0, switches=False) as worker:
        killed_promotion(standing, lambda: standing.newest(1) == ["promoted"])
        worker.switches = True
        done = standing.promote()
        assert (done.champion, done.before, done.rollback_pointer) == (NEXT, "router-1", "router-1")
        assert done.acknowledged == {worker.name: 3.5}
    assert standing.newest(2) == ["cutover_prepared", "promoted"]


def remove_artifacts(standing: Standing, *versions: str) -> None:
    models = state(standing.desk, "router").models
    for version in versions:
        shutil.rmtree(standing.desk.artifacts.open(models[f"intent-classifier@{version}"].artifact))


def test_a_rollback_needs_nothing_of_the_newest_artifact(standing: Standing) -> None:
    standing.promote()
    remove_artifacts(standing, "v2")
    with Worker(standing.desk, 0) as worker:
        done = standing.roll_back()
    assert (done.left, done.to, done.generation) == (NEXT, "router-1", 3)
    assert done.acknowledged == {worker.name: 3.5}


def test_a_rollback_needs_no_artifacts_where_all_who_serve_hold_the_target(standing: Standing) -> None:
    standing.promote()
    remove_artifacts(standing, "v1", "v2")
    names = [standing.desk.gateways.join("gateway", n, holding("router-1", NEXT)) for n in range(2)]
    done = standing.roll_back(patience=SHORT)
    assert (done.to, done.silent) == ("router-1", tuple(sorted(names)))
    assert standing.champion == "router-1"


@pytest.mark.parametrize("held", [[], [[], []], [[NEXT]]], ids=["nobody", "by none of two", "another"])
def test_a_rollback_to_what_neither_loads_nor_is_held_is_refused(
    standing: Standing, held: list[list[str]]
) -> None:
    standing.promote()
    remove_artifacts(standing, "v1", "v2")
    for number, releases in enumerate(held):
        standing.desk.gateways.join("gateway", number, holding(*releases))
    with pytest.raises(IntegrityError):
        standing.roll_back(patience=SHORT)
    assert standing.champion == NEXT


def test_a_rollback_waits_for_no_sick_worker_where_another_holds_the_target(standing: Standing) -> None:
    standing.promote()
    remove_artifacts(standing, "v1", "v2")
    for number, releases in enumerate((["router-1"], [])):
        standing.desk.gateways.join("gateway", number, holding(*releases))
    assert standing.roll_back(patience=SHORT).to == "router-1"
    assert standing.champion == "router-1"


def test_a_rollback_is_not_refused_for_what_leaves_the_champion_alone(standing: Standing) -> None:
    standing.promote()

    def beside(permits: Mapping[str, Permit]) -> object:
        (permit,) = permits.values()
        told = drafts.run_requested(
            "router", run=f"run-{permit.version}", because=Because.MANUAL, reason=WHY, actor="mei"
        )
        return append(standing.desk, [told], expect={})

    assert roll_back(standing.desk, "router", prove=beside, reason=WHY, patience=SHORT).to == "router-1"
    assert standing.champion == "router-1"


def test_a_rollback_is_refused_where_the_champion_moved_meanwhile(standing: Standing) -> None:
    standing.promote()

    def beside(_permits: Mapping[str, Permit]) -> object:
        return roll_back(standing.desk, "router", prove=lambda _each: None, reason=WHY, patience=SHORT)

    with pytest.raises(RevisionConflict):
        roll_back(standing.desk, "router", prove=beside, reason=WHY, patience=SHORT)
    assert standing.champion == "router-1"


def test_a_worker_that_serves_other_units_is_waited_for_by_nobody(standing: Standing) -> None:
    standing.desk.gateways.join("gateway", 0, {"units": {"sentiment": {"slots": {"router-1": "healthy"}}}})
    standing.promote(patience=SHORT)
    assert standing.champion == NEXT
    done = standing.roll_back(patience=SHORT)
    assert (done.to, done.silent) == ("router-1", ())


def test_a_rollback_to_what_all_hold_loads_nothing(standing: Standing) -> None:
    standing.promote()
    standing.desk.gateways.join("gateway", 0, holding("router-1"))

    def never(permits: Mapping[str, Permit]) -> object:
        raise AssertionError(permits)

    done = roll_back(standing.desk, "router", prove=never, reason=WHY, patience=SHORT)
    assert done.to == "router-1"


def test_a_rollback_to_the_fallback_is_followed_too(standing: Standing) -> None:
    with Worker(standing.desk, 0) as worker:
        done = standing.roll_back()
    assert (done.to, done.acknowledged, done.silent) == ("fallback:offer_human", {worker.name: 3.5}, ())


def test_a_rollback_without_gateways_is_told_so(standing: Standing) -> None:
    done = standing.roll_back()
    assert (done.acknowledged, done.silent) == ({}, ())


@pytest.mark.parametrize(
    ("switched", "says"),
    [
        (Switched({}, ()), ""),
        (Switched({"a": 3.6, "b": 12.4}, (), 0.124), "; 2 of 2 gateway workers follow 0.12 s later"),
        (Switched({"a": None}, ("b",), 10.0), "; 1 of 2 gateway workers follow 10.00 s later, silent: b"),
    ],
)
def test_who_followed_is_told_in_a_few_words(switched: Switched, says: str) -> None:
    assert switched.says == says
