"""Fixtures of the gateway room: a scratch world that real verbs change, and what follows it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from following import Room
from serving_room import Server, serving

from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.wiring import make_world
from tiny import shared_artifact


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one small artifact that the real recipe trained."""
    return shared_artifact(tmp_path_factory.getbasetemp().parent / "tiny").folder


@pytest.fixture(scope="session")
def first_world(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Path:
    """The folder of a world that is only copied."""
    folder = tmp_path_factory.mktemp("first") / "world"
    make_world(folder, artifact).shop.desk.ledger.close()
    return folder


@pytest.fixture
def world(tmp_path: Path, artifact: Path, first_world: Path) -> GatewayWorld:
    """A world with a champion, router-1, on SQLite."""
    shutil.copytree(first_world, tmp_path / "world")
    return make_world(tmp_path / "world", artifact)


@pytest.fixture
def any_world(tmp_path: Path, artifact: Path, ledger_url: str) -> GatewayWorld:
    """A world with a champion, router-1, once on each kind of database."""
    return make_world(tmp_path / "world", artifact, ledger=ledger_url)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Makes followers, each with an event loop of its own, and closes them."""
    made: list[Room] = []

    def make(ledger: str, files: Path, **options: object) -> Room:
        made.append(Room(ledger, files, options.pop("folder", tmp_path / "gateway"), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, artifact: Path, first_world: Path) -> Iterator[Server]:
    """A server whose champion is router-1; tests only look."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(first_world, folder / "world")
    with serving(make_world(folder / "world", artifact), folder / "gateway") as running:
        yield running
