"""The command line as people and schedulers use it: exit codes, JSON, plain errors, no traceback."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import Response

import histories as h
from a_server import answer, serving
from mangaops.cli import screen
from mangaops.cli.main import app
from mangaops.pipeline.quickstart import Teller
from mangaops.store import Gateways, Ledger
from mangaops.wiring import Settings, run_quickstart

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "stack.yaml"


@pytest.fixture
def logs(tmp_path: Path, mangaops) -> Path:
    done = mangaops(
        "simulate", "traffic", "--out", tmp_path / "world", "--weeks", "2", "--conversations", "600"
    )
    assert done.code == 0
    return tmp_path / "world" / "logs.parquet"


def empty_ledger(stack: Path) -> None:
    home = stack.parent / ".mangaops"
    home.mkdir()
    Ledger(f"sqlite:///{home}/ledger.db").close()


def test_gateway_list_shows_who_serves_what_and_how_far_behind(stack: Path, mangaops) -> None:
    empty_ledger(stack)
    nobody = mangaops("gateway", "list", "--stack", stack)
    assert (nobody.code, nobody.out.strip()) == (0, "no gateway serves: no worker of one lives")
    with Ledger(f"sqlite:///{stack.parent}/.mangaops/ledger.db") as ledger:
        ledger.append(h.weeks(1), expect={}, at=h.AT)
        members = Gateways(ledger, 60.0)
        said = {"active": "router-1", "generation": 1, "revision": 5, "slots": {"router-1": "active"}}
        serving = members.join("shop", 0, {"units": {"router": said}})
        fresh = members.join("shop", 1, {})
        ended = mangaops("gateway", "list", "--stack", stack, "--json")
        rows = {each["member"]: each for each in json.loads(ended.out)["members"]}
        shown = mangaops("gateway", "list", "--stack", stack)
    assert rows[serving]["serves"] == "router-1"
    assert (rows[serving]["generation"], rows[serving]["behind"]) == (1, 2)
    assert rows[serving]["slots"] == {"router-1": "active"}
    assert (rows[fresh]["unit"], rows[fresh]["behind"]) == (None, None)
    assert serving in shown.out
    assert "router-1 active" in shown.out


def every_command() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(group, words: Sequence[str]) -> None:
        for command in group.registered_commands:
            name = command.name or command.callback.__name__.replace("_", "-")
            found.append([*words, name])
        for sub in group.registered_groups:
            walk(sub.typer_instance, [*words, sub.name])

    walk(app, [])
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_an_example_and_json(words: list[str], mangaops) -> None:
    shown = mangaops(*words, "--help")
    assert shown.code == 0
    assert "Example: mangaops " + " ".join(words) in " ".join(shown.out.split())
    assert "--json" in shown.out


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\nfrom mangaops.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "slow = {'torch', 'transformers', 'sklearn', 'scipy', 'polars', 'pandera', 'sqlalchemy'}\n"
        "print('SLOW', sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SLOW []" in done.stdout


def test_an_unknown_option_is_usage(mangaops) -> None:
    ended = mangaops("release", "due", "--nonsense")
    assert ended.code == 2
    assert "--nonsense" in ended.err
    assert "--help" in ended.err


def test_init_never_overwrites(stack: Path, mangaops) -> None:
    before = stack.read_text()
    ended = mangaops("init", "--out", stack)
    assert ended.code == 2
    assert stack.read_text() == before


def test_what_init_writes_is_a_stack_of_which_nothing_was_released(stack: Path, mangaops) -> None:
    empty_ledger(stack)
    listed = mangaops("release", "list", "router", "--stack", stack, "--json")
    assert listed.code == 0
    assert json.loads(listed.out) == {
        "champion": None,
        "releases": [],
        "rollback_pointer": None,
        "unit": "router",
    }


@pytest.mark.parametrize(
    "command",
    [
        ("release", "list", "router"),
        ("release", "rollback", "router", "--reason", "paged"),
        ("audit", "verify"),
        ("registry", "list"),
        ("review", "list", "v1"),
    ],
)
def test_what_asks_for_facts_is_refused_where_no_ledger_is(
    command: tuple[str, ...], stack: Path, tmp_path: Path, mangaops
) -> None:
    ended = mangaops(*command, "--stack", stack, "--home", tmp_path / "mistyped" / "home")
    assert ended.code == 4
    assert "mistyped/home/ledger.db" in ended.err
    assert "next: " in ended.err
    assert not (tmp_path / "mistyped").exists()


def test_a_stack_with_five_mistakes_tells_all_five_with_lines(stack: Path, mangaops) -> None:
    text = stack.read_text()
    for right, wrong in (
        ("gate: leakage", "gate: leekage"),
        ("metric: harm_cost", "metric: harm_costs"),
        ("fallback:", "falback:"),
        ("family: intent-classifier", "family: intent-clasifier"),
        ("looks: 3", "looks: zero"),
    ):
        assert right in text
        text = text.replace(right, wrong, 1)
    stack.write_text(text)
    ended = mangaops("release", "due", "--stack", stack)
    assert ended.code == 2
    for word in ("leekage", "harm_costs", "falback", "intent-clasifier", "zero"):
        assert word in ended.err
    assert ended.err.count("line ") >= 5


def test_duplicate_keys_are_refused(stack: Path, mangaops) -> None:
    stack.write_text(stack.read_text() + "\nsimulated: true\n")
    ended = mangaops("release", "due", "--stack", stack)
    assert ended.code == 2
    assert "simulated" in ended.err


def test_an_error_is_json_when_json_was_asked(tmp_path: Path, mangaops) -> None:
    ended = mangaops("release", "due", "--stack", tmp_path / "none.yaml", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["error"] == "UsageError"


MISUSED = {
    "a missing option": ("release rollback router --json", "--reason"),
    "a missing argument": ("release list --json", "unit"),
    "a bad value": ("simulate traffic --json --out world --weeks many", "--weeks"),
    "a value too small": ("simulate traffic --out world --weeks 0 --json", "--weeks"),
    "logs that would come too late": ("serve --roll 61 --json", "--roll"),
    "an unknown command": ("release rollbak router --json", "rollbak"),
    "an unknown option": ("release due --json --nonsense", "--nonsense"),
    "before the command": ("--json release due", "--json"),
    "between the words": ("release --json due", "--json"),
    "with a value": ("release due --json=yes", "--json"),
}


@pytest.mark.parametrize("case", MISUSED)
def test_a_misused_command_is_json_when_json_was_asked(case: str, mangaops) -> None:
    line, word = MISUSED[case]
    ended = mangaops(*line.split())
    said = json.loads(ended.out)
    assert (ended.code, said["exit_code"], said["error"]) == (2, 2, "UsageError")
    assert set(said) == {"error", "refused", "found", "accepted", "next", "exit_code"}
    assert word in said["refused"].lower()
    assert said["accepted"].startswith("mangaops")
    assert "--help" in said["next"]
    assert word in ended.err.lower()


@pytest.mark.parametrize(
    ("line", "range_"),
    [
        ("simulate searches --out shop --titles 5", "--titles from 100 to 10,000"),
        ("simulate searches --out shop --seed -1", "--seed from 0"),
        ("bench gateway --load 3", "--load from 0.01 to 2"),
        ("bench gateway --seconds nan", "--seconds from 0.1"),
        ("review open router-1 --seed -1", "--seed from 0"),
    ],
)
def test_a_number_out_of_its_range_is_told_the_range(line: str, range_: str, mangaops) -> None:
    ended = mangaops(*line.split())
    assert ended.code == 2
    assert f", with {range_}\n" in ended.err


def test_a_word_for_a_number_of_no_range_is_told_none(mangaops) -> None:
    ended = mangaops("review", "open")
    assert ended.code == 2
    assert ", with " not in ended.err


@pytest.mark.parametrize("case", MISUSED)
def test_a_misused_command_writes_nothing_on_standard_output_without_json(case: str, mangaops) -> None:
    line, _ = MISUSED[case]
    ended = mangaops(*(word for word in line.split() if not word.startswith("--json")), "--nonsense")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("mangaops: ")


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


def test_hidden_labels_are_refused_where_the_stack_is_not_simulated(
    stack: Path, logs: Path, tmp_path: Path, mangaops
) -> None:
    empty_ledger(stack)
    truth = tmp_path / "world" / "truth.parquet"
    ended = mangaops("release", "run", "router", "--stack", stack, "--logs", logs, "--truth", truth)
    assert ended.code == 4
    assert "review export" in ended.err


def test_addresses_are_refused_without_their_credentials(stack: Path, logs: Path, mangaops) -> None:
    empty_ledger(stack)
    secret, run = "hunter2", ("release", "run", "router", "--stack", stack, "--logs", logs)
    for option, place in (("--truth", "s3://bucket/truth.parquet"), ("--files", "gs://bucket/x")):
        address = place.replace("://", f"://{secret}@") + f"?sig={secret}"
        ended = mangaops(*run, option, address)
        assert ended.code == 4
        assert secret not in ended.out + ended.err
        assert place in ended.err


def test_due_tells_the_unit_that_needs_a_champion_first_and_makes_nothing(stack: Path, mangaops) -> None:
    told = json.loads(mangaops("release", "due", "--stack", stack, "--json").out)
    assert told["due"] == []
    assert [each["unit"] for each in told["no_champion"]] == ["router"]
    ended = mangaops("release", "due", "--stack", stack)
    assert ended.code == 0
    assert "no champion yet: mangaops release bootstrap router --logs ..." in " ".join(ended.out.split())
    assert not (stack.parent / ".mangaops").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("audit", "log", "foo"), "next: mangaops audit log shows every stream"),
        (("audit", "verify", "--witness", "foo"), "next: mangaops audit verify prints"),
        (("stack", "check", "--unit", "foo"), "next: mangaops stack check --unit router"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_to_type_next(
    command: tuple[str, ...], said: str, stack: Path, mangaops
) -> None:
    empty_ledger(stack)
    ended = mangaops(*command, "--stack", stack)
    assert ended.code == 2
    assert said in ended.err


def test_a_folder_in_place_of_the_stack_is_called_one(tmp_path: Path, mangaops) -> None:
    assert "it is a folder" in mangaops("release", "due", "--stack", tmp_path).err
    assert "there is no such file" in mangaops("release", "due", "--stack", tmp_path / "none.yaml").err


HOMELESS = {
    "makes": ("data", "snapshot", "--logs", "logs.parquet"),
    "reads": ("release", "list", "router"),
}


@pytest.mark.parametrize("words", HOMELESS.values(), ids=HOMELESS)
@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_a_home_is_named(
    words: tuple[str, ...], below: str, stack: Path, tmp_path: Path, mangaops
) -> None:
    (tmp_path / "file").write_text("not a home")
    ended = mangaops(*words, "--stack", stack, "--home", tmp_path / "file" / below, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["error"] in ("SetupError", "NoLedger")) == (4, True)
    assert str(tmp_path / "file") in told["found"]
    assert " file" in told["found"]
    assert told["accepted"]
    assert told["next"]


def test_a_file_in_place_of_the_folder_of_a_quickstart_is_named(tmp_path: Path, mangaops) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = mangaops("quickstart", "--stack", QUICKSTART, "--folder", tmp_path / "file")
    assert ended.code == 4
    assert f"found: a file is where a folder should be: {tmp_path / 'file'}" in ended.err
    assert "accepted: a folder" in ended.err


def test_what_is_not_there_is_no_word_of_python(stack: Path, logs: Path, mangaops) -> None:
    empty_ledger(stack)
    listed = mangaops("release", "list", "router", "--stack", stack)
    assert "router: champion none, rollback pointer none" in listed.out
    name = json.loads(mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json").out)["name"]
    assert "None" not in listed.out + mangaops("data", "show", name, "--stack", stack).out
    assert [screen.short(each) for each in (None, {"a": None}, "None", 0)] == ["–", "a –", "None", "0"]


HOSTILE = "a\x1b[2Jb\u202ec\x9bd"


def test_a_stack_is_checked_without_history_and_no_ledger_is_made(
    stack: Path, tmp_path: Path, mangaops
) -> None:
    secret = "hunter2"
    typo = tmp_path / "typo.db"
    for options in ((), ("--ledger", f"sqlite:///{typo}?sig={secret}")):
        ended = mangaops("stack", "check", "--stack", stack, "--weeks", "20", *options)
        assert ended.code == 0, ended.err
        said = " ".join(ended.out.split())
        assert "OBSERVED: nothing, all is from stack.yaml: there is no ledger sqlite:///" in said
        assert secret not in said
    assert not typo.exists()
    assert not (stack.parent / ".mangaops").exists()


def test_a_stack_is_checked_against_the_ledger_that_is_there(stack: Path, tmp_path: Path, mangaops) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url).close()
    ended = mangaops("stack", "check", "--stack", stack, "--weeks", "20", "--ledger", url)
    assert ended.code == 0, ended.err
    assert "no champion of this unit has evidence in the ledger" in " ".join(ended.out.split())


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


def test_a_run_before_the_first_champion_makes_no_ledger(stack: Path, logs: Path, mangaops) -> None:
    ended = mangaops("release", "run", "router", "--stack", stack, "--logs", logs)
    assert ended.code == 4
    assert "release bootstrap" in ended.err
    assert not (stack.parent / ".mangaops").exists()


def test_the_quickstart_refuses_a_stack_that_is_not_simulated(stack: Path, tmp_path: Path, mangaops) -> None:
    ended = mangaops("quickstart", "--stack", stack, "--folder", tmp_path / "qs")
    assert ended.code == 2
    assert "simulated: true" in ended.err
    assert not (tmp_path / "qs").exists()


def test_the_quickstart_leaves_a_ledger_that_was_named_alone(tmp_path: Path) -> None:
    """A shell in which MANGAOPS_LEDGER names the real ledger: the story's facts are invented."""
    real, settings = tmp_path / "real.db", Settings(QUICKSTART, tmp_path, None, None, "mei")
    told: list[str] = []

    class Begun(Exception):
        pass

    def announce(_step: str, _what: str) -> None:
        raise Begun

    teller = Teller(told.append, lambda _result: None, announce, lambda *_: None)
    named = replace(settings, ledger_url=f"sqlite:///{real}")
    with pytest.raises(Begun):
        run_quickstart(named, tmp_path / "qs", seed=7, teller=teller)
    assert not real.exists()
    assert (tmp_path / "qs" / "home" / "ledger.db").is_file()
    assert any("its own ledger" in line for line in told)


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1", "https://127.0.0.1:80", "http://a:99999"])
def test_a_bench_of_what_is_no_address_is_usage_with_one_next_step(url: str, mangaops) -> None:
    ended = mangaops("bench", "gateway", "--url", url, "--seconds", "1")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"mangaops: the load on '{url}' was refused\n")
    assert ended.err.count("  next: ") == 1


@pytest.mark.parametrize("broken", ["", "failed", "mixed_version"])
def test_a_bench_whose_users_were_let_down_ends_with_1_and_one_line(broken: str, mangaops) -> None:
    asked = itertools.count(1)

    async def answering(_request: Request) -> Response:
        if not broken or next(asked) % 3:
            return answer()
        return Response("", 503) if broken == "failed" else answer(release="router-2")

    with serving(answering) as url:
        ended = mangaops("bench", "gateway", "--url", url, "--rate", "40", "--seconds", "1", "--json")
    told = json.loads(ended.out)
    assert {word for word in ("failed", "mixed_version") if told[word]} == ({broken} - {""})
    assert ended.code == (1 if broken else 0)
    assert ended.err == (
        f"mangaops: of {told['requests']} requests {told['failed']} failed, "
        f"and {told['mixed_version']} were answered by mixed versions\n"
        if broken
        else ""
    )
