"""Whole runs: what is decided, what is written down, and what a repetition does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Told, World, copied, make_world
from mangaops.errors import LeaseHeld, NotReviewable, RefusedError, RevisionConflict, UsageError
from mangaops.pipeline import verbs, views
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import drafts
from mangaops.release.desk import append, state
from mangaops.vocabulary import EventKind, EvidenceKind, Family, Outcome, RecordPart, State

pytestmark = pytest.mark.xdist_group("pipeline")


class Stopped(BaseException):
    """Ends a run as a kill does: nothing of the run is written after it."""


def stop_at(world: World, shop: Workshop, step: str, *names: str, **options: object) -> None:
    """The run is killed when it comes to a step."""

    def announce(at: str, _what: str) -> None:
        if at == step:
            raise Stopped

    with pytest.raises(Stopped):
        world.run(shop, *names, announce=announce, **options)


def undecided(world: World, shop: Workshop) -> str:
    """A release that was registered and never measured."""
    stop_at(world, shop, "router/leakage", "first", "second")
    return str(state(shop.desk, "router").challenger)


def test_a_bootstrap_makes_the_first_champion(told: Told) -> None:
    assert told.first.outcome == Outcome.PROMOTE, told.first.says
    assert (told.first.champion, told.first.rollback_pointer) == ("router-1", "fallback:offer_human")


def test_a_weekly_run_promotes_with_all_eight_artifacts(told: Told) -> None:
    assert told.second.outcome == Outcome.PROMOTE, told.second.says
    assert (told.second.champion, told.second.rollback_pointer) == ("router-2", "router-1")
    shop = told.world.workshop()
    ref = views.find_release(shop, "router-2").release.latest(EvidenceKind.RECORD)
    assert ref is not None
    parts = shop.desk.evidence.get(ref.digest).facts["parts"]
    assert set(parts) == set(RecordPart)
    assert all(parts.values())


def test_the_record_has_the_six_fields_with_measured_metrics(told: Told) -> None:
    record = views.find_record(told.world.workshop(), "intent-classifier@v2")
    assert list(record) == [
        "model_name",
        "version",
        "dataset_version",
        "training_code_sha",
        "metrics",
        "status",
    ]
    assert {"accuracy", "rare_accuracy", "p95_latency_ms"} <= set(record["metrics"])
    assert record["status"] == "champion"


def test_every_event_has_an_actor_and_a_reason(told: Told) -> None:
    events = views.log(told.world.workshop(), None)
    assert events
    assert all(event["actor"] and event["reason"] for event in events)


def test_the_ledger_is_whole_and_its_heads_can_be_witnessed(told: Told) -> None:
    shop = told.world.workshop()
    audit = views.audit(shop, ())
    assert audit["problems"] == []
    assert views.audit(shop, tuple(audit["heads"]))["problems"] == []


def test_reports_are_written(told: Told) -> None:
    for result in (told.first, told.second):
        assert "<html" in Path(result.files["report"]).read_text(encoding="utf-8")


def test_a_repeated_run_measures_trains_and_decides_nothing_twice(told: Told) -> None:
    shop = told.world.workshop()
    before = views.log(shop, None)
    again = told.world.run(
        shop,
        "first",
        "second",
        traffic=told.world.source("traffic"),
        truth=str(told.world.folder / "truth.parquet"),
    )
    new = views.log(shop, None)[len(before) :]
    assert {event["kind"] for event in new} == {EventKind.RUN_STARTED, EventKind.RUN_FINISHED}
    assert (again.outcome, again.release) == (Outcome.PROMOTE, "router-2")


def test_a_second_bootstrap_is_refused(told: Told) -> None:
    with pytest.raises(RefusedError, match="has a champion"):
        told.world.run(told.world.workshop(), "first", bootstrap=True)


def test_of_two_runs_at_once_one_is_told(told: Told) -> None:
    first, second = told.world.workshop("one"), told.world.workshop("two")
    with first.leases.hold("run/router", owner="one"), pytest.raises(LeaseHeld, match="one"):
        told.world.run(second, "first", "second")


def test_a_run_without_a_champion_names_the_bootstrap(tmp_path, base) -> None:
    world = make_world(tmp_path / "w", base)
    with pytest.raises(UsageError) as refused:
        world.run(world.workshop(), "first")
    assert "release bootstrap router" in refused.value.next_step


def test_hidden_labels_are_refused_in_a_real_stack(tmp_path, base) -> None:
    world = make_world(tmp_path / "w", base, simulated=False)
    with pytest.raises(NotReviewable, match="real stack"):
        world.run(world.workshop(), "first", truth=str(world.folder / "truth.parquet"))


def test_a_spoiled_candidate_is_rejected_and_the_champion_stays_and_rolls_back(tmp_path, base) -> None:
    world = make_world(tmp_path / "w", base)
    world.run(world.workshop(), "first", bootstrap=True)
    shop = world.workshop()
    spoiled = world.run(shop, "spoiled")
    assert spoiled.outcome == Outcome.REJECT
    assert spoiled.champion == "router-1"
    assert "escalation" in Path(spoiled.files["error review, Markdown"]).read_text(encoding="utf-8")
    again = world.run(shop, "spoiled")
    assert (again.outcome, again.release) == (Outcome.REJECT, spoiled.release)
    back = verbs.roll_back(shop, "router", reason="a test")
    assert back["to"] == "fallback:offer_human"
    assert views.releases(shop, "router")["champion"] is None


def test_a_release_that_was_rolled_back_is_no_promotion_again(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    shop = world.workshop()
    window = {"traffic": world.source("traffic"), "truth": str(world.folder / "truth.parquet")}
    serving = world.run(shop, "first", "second", **window)
    assert (serving.outcome, serving.state) == (Outcome.PROMOTE, State.CHAMPION)
    verbs.roll_back(shop, "router", reason="a test")
    left = world.run(shop, "first", "second", **window)
    assert (left.outcome, left.state) == (Outcome.REJECT, State.ROLLED_BACK)
    assert "release reopen router-2" in left.says


def test_a_rollback_during_a_run_stops_it_and_the_next_run_measures_anew(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    shop, on_call = world.workshop(), world.workshop(actor="on-call")

    def announce(step: str, _what: str) -> None:
        if step == "router/leakage" and state(shop.desk, "router").champion == "router-2":
            verbs.roll_back(on_call, "router", reason="complaints")

    with pytest.raises(RevisionConflict, match="the champion changed"):
        world.run(shop, "spoiled", announce=announce)
    champion = state(shop.desk, "router").releases["router-1"].digest
    open_ = str(state(shop.desk, "router").challenger)
    before = state(shop.desk, "router").releases[open_].evidence
    assert champion not in [ref.binding["baseline"] for ref in before]
    ended = world.run(shop, "spoiled", announce=announce)
    after = state(shop.desk, "router").releases[ended.release].evidence[len(before) :]
    assert ended.outcome == Outcome.REJECT
    assert {ref.binding["baseline"] for ref in after} == {champion}
    assert {ref.kind for ref in after} >= {EvidenceKind.LEAKAGE, EvidenceKind.EVALUATION}


def test_a_release_that_was_withdrawn_before_it_was_judged_names_the_reopening(
    told: Told, tmp_path: Path
) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    shop = world.workshop()
    release = undecided(world, shop)
    append(
        shop.desk,
        [drafts.withdrawn("router", release=release, reason="expired", actor="tester")],
        expect={"router": state(shop.desk, "router").revision},
    )
    with pytest.raises(RefusedError) as refused:
        world.run(shop, "first", "second")
    assert f"release reopen {release}" in refused.value.next_step
    assert [run.outcome for run in state(shop.desk, "router").runs.values()][-1] == "failed"


def test_a_run_that_fails_in_an_unknown_way_is_failed_in_the_ledger(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path, "home-bootstrapped")
    shop = world.workshop()

    def broken(*_given: object) -> object:
        raise ZeroDivisionError("a fault of the recipe")

    with pytest.raises(ZeroDivisionError):
        world.run(replace(shop, recipes={Family.INTENT_CLASSIFIER: broken}), "second")
    assert [run.outcome for run in state(shop.desk, "router").runs.values()] == ["PROMOTE", "failed"]
