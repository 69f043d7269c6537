"""A ledger that cannot be reached, is gone, or was cut, while users ask: the verified local copy counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import UNDER_WAY, Gateway, serving, tiny_world, until, users

import postgres
from mangaops.pipeline.gateway_world import GatewayWorld

pytestmark = [pytest.mark.xdist_group("gateway-ledger"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """A PostgreSQL server that these tests may stop."""
    why = postgres.reason_to_skip()
    if why is not None:
        pytest.skip(why)
    with postgres.server() as folder:
        yield folder


@pytest.fixture(scope="module")
def far(database: Path, tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    """A world whose ledger is on that server."""
    return tiny_world(tmp_path_factory, postgres.create_database(database, "ledger"))


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    """A world whose ledger is a file."""
    return tiny_world(tmp_path_factory)


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


def test_an_unreachable_ledger_costs_users_nothing_and_a_restart_serves_what_was_verified(
    far: GatewayWorld, database: Path
) -> None:
    release = far.ready()
    with serving(far) as gateway:
        with users(gateway) as asking:
            postgres.stop(database)
            until(lambda: not_followed(gateway), "a warning that the ledger is not followed")
        assert {version for version, _ in asking.report.versions} == {"router-1"}
        assert not asking.report.failed, asking.report.errors
        pid = gateway.children()[0]
        assert gateway.stop() == 0
    with serving(far, wait=False) as gateway:
        until(lambda: gateway.health()["status"] == 200, "an answer from the verified local copy")
        assert pid not in gateway.children()
        assert not_followed(gateway)
        assert gateway.health()["member"] is None
        with users(gateway) as asking:
            assert (gateway.route()["release"], gateway.route()["generation"]) == ("router-1", 1)
            postgres.start(database)
            until(lambda: followed(gateway), "a ledger that is followed again")
            assert len(far.promote(release).acknowledged) == 2
        assert asking.saw_nothing()
        assert gateway.route()["release"] == release


def test_a_worker_that_is_started_while_the_ledger_is_away_serves_what_was_verified(
    far: GatewayWorld, database: Path
) -> None:
    with serving(far, workers=1) as gateway:
        serves = gateway.route()["release"]
        gateway.kill_worker(0)
        postgres.stop(database)
        try:
            until(lambda: not_followed(gateway), "a new worker that does not follow the ledger")
            with users(gateway) as asking:
                assert gateway.route()["release"] == serves
        finally:
            postgres.start(database)
        assert asking.saw_nothing()
        until(lambda: followed(gateway), "a ledger that is followed again")


def test_a_ledger_file_that_is_moved_away_and_back_costs_users_nothing(near: GatewayWorld) -> None:
    away = near.folder / "away"
    away.mkdir()
    files = [path for path in near.home.iterdir() if path.name.startswith("ledger.db")]
    with serving(near, workers=1) as gateway, users(gateway, after=0.0) as asking:
        pid = gateway.kill_worker(0)
        near.shop.desk.ledger.close()
        for path in files:
            path.rename(away / path.name)
        until(lambda: not_followed(gateway), "a worker that does not follow the ledger")
        assert gateway.route()["release"] == near_champion(gateway)
        for path in files:
            (away / path.name).rename(path)
        until(lambda: followed(gateway), "a ledger that is followed again")
        assert gateway.worker_pids()[0] != pid
    assert asking.lost <= UNDER_WAY
    assert not asking.mixed


def near_champion(gateway: Gateway) -> str:
    """What the worker says that it serves."""
    return str(gateway.health()["units"]["router"]["active"])


def test_a_ledger_that_was_cut_is_not_followed_until_it_is_whole_again(near: GatewayWorld) -> None:
    release = near.ready()
    old, whole = near.folder / "old.db", near.folder / "whole.db"
    file = near.home / "ledger.db"
    with serving(near, workers=1) as gateway, users(gateway) as asking:
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


def test_a_ledger_that_somebody_locks_for_long_costs_users_nothing(near: GatewayWorld) -> None:
    with serving(near, workers=1) as gateway, users(gateway) as asking:
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


def test_a_damaged_local_copy_is_made_anew_from_the_ledger(near: GatewayWorld) -> None:
    with serving(near, workers=1) as gateway:
        copied = gateway.folder / "chain" / "router.jsonl"
        whole = copied.read_text()
        copied.write_text(whole.replace("router-1", "router-7"))
        pid = gateway.kill_worker(0)
        until(lambda: gateway.settled() and gateway.worker_pids()[0] != pid, "a worker that answers")
        assert gateway.route()["release"] == near.champion
        until(lambda: copied.read_text() == whole, "the copy as the ledger has it")
