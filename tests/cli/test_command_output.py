"""What is written to a terminal or a pipe: hidden characters, and readers who leave."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from ledgers import empty_ledger

from mangaops.cli import screen

HOSTILE = "a\x1b[2Jb\u202ec\x9bd"


def test_what_a_terminal_would_obey_is_shown_and_not_obeyed(stack: Path, mangaops) -> None:
    empty_ledger(stack)
    ended = mangaops("release", "show", HOSTILE, "--stack", stack, "--json")
    assert json.loads(ended.out)["refused"].startswith(f"release {HOSTILE!r}")
    assert not {"\x1b", "\u202e", "\x9b"} & set(ended.out + ended.err)
    assert "\\x1b" in ended.err


def test_tables_and_lines_write_out_what_is_hidden_and_keep_what_is_not(capsys) -> None:
    screen.say(f"one {HOSTILE}\ntwo ねこ")
    screen.table("a table", ("text",), [(HOSTILE,), ("ねこ 👩\u200d👧",)])
    out = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\x9b"} & set(out)
    assert out.count("a\\u001b[2Jb\\u202ec\\u009bd") == 2
    assert "\ntwo ねこ\n" in out
    assert "👩\u200d👧" in out


def test_a_zero_in_a_table_has_no_minus_and_other_numbers_keep_theirs(capsys) -> None:
    found = {"gate": "no_increase", "verdict": "PASS", "observed": -0.0, "low": -0.25, "high": -0.0}
    screen.findings_table("findings", [{**found, "threshold": -0.0}])
    screen.records("facts", ("fact",), [{"fact": -0.0}, {"fact": [-0.0, -1.5]}])
    cells = capsys.readouterr().out.replace("│", " ").split()
    assert [each for each in cells if each.startswith("-")] == ["-0.25", "-1.5"]


def unread(*given: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output nobody reads."""
    command = [sys.executable, "-c", "from mangaops.cli import main; main()", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_who_leaves_is_no_error_beside_the_one_that_is_told(
    form: tuple[str, ...], stack: Path
) -> None:
    empty_ledger(stack)
    code, said = unread("audit", "log", "foo", "--stack", str(stack), *form)
    assert code == 2
    assert said.startswith("mangaops: stream 'foo' was refused")
    assert said.count("\n") == 3


def test_a_command_that_lost_its_pipe_did_not_end_as_rejected() -> None:
    code, said = unread("--help")
    assert code == 130
    assert said.startswith("stopped; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_who_leaves_does_not_change_the_exit_code(
    form: tuple[str, ...], stack: Path, logs: Path, mangaops
) -> None:
    mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json")
    with sqlite3.connect(stack.parent / ".mangaops" / "ledger.db") as database:
        database.execute("update events set body = replace(body, 'intent', 'intend')")
    assert unread("audit", "verify", "--stack", str(stack), *form) == (4, "")
