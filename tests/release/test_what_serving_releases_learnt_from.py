"""Which snapshots a grown golden set must share nothing with."""

from __future__ import annotations

from types import SimpleNamespace

from desk_world import Rigged, World, make_snapshot

from mangaops.pipeline.dataset_run import trained_on


def learnt(world: World) -> list[str]:
    return [version.name for version in trained_on(SimpleNamespace(desk=world.desk), "intent-data")]


def test_those_of_champion_and_rollback_pointer_and_no_others(world: World) -> None:
    assert learnt(world) == []
    world.bootstrapped()
    assert learnt(world) == ["intent-data-2026-04-20"]
    world.snapshot = make_snapshot(1300, name="intent-data-2026-04-27")
    world.run(Rigged("better", 0.02))
    both = ["intent-data-2026-04-20", "intent-data-2026-04-27"]
    assert learnt(world) == both
    world.snapshot = make_snapshot(1400, name="intent-data-2026-05-04")
    world.run(Rigged("worse", 0.6))
    assert learnt(world) == both
