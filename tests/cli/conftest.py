"""Fixtures of the command line: a command in this process, a stack, and a world with a champion."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from mangaops.cli import main
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.wiring import make_world
from tiny import shared_artifact


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def mangaops(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str | Path) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def stack(tmp_path: Path, mangaops) -> Path:
    assert mangaops("init", "--out", tmp_path / "stack.yaml").code == 0
    return tmp_path / "stack.yaml"


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one small artifact that the real recipe trained."""
    return shared_artifact(tmp_path_factory.getbasetemp().parent / "tiny").folder


@pytest.fixture
def world(tmp_path: Path, artifact: Path) -> GatewayWorld:
    """A world with a champion, router-1, whose way back is the fallback."""
    return make_world(tmp_path / "world", artifact)


@pytest.fixture
def logs(tmp_path: Path, mangaops) -> Path:
    done = mangaops(
        "simulate", "traffic", "--out", tmp_path / "world", "--weeks", "2", "--conversations", "600"
    )
    assert done.code == 0
    return tmp_path / "world" / "logs.parquet"
