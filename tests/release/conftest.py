"""Fixtures of the release room."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A unit that never had a release."""
    return make_world(tmp_path)


@pytest.fixture
def served(world: World) -> World:
    """A unit with its first champion, router-1."""
    world.bootstrapped()
    return world
