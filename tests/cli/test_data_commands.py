"""`data` and `audit`: logs that can be used or cannot, and ledgers that were changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import polars as pl
import pytest


def test_validate_reads_logs_and_stores_nothing(stack: Path, logs: Path, mangaops) -> None:
    ended = mangaops("data", "validate", "--stack", stack, "--logs", logs, "--json")
    assert ended.code == 0, ended.out
    assert json.loads(ended.out)["errors"] == []
    assert not (stack.parent / ".mangaops").exists()


def take_labels_from_logs(stack: Path) -> None:
    text = stack.read_text()
    listed = text[text.index("    labels:") :].split("\n    splits:")[0]
    stack.write_text(text.replace(listed, "    labels: from_logs"))


def test_validate_asks_no_ledger_that_has_nothing_to_say(
    stack: Path, logs: Path, tmp_path: Path, mangaops
) -> None:
    validate = ("data", "validate", "--stack", stack, "--logs", logs)
    down = ("--ledger", "postgresql://localhost:1/ledger")
    assert mangaops(*validate, *down).code == 0
    take_labels_from_logs(stack)
    assert mangaops(*validate).code == 0
    assert mangaops(*validate, *down).code == 4
    assert not (stack.parent / ".mangaops").exists()


def test_logs_that_leave_a_split_empty_are_refused_by_validate_as_by_snapshot(
    stack: Path, logs: Path, mangaops
) -> None:
    pl.read_parquet(logs).with_columns(user_id=pl.lit("guest")).write_parquet(logs)
    ended = mangaops("data", "validate", "--stack", stack, "--logs", logs, "--json")
    assert ended.code == 4
    assert "would have no row for" in json.loads(ended.out)["errors"][0]
    refused = mangaops("data", "snapshot", "--stack", stack, "--logs", logs)
    assert refused.code == 4
    assert "would have no row for" in refused.err


def test_validate_knows_the_labels_that_an_earlier_version_froze(stack: Path, logs: Path, mangaops) -> None:
    take_labels_from_logs(stack)
    misspelt = logs.with_name("misspelt.parquet")
    label = pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("escalatoin")).otherwise("label")
    pl.read_parquet(logs).with_columns(label=label).write_parquet(misspelt)
    validate = ("data", "validate", "--stack", stack, "--json", "--logs")
    assert mangaops(*validate, misspelt).code == 0
    assert mangaops("data", "snapshot", "--stack", stack, "--logs", logs).code == 0
    assert mangaops(*validate, logs).code == 0
    ended = mangaops(*validate, misspelt)
    assert ended.code == 4
    assert "'escalatoin' on 3 rows" in json.loads(ended.out)["errors"][0]
    assert "did you mean 'escalation'" in json.loads(ended.out)["errors"][0]


def test_a_snapshot_is_shown_by_name_and_the_same_rows_are_the_same_version(
    stack: Path, logs: Path, mangaops
) -> None:
    first = json.loads(mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json").out)
    again = json.loads(mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json").out)
    assert (first["name"], first["digest"]) == (again["name"], again["digest"])
    shown = mangaops("data", "show", first["name"], "--stack", stack, "--json")
    assert json.loads(shown.out)["digest"] == first["digest"]
    events = json.loads(mangaops("audit", "log", "--stack", stack, "--json").out)["events"]
    assert sorted(event["kind"] for event in events) == ["dataset_recorded", "golden_frozen"]


BAD = {
    "missing column": lambda path: pl.DataFrame({"txt": ["a"], "label": ["faq"]}).write_parquet(path),
    "empty file": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(b"PAR1" + b"\0" * 40),
    "binary junk": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "unknown label": lambda path: pl.DataFrame({"text": ["a"] * 9, "label": ["nope"] * 9}).write_parquet(
        path
    ),
    "null label": lambda path: pl.DataFrame({"text": ["a"], "label": [None]}).write_parquet(path),
    "no text": lambda path: pl.DataFrame({"text": [1.5], "label": ["faq"]}).write_parquet(path),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_logs_give_one_plain_error_and_no_state(kind: str, stack: Path, tmp_path: Path, mangaops) -> None:
    path = tmp_path / "bad.parquet"
    BAD[kind](path)
    ended = mangaops("data", "snapshot", "--stack", stack, "--logs", path)
    assert ended.code == 4
    assert ended.err.strip().startswith("mangaops: ")
    log = json.loads(mangaops("audit", "log", "--stack", stack, "--json").out)
    assert log["events"] == []


def test_an_edited_ledger_row_is_found(stack: Path, logs: Path, mangaops) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    assert mangaops("audit", "verify", "--stack", stack).code == 0
    with sqlite3.connect(stack.parent / ".mangaops" / "ledger.db") as database:
        database.execute("update events set body = replace(body, 'intent', 'intend')")
    ended = mangaops("audit", "verify", "--stack", stack)
    assert ended.code == 4
    assert "✗ data/intent-data, revision 1: edited: the " in " ".join(ended.out.split())
    assert "Problem(" not in ended.out
    assert "next: stop release runs" in ended.out


def test_a_broken_ledger_has_the_fields_of_an_error_beside_its_heads(
    stack: Path, logs: Path, mangaops
) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    verify = ("audit", "verify", "--stack", stack, "--json")
    whole = json.loads(mangaops(*verify).out)
    assert set(whole) == {"problems", "says", "heads"}
    with sqlite3.connect(stack.parent / ".mangaops" / "ledger.db") as database:
        database.execute("update events set body = replace(body, 'intent', 'intend')")
    ended = mangaops(*verify)
    said = json.loads(ended.out)
    assert (ended.code, said["exit_code"], said["error"]) == (4, 4, "LedgerTampered")
    assert said["refused"] == said["says"]
    assert said["found"] == "; ".join(said["problems"])
    assert said["accepted"]
    assert said["next"].startswith("stop release runs")
    assert said["heads"] == whole["heads"]


def test_a_cut_tail_is_found_by_a_witness(stack: Path, logs: Path, mangaops) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    (head,) = json.loads(mangaops("audit", "verify", "--stack", stack, "--json").out)["heads"]
    with sqlite3.connect(stack.parent / ".mangaops" / "ledger.db") as database:
        database.execute("delete from events")
        database.execute("delete from heads")
    assert mangaops("audit", "verify", "--stack", stack).code == 0
    ended = mangaops("audit", "verify", "--stack", stack, "--witness", head)
    assert ended.code == 4


def test_every_witness_of_a_stream_counts(stack: Path, logs: Path, mangaops) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    (head,) = json.loads(mangaops("audit", "verify", "--stack", stack, "--json").out)["heads"]
    unseen = f"{head.rpartition(':')[0]}:{'0' * 64}"
    verify = ("audit", "verify", "--stack", stack, "--witness")
    assert mangaops(*verify, head, "--witness", head).code == 0
    assert mangaops(*verify, unseen, "--witness", head).code == 4
    assert mangaops(*verify, head, "--witness", unseen).code == 4


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["conversation=conv"], "'conversation=conv'"),
        (["text"], "'text'"),
        (["text=a", "text=b"], "a second one"),
    ],
)
def test_a_column_that_is_none_of_ours_is_refused(stack: Path, logs: Path, mangaops, given, found) -> None:
    flags = [word for pair in given for word in ("--column", pair)]
    ended = mangaops("data", "validate", "--stack", stack, "--logs", logs, *flags)
    assert ended.code == 2
    assert found in ended.err
    assert "conversation_id" in ended.err
    assert mangaops("data", "validate", "--stack", stack, "--logs", logs, "--column", "text=text").code != 2


def test_half_a_witness_is_usage_and_no_tampering(stack: Path, logs: Path, mangaops) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    (head,) = json.loads(mangaops("audit", "verify", "--stack", stack, "--json").out)["heads"]
    ended = mangaops("audit", "verify", "--stack", stack, "--witness", head[:-20])
    assert ended.code == 2
    assert "64 hex digits" in ended.err
