import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mangaops.errors import SetupError, UsageError
from mangaops.simulation import LABELS, write_traffic


def _write(folder: Path, **options: object) -> dict[str, object]:
    given = {"seed": 9, "weeks": 2, "conversations": 80} | options
    return write_traffic(folder, **given)  # type: ignore[arg-type]


def test_traffic_has_no_labels_and_truth_has_all_of_them(tmp_path: Path) -> None:
    summary = _write(tmp_path / "new" / "folder")
    frames = {name: pl.read_parquet(path) for name, path in summary["files"].items()}  # type: ignore[attr-defined]
    assert frames["traffic"].columns == [
        "request_id",
        "text",
        "conversation_id",
        "user_id",
        "at",
        "turn",
        "language",
    ]
    asked = set(frames["traffic"]["request_id"]) | set(frames["logs"]["request_id"])
    assert frames["truth"].columns == ["request_id", "label"]
    assert set(frames["truth"]["request_id"]) == asked
    assert not any(label in " ".join(frames["traffic"]["request_id"]) for label in LABELS)
    assert {name: frame.height for name, frame in frames.items()} == summary["rows"]


def test_logs_carry_annotator_labels_not_the_truth(tmp_path: Path) -> None:
    _write(tmp_path, conversations=300)
    both = pl.read_parquet(tmp_path / "logs.parquet").join(
        pl.read_parquet(tmp_path / "truth.parquet"), on="request_id", suffix="_true"
    )
    assert 0.01 < (both["label"] != both["label_true"]).mean() < 0.07
    assert "kind" not in both.columns


def test_the_window_comes_after_the_logs_and_a_longer_history_begins_alike(tmp_path: Path) -> None:
    _write(tmp_path / "short", weeks=1)
    _write(tmp_path / "long", weeks=2)
    short, long = (pl.read_parquet(tmp_path / name / "logs.parquet") for name in ("short", "long"))
    window = pl.read_parquet(tmp_path / "short" / "traffic.parquet")
    assert short["at"].max() < window["at"].min()  # type: ignore[operator]
    assert long.head(short.height).equals(short)
    assert long["request_id"].to_list()[short.height :] == window["request_id"].to_list()


def test_everything_says_that_it_is_simulated(tmp_path: Path) -> None:
    _write(tmp_path)
    assert "All of this is simulated" in (tmp_path / "README.txt").read_text()
    assert set(pl.read_parquet(tmp_path / "logs.parquet")["label_source"]) == {"simulated-annotator"}
    assert pl.read_parquet(tmp_path / "catalogue.parquet")["simulated"].all()


@pytest.mark.parametrize(("format", "read"), [("csv", pl.read_csv), ("jsonl", pl.read_ndjson)])
def test_other_formats_hold_the_same_rows(tmp_path: Path, format: str, read: object) -> None:
    _write(tmp_path / "parquet")
    _write(tmp_path, format=format)
    same = read(tmp_path / f"logs.{format}")  # type: ignore[operator]
    assert same["text"].to_list() == pl.read_parquet(tmp_path / "parquet" / "logs.parquet")["text"].to_list()
    assert same["at"][0].startswith("2026-03-02") if format == "csv" else True


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    _write(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "README.txt", "catalogue.parquet", "logs.parquet", "traffic.parquet", "truth.parquet",
    }  # fmt: skip


def test_what_an_earlier_run_wrote_is_replaced_in_every_format(tmp_path: Path) -> None:
    _write(tmp_path, seed=5, format="csv")
    (tmp_path / "notes.md").write_text("mine")
    _write(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "README.txt", "catalogue.parquet", "logs.parquet", "traffic.parquet", "truth.parquet", "notes.md",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["README.txt", "logs.csv", "catalogue.parquet"])
def test_a_file_that_somebody_else_wrote_is_neither_replaced_nor_mixed_in(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="simulate traffic was refused") as refused:
        _write(tmp_path)
    assert name in refused.value.found
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("options", [{"weeks": 0}, {"format": "xlsx"}, {"conversations": 0}, {"seed": -1}])
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="refused"):
        _write(tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="nothing was written"):
        _write(tmp_path / "file")


MAIN = "from mangaops.cli import main; main()"
MOUNTED = (
    'mount -t tmpfs -o size=128k none "$0" && { [ "$1" = rw ] || mount -o remount,ro "$0"; } && shift && "$@"'
)


def _into_a_small_disk(folder: Path, how: str, *options: str) -> str:
    """What the command says of a disk of 128 KB that no other process sees; `how` is rw or ro."""
    command = [sys.executable, "-c", MAIN, "simulate", "traffic", "--out", str(folder), "--weeks", "1"]
    words = ["unshare", "--mount", "sh", "-c", MOUNTED, str(folder), how, *command, *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("a small disk needs the right to mount one")
    return f"{done.returncode} {done.stderr}"


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_full_disk_is_named_with_its_folder_whatever_library_met_it(tmp_path: Path, form: str) -> None:
    said = _into_a_small_disk(tmp_path, "rw", "--conversations", "1500", "--format", form)
    assert said.startswith("4 ")
    assert f"found: the disk is full: {tmp_path}\n" in said
    assert "free some space" in said
    assert not re.search("errno|os error|specification|simulated-", said, re.IGNORECASE)


def test_a_read_only_disk_is_named_with_its_folder(tmp_path: Path) -> None:
    said = _into_a_small_disk(tmp_path, "ro", "--conversations", "10")
    assert f"found: the place is read-only for this user: {tmp_path}\n" in said
    assert "next: name a writable folder" in said


def test_a_disk_with_room_is_written_without_a_word(tmp_path: Path) -> None:
    assert _into_a_small_disk(tmp_path, "rw", "--conversations", "10").startswith("0 ")


def test_a_name_that_no_disk_takes_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nothing was written"):
        _write(tmp_path / ("long" * 99))
