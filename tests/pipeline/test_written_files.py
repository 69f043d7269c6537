"""A file that a command was told to write: what was there is replaced whole, and nothing that is no file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mangaops.errors import SetupError
from mangaops.pipeline.files import whole


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "report.md"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_is_written_and_nothing_is_left_beside_it(out: Path) -> None:
    assert whole(out, "new") == out
    assert out.read_text() == "new"
    assert [*out.parent.iterdir()] == [out]


def test_a_file_is_replaced_and_keeps_its_mode(out: Path) -> None:
    out.write_text("old and longer")
    with out.open() as reading:
        whole(out, "new")
        assert reading.read() == "old and longer"
    for kept in (0o600, 0o664):
        out.chmod(kept)
        whole(out, b"new")
        assert (out.read_text(), mode(out)) == ("new", kept)


def test_a_new_file_has_the_mode_of_any_new_file(out: Path) -> None:
    other = out.with_name("other")
    other.touch()
    assert mode(whole(out, "new")) == mode(other)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(out: Path, there: bool) -> None:
    target = out.parent / "elsewhere" / "target.md"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    out.symlink_to("elsewhere/target.md")
    whole(out, "new")
    assert out.is_symlink()
    assert target.read_text() == "new"
    assert [*target.parent.iterdir()] == [target]


def test_a_pipe_with_a_name_stays_one_and_its_reader_gets_all(out: Path) -> None:
    os.mkfifo(out)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(out.read_bytes()), daemon=True)
    reader.start()
    whole(out, "new" * 100_000)
    assert out.is_fifo()
    reader.join(10)
    assert got == [b"new" * 100_000]


def test_a_pipe_that_a_shell_names_is_written_to() -> None:
    reads, writes = os.pipe()
    try:
        whole(Path(f"/dev/fd/{writes}"), "new")
        assert os.read(reads, 10) == b"new"
    finally:
        os.close(reads)
        os.close(writes)


def test_what_cannot_be_written_is_refused_with_its_name(out: Path) -> None:
    out.symlink_to(out)
    with pytest.raises(SetupError, match=r"report\.md was refused"):
        whole(out, "new")
    assert out.is_symlink()
    with pytest.raises(SetupError, match="a folder is where a file should be"):
        whole(out.parent, "new")
    with pytest.raises(SetupError, match="no such file or folder"):
        whole(out.with_name("missing") / "report.md", "new")
