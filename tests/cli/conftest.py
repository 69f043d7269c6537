"""The command line in this process: its exit code, and what it said."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from mangaops.cli import main


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
