"""A ledger that cannot be reached, is gone, or was cut, while users ask: the verified local copy counts."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from servers import UNDER_WAY, Gateway, serving, tiny_world, until, users

import postgres

pytestmark = [pytest.mark.xdist_group("gateway-ledger"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """A PostgreSQL server that these tests may stop."""
    why = postgres.reason_to_skip()
    if why is not None:
        pytest.skip(why)
    with postgres.server() as folder:
        yield folder


@contextmanager
def stopped(database: Path) -> Iterator[None]:
    """The server does not run."""
    postgres.stop(database)
    try:
        yield
    finally:
        postgres.start(database)


@pytest.fixture(scope="module")
def far_gateway(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of a world whose ledger is on that server."""
    world = tiny_world(tmp_path_factory, postgres.create_database(database, "ledger"))
    with serving(world) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of one worker in a world whose ledger is a file."""
    with serving(tiny_world(tmp_path_factory), workers=1) as made:
        yield made


def not_followed(gateway: Gateway) -> bool:
    """Whether health and metrics say that the ledger is not followed, and users should ask on."""
    said = gateway.health()
    warned = any("the ledger is not followed" in each for each in said["warnings"])
    return warned and said["status"] == 200 and gateway.metric("mangaops_ledger_unreachable") == 1


def followed(gateway: Gateway) -> bool:
    """Whether every worker follows the ledger, as members, health and metrics say."""
    return (
        gateway.settled()
        and not gateway.health()["warnings"]
        and gateway.metric("mangaops_ledger_unreachable") == 0
    )


def test_an_unreachable_ledger_costs_users_nothing_and_is_followed_once_it_is_back(
    far_gateway: Gateway, database: Path
) -> None:
    world = far_gateway.world
    release = world.ready()
    with users(far_gateway) as asking:
        with stopped(database):
            until(lambda: not_followed(far_gateway), "a warning that the ledger is not followed")
            assert far_gateway.route()["release"] == "router-1"
            asking.ask_on(1.0)
        until(lambda: followed(far_gateway), "a ledger that is followed again")
        assert len(world.promote(release).acknowledged) == 2
    assert asking.saw_nothing()
    assert world.roll_back().silent == ()


def test_a_worker_that_starts_while_the_ledger_is_away_serves_what_was_verified(
    far_gateway: Gateway, database: Path
) -> None:
    serves, left = far_gateway.route()["release"], set(far_gateway.children())
    pid = far_gateway.worker_pids()[0]
    with users(far_gateway) as asking:
        with stopped(database):
            os.kill(pid, signal.SIGKILL)
            until(lambda: far_gateway.health().get("member", "") is None, "a worker that is no member yet")
            assert far_gateway.health()["status"] == 200
            assert {far_gateway.route()["release"] for _ in range(20)} == {serves}
        until(lambda: followed(far_gateway), "a ledger that is followed again")
    assert asking.lost <= UNDER_WAY
    assert not asking.mixed
    assert len(set(far_gateway.children()) - left) == 1


def test_a_gateway_that_starts_while_the_ledger_is_away_serves_what_was_verified(
    far_gateway: Gateway, database: Path
) -> None:
    world, serves = far_gateway.world, far_gateway.route()
    shutil.copytree(far_gateway.folder, far_gateway.folder.with_name("again"))
    with stopped(database), serving(world, name="again", workers=1, wait=False) as gateway:
        until(lambda: gateway.health()["status"] == 200, "an answer from the verified local copy")
        assert not_followed(gateway)
        assert gateway.health()["member"] is None
        with users(gateway) as asking:
            told = gateway.route()
            assert (told["release"], told["generation"]) == (serves["release"], serves["generation"])
            asking.ask_on(1.0)
    assert asking.saw_nothing()


def test_a_ledger_that_was_cut_is_not_followed_until_it_is_whole_again(gateway: Gateway) -> None:
    near = gateway.world
    release = near.ready()
    old, whole = near.folder / "old.db", near.folder / "whole.db"
    file = near.home / "ledger.db"
    with users(gateway) as asking:
        copy(file, old)
        near.promote(release)
        copy(file, whole)
        copy(old, file)
        until(lambda: not_followed(gateway), "a warning that the ledger is not followed")
        assert "does not go on from what was verified here" in " ".join(gateway.health()["warnings"])
        assert gateway.route()["release"] == release
        copy(whole, file)
        until(lambda: followed(gateway), "a ledger that is followed again")
        assert gateway.route()["release"] == release
    assert asking.saw_nothing()


def copy(source: Path, target: Path) -> None:
    """The target database is the source's, also while others use it."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target, timeout=60)) as other:
        one.backup(other)


def test_a_ledger_that_somebody_locks_for_long_costs_users_nothing(gateway: Gateway) -> None:
    near = gateway.world
    with users(gateway) as asking:
        (before,) = near.shop.desk.gateways.members()
        with closing(sqlite3.connect(near.home / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking.ask_on(3.0)
            assert gateway.health()["status"] == 200
            assert near.shop.desk.gateways.members()[0].beat <= before.beat + 2.0
            other.execute("ROLLBACK")
        until(lambda: near.shop.desk.gateways.members()[0].beat > before.beat + 3.0, "a beat after that")
        assert followed(gateway)
    assert asking.saw_nothing()


def test_a_damaged_local_copy_is_made_anew_from_the_ledger(gateway: Gateway) -> None:
    copied = gateway.folder / "chain" / "router.jsonl"
    whole = copied.read_text()
    copied.write_text(whole.replace("router-1", "router-7"))
    pid = gateway.kill_worker(0)
    until(lambda: gateway.settled() and gateway.worker_pids()[0] != pid, "a worker that answers")
    assert gateway.route()["release"] == gateway.world.champion
    until(lambda: copied.read_text() == whole, "the copy as the ledger has it")


def test_a_ledger_file_that_is_moved_away_and_back_costs_users_nothing(gateway: Gateway) -> None:
    home, away = gateway.world.home, gateway.world.folder / "away"
    away.mkdir()
    serves = gateway.route()["release"]
    with users(gateway, after=0.0) as asking:
        pid = gateway.kill_worker(0)
        gateway.world.shop.desk.ledger.close()
        files = [path for path in home.iterdir() if path.name.startswith("ledger.db")]
        for path in files:
            path.rename(away / path.name)
        until(lambda: not_followed(gateway), "a worker that does not follow the ledger")
        assert gateway.route()["release"] == serves
        for path in files:
            (away / path.name).rename(path)
        until(lambda: followed(gateway), "a ledger that is followed again")
        assert gateway.worker_pids()[0] != pid
    assert asking.lost <= UNDER_WAY
    assert not asking.mixed
