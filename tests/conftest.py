"""Fixtures that every room may use."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import postgres
from time_left import TimeLeft

settings.register_profile("house", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """The process that reports, not its workers, says how long the suite still takes."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(TimeLeft(config), "time-left")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The socket folder of a real server, started once a session."""
    why = postgres.reason_to_skip()
    if why is not None:
        pytest.skip(why)
    with postgres.server() as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres_server: Path) -> str:
    """The URL of a new, empty PostgreSQL database."""
    return postgres.create_database(postgres_server, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty ledger, once for each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgres_url")
    return url
