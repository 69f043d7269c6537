"""`gateway prune`: what no release needs goes, and nothing that is served, shadowed or watched."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mangaops.pipeline.gateway_world import UNIT, GatewayWorld
from mangaops.pipeline.pruning import prune
from mangaops.store import Artifacts

DAYS = 30


def place(world: GatewayWorld) -> tuple[str, ...]:
    return ("--stack", str(world.stack), "--home", str(world.home))


def copies(world: GatewayWorld, gateway: str = "gateway") -> Artifacts:
    return Artifacts(world.home / "gateway" / gateway / "artifacts")


def copied(world: GatewayWorld, gateway: str = "gateway") -> dict[str, str]:
    """A gateway holds a copy of each model of the world; the digests by release."""
    current, held = world.state(), {}
    for name, release in current.releases.items():
        [(model, version)] = release.models.items()
        digest = current.models[f"{model}@{version}"].artifact
        held[name] = copies(world, gateway).put(world.shop.desk.artifacts.open(digest))
    return held


def logged(world: GatewayWorld, day: str, kind: str = "requests") -> Path:
    path = world.home / "logs" / kind / day / "rolled.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rows")
    return path


def test_copies_that_no_release_needs_go_and_those_that_may_serve_stay(world: GatewayWorld, mangaops) -> None:
    world.promote_next()
    world.shadow_next()
    world.end_shadow()
    held = copied(world)
    told = mangaops("gateway", "prune", *place(world), "--dry-run", "--json")
    assert json.loads(told.out)["copies"] == [{"gateway": "gateway", "artifact": held["router-3"]}]
    assert copies(world).has(held["router-3"])
    ended = mangaops("gateway", "prune", *place(world))
    assert ended.code == 0, ended.err
    assert held["router-3"] in ended.out
    assert copies(world).digests() == sorted([held["router-1"], held["router-2"]])
    again = mangaops("gateway", "prune", *place(world), "--json")
    assert json.loads(again.out)["copies"] == []


def test_what_is_in_shadow_stays(world: GatewayWorld, mangaops) -> None:
    world.shadow_next()
    held = copied(world)
    told = mangaops("gateway", "prune", *place(world), "--json")
    assert json.loads(told.out)["copies"] == []
    assert copies(world).digests() == sorted(held.values())


def test_one_gateway_may_be_named_and_one_that_is_not_there_is_refused(world: GatewayWorld, mangaops) -> None:
    world.shadow_next()
    world.end_shadow()
    one, other = copied(world, "one"), copied(world, "other")
    ended = mangaops("gateway", "prune", *place(world), "--name", "one", "--json")
    assert json.loads(ended.out)["gateways"] == ["one"]
    assert not copies(world, "one").has(one["router-2"])
    assert copies(world, "other").has(other["router-2"])
    refused = mangaops("gateway", "prune", *place(world), "--name", "two")
    assert refused.code == 2
    assert "accepted: one, other" in refused.err


def test_old_logs_go_where_days_are_given_and_no_journal_does(world: GatewayWorld, mangaops) -> None:
    today = datetime.now(UTC).date()
    old = [logged(world, str(today - timedelta(days=DAYS + 1)), kind) for kind in ("requests", "shadow")]
    young = logged(world, str(today - timedelta(days=DAYS - 1)))
    segment = world.home / "gateway" / "gateway" / "journal" / "requests" / "1.open"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"rows")
    assert json.loads(mangaops("gateway", "prune", *place(world), "--json").out)["logs"] == []
    dry = mangaops("gateway", "prune", *place(world), "--older-than", str(DAYS), "--dry-run")
    assert "2 log files from before" in dry.out
    assert all(each.exists() for each in old)
    ended = mangaops("gateway", "prune", *place(world), "--older-than", str(DAYS), "--json")
    told = json.loads(ended.out)
    assert told["logs"] == [each.relative_to(world.home).as_posix() for each in old]
    assert told["kept_for"] is None
    assert [each.exists() for each in (*old, young, segment)] == [False, False, True, True]
    assert mangaops("gateway", "prune", *place(world), "--older-than", "0").code == 2


@pytest.mark.parametrize("runs", [True, False])
def test_logs_stay_from_the_day_on_which_a_shadow_began_that_still_runs(
    world: GatewayWorld, runs: bool
) -> None:
    release = world.shadow_next()
    if not runs:
        world.end_shadow()
    began = datetime.now(UTC)
    watched, before = (logged(world, str((began - timedelta(days=ago)).date())) for ago in (0, 1))
    desk = replace(world.shop.desk, clock=lambda: began + timedelta(days=3 * DAYS))
    shop = replace(world.shop, desk=desk)
    told = prune(shop, world.home, name=None, older_than=DAYS, dry_run=False)
    assert not before.exists()
    assert watched.exists() == runs
    assert (f"{release}, in shadow since" in (told["kept_for"] or "")) == runs
    assert UNIT in release
