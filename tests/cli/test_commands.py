"""The command line as people and schedulers use it: exit codes, JSON, plain errors, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ledgers import empty_ledger

from mangaops.cli import screen
from mangaops.cli.main import app
from mangaops.release.figures import MISSING, NOT_RUN


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


NEEDS_WHY = [
    command.split()
    for command in (
        "release bootstrap router --logs x",
        "release run router --logs x",
        "release promote router-1",
        "release rollback router",
        "release reopen router-1",
        "review open router-1",
        "review import router-1 x.csv",
        "data snapshot --logs x",
        "catalogue append shop --removed i1",
        "feedback review r1 --label yes",
        "train intent-classifier",
    )
]


def test_the_commands_that_ask_why_are_these(mangaops) -> None:
    asking = [words for words in every_command() if "--reason" in mangaops(*words, "--help").out]
    listed = {" ".join(command[:2]) if command[0] != "train" else "train" for command in NEEDS_WHY}
    assert {" ".join(words) for words in asking} == listed


@pytest.mark.parametrize("blank", ["", " \t"])
@pytest.mark.parametrize("command", NEEDS_WHY, ids=" ".join)
def test_a_blank_reason_is_refused_before_anything_is_begun(
    command: list[str], blank: str, stack: Path, mangaops
) -> None:
    ended = mangaops(*command, "--reason", blank, "--stack", stack, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["refused"]) == (2, "the command was refused: nothing says why")
    assert (told["found"], told["next"]) == ("no reason", "say why: --reason TEXT")
    assert "event" not in ended.out + ended.err
    assert not (stack.parent / ".mangaops").exists()


@pytest.mark.parametrize("command", NEEDS_WHY, ids=" ".join)
def test_a_reason_of_one_sign_is_a_reason(command: list[str], stack: Path, mangaops) -> None:
    ended = mangaops(*command, "--reason", "x", "--stack", stack, "--json")
    assert "nothing says why" not in ended.out


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
        ("stack check --weeks 19", "--weeks from 20"),
    ],
)
def test_a_number_out_of_its_range_is_told_the_range(line: str, range_: str, mangaops) -> None:
    ended = mangaops(*line.split())
    assert ended.code == 2
    assert f", with {range_}\n" in ended.err
    assert f"  found: {line.split()[-1]}\n" in ended.err


def test_a_word_for_a_number_of_no_range_is_told_none(mangaops) -> None:
    ended = mangaops("review", "open")
    assert ended.code == 2
    assert ", with " not in ended.err
    assert "found:" not in ended.err


@pytest.mark.parametrize("case", MISUSED)
def test_a_misused_command_writes_nothing_on_standard_output_without_json(case: str, mangaops) -> None:
    line, _ = MISUSED[case]
    ended = mangaops(*(word for word in line.split() if not word.startswith("--json")), "--nonsense")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("mangaops: ")


def test_a_folder_in_place_of_the_stack_is_called_one(tmp_path: Path, mangaops) -> None:
    assert "it is a folder" in mangaops("release", "due", "--stack", tmp_path).err
    assert "there is no such file" in mangaops("release", "due", "--stack", tmp_path / "none.yaml").err


def test_what_is_not_there_is_no_word_of_python(stack: Path, logs: Path, mangaops) -> None:
    empty_ledger(stack)
    listed = mangaops("release", "list", "router", "--stack", stack)
    assert "router: champion none, rollback pointer none" in listed.out
    name = json.loads(mangaops("data", "snapshot", "--stack", stack, "--logs", logs, "--json").out)["name"]
    assert "None" not in listed.out + mangaops("data", "show", name, "--stack", stack).out
    assert [screen.short(each) for each in (None, {"a": None}, "None", 0)] == ["–", "a –", "None", "0"]


@pytest.mark.parametrize(("facts", "told"), [(None, "! ERROR"), ({"not_run": True}, f"{MISSING} {NOT_RUN}")])
def test_the_decision_table_tells_an_error_from_what_was_left_out(
    facts: dict[str, bool] | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    screen.findings_table(
        "Decision", [{"gate": "disagreement", "subject": "evidence", "verdict": "ERROR", "facts": facts}]
    )
    said = capsys.readouterr().out
    assert [word for word in ("ERROR", NOT_RUN) if word in said] == [told.partition(" ")[2]]
    assert told in said
