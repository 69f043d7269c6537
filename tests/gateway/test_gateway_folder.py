"""A gateway's folder: one gateway in it, and nothing of a start that was refused."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from servers import COMMAND

from mangaops.errors import SetupError
from mangaops.gateway.folder import _is_still, alone_in
from mangaops.pipeline.first_stack import init_text


class Refused(Exception):
    """Why a start went no further."""


def begun(folder: Path, *, serves: bool = False, makes: str = "") -> None:
    """A start that got so far, and is then refused."""
    with pytest.raises(Refused), alone_in(folder, "shop") as says:  # noqa: PT012 - it is refused at its end
        assert {each.name for each in folder.iterdir()} >= {"ticket.key", "gateway.lock"}
        if makes:
            (folder / makes).mkdir()
        if serves:
            says()
        raise Refused


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_start_that_is_refused_leaves_nothing_that_it_made(tmp_path: Path) -> None:
    begun(tmp_path / "home" / "gateway" / "shop")
    assert names(tmp_path) == set()
    (tmp_path / "home" / "gateway" / "shop").mkdir(parents=True)
    begun(tmp_path / "home" / "gateway" / "shop")
    assert names(tmp_path) == {"home", "home/gateway", "home/gateway/shop"}


def test_what_a_gateway_made_that_served_stays(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "gateway" / "shop"
    begun(folder, serves=True)
    key = (folder / "ticket.key").read_bytes()
    assert names(folder) == {"ticket.key", "gateway.lock"}
    begun(folder)  # and no later start that is refused takes it along
    assert names(folder) == {"ticket.key", "gateway.lock"}
    assert (folder / "ticket.key").read_bytes() == key


def test_what_others_have_put_there_stays_and_with_it_the_key(tmp_path: Path) -> None:
    begun(tmp_path / "gateway" / "shop", makes="journal")
    assert names(tmp_path / "gateway" / "shop") == {"ticket.key", "gateway.lock", "journal"}


def test_a_second_gateway_of_a_name_is_refused_and_takes_nothing_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "gateway" / "shop"
    with alone_in(folder, "shop"):
        with (
            pytest.raises(SetupError, match="a gateway of that name runs") as caught,
            alone_in(folder, "shop"),
        ):
            pass
        assert caught.value.found == f"{folder}/gateway.lock is held"
        assert names(folder) == {"ticket.key", "gateway.lock"}
        with alone_in(tmp_path / "gateway" / "other", "other"):
            pass
    assert names(tmp_path) == set()


def test_a_folder_that_cannot_be_made_leaves_no_part_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SetupError, match="was refused"),
        alone_in(tmp_path / "file" / "gateway" / "shop", "shop"),
    ):
        pass
    assert names(tmp_path) == {"file"}


def refusal(folder: Path, *options: str) -> str:
    """What a `mangaops serve` says that is refused; `folder` has nothing but its stack file afterwards."""
    stack = folder / "stack.yaml"
    stack.write_text(init_text())
    words = [*COMMAND, "serve", "--stack", str(stack), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert names(folder) == {"stack.yaml"}
    return done.stderr


def test_a_gateway_whose_port_is_taken_makes_no_home(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "Address already in use" in refusal(tmp_path, "--port", port)


def test_a_gateway_in_whose_home_a_file_stands_names_that(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "file").touch()
    said = refusal(tmp_path / "shop", "--port", "0", "--home", str(tmp_path / "file"))
    assert f"found: a file is where a folder should be: {tmp_path / 'file'}" in said
    assert "accepted: a folder" in said


def test_a_lock_that_another_start_took_along_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.lock"
    with path.open("w") as lock:
        assert _is_still(path, lock)
        path.unlink()
        assert not _is_still(path, lock)
        path.touch()
        assert not _is_still(path, lock)
