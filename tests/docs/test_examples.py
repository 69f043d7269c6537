"""The examples on real data: their source can be made as the page says, and a bad one is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import reading

EXAMPLES = reading.ROOT / "examples"
CLINC150, MULTIDOGO = EXAMPLES / "clinc150", EXAMPLES / "multidogo"
GOOD = {
    CLINC150: {
        "text": ["a", "b", "c", "d"],
        "intent": ["x"] * 4,
        "split": ["train", "validation", "validation", "test"],
        "in_full": [True] * 4,
    },
    MULTIDOGO: {
        "domain": ["finance"] * 40,
        "conversation_id": [str(number) for number in range(40)],
        "turn": [0] * 40,
        "text": ["hello"] * 40,
        "intent": ["openinggreeting<div>thankyou"] * 40,
    },
}
Broken = Callable[[Path, pl.DataFrame], object]
BAD: dict[str, tuple[Broken, str]] = {
    "missing": (lambda path, _: path, "no such file"),
    "a folder": (lambda path, _: path.mkdir(), "a folder"),
    "empty": (lambda path, _: path.write_bytes(b""), "no whole Parquet file"),
    "truncated": (
        lambda path, good: (good.write_parquet(path), path.write_bytes(path.read_bytes()[:-40])),
        "no whole Parquet file",
    ),
    "without a column": (lambda path, good: good.drop("intent").write_parquet(path), "no column intent"),
    "of another kind": (
        lambda path, good: good.with_columns(**{good.columns[-1]: pl.lit(b"\xff")}).write_parquet(path),
        "a column of another kind",
    ),
}
MEANT = {
    CLINC150: ("split", "val", "the splits"),
    MULTIDOGO: ("domain", "banking", "no turn of the domain 'finance', only of banking"),
}


def prepare(example: Path, source: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(example / "prepare.py"), "--source", str(source), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=source.parent)


def refused(example: Path, source: Path) -> str:
    """The one line on standard error of a source that is refused."""
    out = source.parent / "out"
    done = prepare(example, source, "--out", str(out))
    assert (done.returncode, done.stdout, out.exists()) == (4, "", False)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"prepare.py: {source} was refused: found ")
    assert all(name in line.partition("needed: ")[2] for name in GOOD[example])
    return line


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("example", GOOD, ids=lambda path: path.name)
def test_a_source_that_cannot_be_used_is_refused_in_one_line(
    kind: str, example: Path, tmp_path: Path
) -> None:
    broken, word = BAD[kind]
    source = tmp_path / "source.parquet"
    broken(source, pl.DataFrame(GOOD[example]))
    assert word in refused(example, source)


@pytest.mark.parametrize("example", MEANT, ids=lambda path: path.name)
def test_a_source_of_other_words_is_refused_in_one_line(example: Path, tmp_path: Path) -> None:
    column, value, word = MEANT[example]
    source = tmp_path / "source.parquet"
    pl.DataFrame(GOOD[example]).with_columns(pl.lit(value).alias(column)).write_parquet(source)
    assert word in refused(example, source)


@pytest.mark.parametrize("example", GOOD, ids=lambda path: path.name)
def test_a_flag_that_is_missing_is_usage(example: Path, tmp_path: Path) -> None:
    assert prepare(example, tmp_path / "source.parquet").returncode == 2


def made_as_the_page_says(example: Path, folder: Path) -> None:
    page = (example / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


def test_clinc150_is_made_of_the_published_file(tmp_path: Path) -> None:
    splits = {"train": 4, "val": 4, "test": 3, "oos_train": 2, "oos_val": 2, "oos_test": 1}
    published = {
        key: [[f"{key} {at}", "oos" if "oos" in key else "greeting"] for at in range(count)]
        for key, count in splits.items()
    }
    (tmp_path / "data_full.json").write_text(json.dumps(published))
    made_as_the_page_says(CLINC150, tmp_path)
    done = prepare(CLINC150, tmp_path / "clinc150.parquet", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    logs, traffic = (pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("logs", "traffic"))
    assert (logs.height, traffic.height) == (13, 3)
    assert set(logs.get_column("label")) == {"greeting", "oos"}


def test_multidogo_is_made_of_the_published_files(tmp_path: Path) -> None:
    head = "conversationId\tturnNumber\tutteranceId\tutterance\tslot-labels\tintent\n"
    folder = tmp_path / "data/paper_splits/splits_annotated_at_turn_level/finance"
    folder.mkdir(parents=True)
    for name in ("train", "dev", "test"):
        turns = [f"{name}{at}\t{at}.0\tid\thello\tO\topeninggreeting<div>thankyou\n" for at in range(30)]
        (folder / f"{name}.tsv").write_text(head + "".join(turns))
    made_as_the_page_says(MULTIDOGO, tmp_path)
    done = prepare(MULTIDOGO, tmp_path / "turns.parquet", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    logs, traffic = (pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("logs", "traffic"))
    assert logs.height + traffic.height == 90
    assert set(logs.get_column("label")) == {"openinggreeting"}
    assert set(logs.get_column("turn")) <= set(range(30))


def compared(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "compare.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_msrd_is_compared_only_with_both_files_and_their_columns(tmp_path: Path) -> None:
    assert compared("--keep", str(tmp_path)).returncode == 2
    catalogue, judged = str(tmp_path / "movies.parquet"), str(tmp_path / "judgments.parquet")
    flags = ("--catalogue", catalogue, "--judgments", judged, "--keep", str(tmp_path / "keep"))
    flags += ("--stack", str(EXAMPLES / "msrd" / "stack.yaml"))
    missing = compared(*flags)
    assert (missing.returncode, missing.stdout) == (4, "")
    assert "movies.parquet" in missing.stderr
    film = {"title": ["Alien"], "overview": ["A ship."], "year": [1979]}
    pl.DataFrame(film).write_parquet(tmp_path / "movies.parquet")
    assert "doc_id" in compared(*flags).stderr


def lee(folder: Path, articles: int = 50) -> Path:
    """The three files, of invented articles; the first two are as alike as people can say."""
    folder.mkdir()
    text = [f"Sentence {n} of an article. And another one about the number {n}." for n in range(articles)]
    (folder / "lee.cor").write_text("\n".join(text))
    (folder / "lee_background.cor").write_text("\n".join(f"Background {n}." for n in range(300)))
    rows = [[1.0 if a == b or {a, b} == {0, 1} else 0.2 for b in range(50)] for a in range(50)]
    (folder / "similarities0-1.txt").write_text("\n".join("\t".join(map(str, row)) for row in rows))
    return folder


def test_lee_is_a_catalogue_with_graded_judgments(tmp_path: Path) -> None:
    done = prepare(EXAMPLES / "lee", lee(tmp_path / "lee"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    items, judged = (
        pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("catalogue", "judgments")
    )
    assert (items.height, judged.height) == (350, 2500)
    assert judged["query"][0] == "Sentence 0 of an article."
    assert items["title"][0] == "And another one about the number 0."
    assert judged.filter(query_id="lead-0", item_id="lee-1")["grade"].to_list() == [4]
    assert judged.filter(query_id="lead-0", item_id="lee-2")["grade"].to_list() == [0]


@pytest.mark.parametrize(("articles", "word"), [(49, "49 and 300 articles"), (0, "0 and 300 articles")])
def test_other_articles_than_lees_are_refused_in_one_line(articles: int, word: str, tmp_path: Path) -> None:
    done = prepare(EXAMPLES / "lee", lee(tmp_path / "lee", articles), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (4, "")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_lacks_a_file_of_lees_is_refused_in_one_line(tmp_path: Path) -> None:
    (lee(tmp_path / "lee") / "similarities0-1.txt").unlink()
    done = prepare(EXAMPLES / "lee", tmp_path / "lee", "--out", str(tmp_path / "out"))
    assert done.returncode == 4
    assert "no file similarities0-1.txt" in done.stderr
