"""What commands that move a champion say to whoever typed them."""

from __future__ import annotations

import json

from mangaops.pipeline.gateway_world import GatewayWorld


def place(world: GatewayWorld) -> tuple[str, ...]:
    """The options that name the world."""
    return ("--stack", str(world.stack), "--home", str(world.home))


ROLLBACK = ("release", "rollback", "router", "--reason", "it hurts")


def test_a_rollback_after_which_no_release_answers_says_so_and_how_to_come_back(
    world: GatewayWorld, mangaops
) -> None:
    ended = mangaops(*ROLLBACK, *place(world), "--json")
    warning = json.loads(ended.out)["warning"]
    assert ended.code == 0
    assert "no release of router answers users now, its fallback:offer_human does" in warning
    assert "mangaops release reopen router-1 --reason '...'" in warning
    assert "mangaops release bootstrap router --reason '...' --logs FILE" in warning
    assert "release run" not in warning
    assert ended.err == f"mangaops: {warning}\n"
    reopened = mangaops("release", "reopen", "router-1", "--reason", "mended", *place(world))
    assert reopened.code == 0
    assert "router-1 is a candidate again; next, with the data" in " ".join(reopened.out.split())
    assert "withdrawn" not in reopened.out
    assert "release bootstrap router --reason '...' --logs FILE" in " ".join(reopened.out.split())


def test_that_warning_is_shown_without_json_too(world: GatewayWorld, mangaops) -> None:
    ended = mangaops(*ROLLBACK, *place(world))
    assert (ended.code, ended.out.count("\n"), ended.err.count("\n")) == (0, 1, 1)
    assert ended.err.startswith("mangaops: no release of router answers users now")


def test_a_rollback_to_a_release_warns_of_nothing(world: GatewayWorld, mangaops) -> None:
    world.promote_next()
    ended = mangaops(*ROLLBACK, *place(world), "--json")
    told = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert (told["to"], told["warning"]) == ("router-1", None)


def test_a_release_is_shown_by_the_beginning_of_its_digest(world: GatewayWorld, mangaops) -> None:
    shown = json.loads(mangaops("release", "show", "router-1", *place(world), "--json").out)
    short = shown["digest"][:19]
    again = mangaops("release", "show", short, *place(world), "--json")
    assert json.loads(again.out)["release"] == "router-1"
    assert mangaops("release", "show", "sha256:00000000", *place(world)).code == 2


def test_releases_are_listed_with_their_times_to_the_minute(world: GatewayWorld, mangaops) -> None:
    told = json.loads(mangaops("release", "list", "router", *place(world), "--json").out)["releases"][0][
        "registered_at"
    ]
    shown = mangaops("release", "list", "router", *place(world)).out
    assert f"{told[:10]} {told[11:16]} UTC" in shown
    assert told not in shown


def test_a_list_names_the_moment_of_registration_as_that(world: GatewayWorld, mangaops) -> None:
    (listed,) = json.loads(mangaops("release", "list", "router", *place(world), "--json").out)["releases"]
    events = json.loads(mangaops("audit", "log", *place(world), "--json").out)["events"]
    at = {event["kind"]: event["at"] for event in events}
    assert listed["registered_at"] == at["release_registered"] != at["decided"]
    assert "registered_at" in mangaops("release", "list", "router", *place(world)).out


def test_who_reopens_a_release_hears_which_open_one_is_withdrawn_for_it(
    world: GatewayWorld, mangaops
) -> None:
    world.promote_next()
    opened = world.shadow_next()
    world.roll_back()
    ended = mangaops("release", "reopen", "router-2", "--reason", "mended", *place(world), "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["withdrawn"]) == (0, opened)
    assert f"{opened} is withdrawn: a unit has one open release" in told["says"]
    assert "release run router --logs FILE" in told["says"]
    again = world.state().releases[opened]
    assert str(again.state) == "withdrawn"
