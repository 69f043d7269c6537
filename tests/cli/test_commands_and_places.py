"""Commands that read or make a place: a ledger, a home, a gateway, a stack, a quickstart."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ledgers import empty_ledger
from starlette.requests import Request
from starlette.responses import Response

import histories as h
from a_server import answer, serving
from mangaops.pipeline.quickstart import Teller
from mangaops.store import Gateways, Ledger
from mangaops.wiring import Settings, run_quickstart

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "stack.yaml"


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
    assert "no champion: mangaops release bootstrap router --reason '...' --logs FILE" in " ".join(
        ended.out.split()
    )
    assert not (stack.parent / ".mangaops").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("audit", "log", "foo"), "next: mangaops audit log shows every stream"),
        (("audit", "verify", "--witness", "foo"), "next: mangaops audit verify prints"),
        (
            ("stack", "check", "--unit", "foo"),
            "next: name one of these, or add it under `units:` in stack.yaml",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_to_type_next(
    command: tuple[str, ...], said: str, stack: Path, mangaops
) -> None:
    empty_ledger(stack)
    ended = mangaops(*command, "--stack", stack)
    assert ended.code == 2
    assert said in ended.err


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
