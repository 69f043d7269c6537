"""Register, promote, roll back, reopen: what each demands, and what it leaves in the ledger."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import pytest
from desk_world import (
    GATE_LIST,
    WHY,
    Rigged,
    World,
    golden_rows,
    make_snapshot,
    make_world,
    prove_by_seal,
    sealed_folder,
    stack,
)

from mangaops.errors import (
    ArtifactTampered,
    IllegalMove,
    IntegrityError,
    MangaopsError,
    RefusedError,
    RevisionConflict,
    UsageError,
)
from mangaops.inference import Answer
from mangaops.release import checks, evaluate, judge, latency, register, shadow
from mangaops.release.bootstrap import require_unserved
from mangaops.release.desk import state
from mangaops.release.explain import explain
from mangaops.release.promote import promote
from mangaops.release.reopen import reopen
from mangaops.release.report import release_report
from mangaops.release.rollback import roll_back
from mangaops.vocabulary import Because, Digest, Outcome, Side, State

BETTER = evaluate.Pair(Rigged("champion", 0.1), Rigged("better", 0.02))


def ready(world: World) -> str:
    """A challenger with a stored PROMOTE that nobody has acted on."""
    release = world.candidate()
    world.measure_offline(release, BETTER)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    world.shadowed(release, BETTER)
    world.judged(release)
    return release


def spoil(world: World, model: str) -> None:
    artifact = state(world.desk, "router").models[model].artifact
    file = world.desk.artifacts.open(artifact) / "model.onnx"
    file.chmod(0o644)
    file.write_text("tampered")


def promoted(world: World, release: str, **options: object) -> None:
    promote(world.desk, "router", release, prove=prove_by_seal(world.desk), reason=WHY, **options)


def test_the_same_artifacts_are_the_same_release(world: World, tmp_path) -> None:
    release = world.candidate()
    before = state(world.desk, "router").revision
    again = register.register_release(
        world.desk, "router", {"intent-classifier": "v1"}, because=Because.MANUAL, reason=WHY
    )
    assert again == release
    assert state(world.desk, "router").revision == before


def test_the_same_artifact_keeps_its_version(world: World, tmp_path) -> None:
    folder = sealed_folder(tmp_path / "one", "same")
    first, second = world.candidate(folder=folder), world.candidate(folder=folder)
    assert first == second
    assert list(state(world.desk, "router").models) == ["intent-classifier@v1"]


def test_a_newer_challenger_withdraws_the_open_one(served: World) -> None:
    older, newer = served.candidate(), served.candidate()
    now = state(served.desk, "router")
    assert now.releases[older].state == State.WITHDRAWN
    assert now.challenger == newer
    assert newer in now.releases[older].stands_because


def test_a_release_of_unknown_models_is_refused(served: World) -> None:
    with pytest.raises(UsageError):
        register.register_release(
            served.desk, "router", {"intent-classifier": "v99"}, because=Because.MANUAL, reason=WHY
        )


def test_a_dataset_version_is_recorded_once_with_its_golden_set(served: World) -> None:
    served.candidate()
    kinds = [str(event.kind) for event in served.desk.ledger.read("data/intent-data")]
    assert kinds == ["golden_frozen", "dataset_recorded"]


def test_a_promotion_needs_a_stored_promote(served: World) -> None:
    release = served.candidate()
    with pytest.raises(RefusedError) as caught:
        promoted(served, release)
    assert "release reopen" not in caught.value.next_step


def test_a_rejected_release_is_promoted_by_way_of_its_reopening(served: World) -> None:
    release, _ = served.run(Rigged("worse", 0.4))
    with pytest.raises(RefusedError) as caught:
        promoted(served, release)
    assert f"mangaops release reopen {release} --reason '...', then judge it again" in caught.value.next_step


def test_a_stored_promote_promotes(served: World) -> None:
    release = ready(served)
    promoted(served, release)
    assert state(served.desk, "router").champion == release


def test_evidence_that_is_newer_than_the_decision_stops_a_promotion(served: World) -> None:
    release = ready(served)
    served.measure_offline(release, BETTER)
    with pytest.raises(RefusedError) as caught:
        promoted(served, release)
    assert "latency was measured again" in caught.value.found


def test_a_gate_list_that_was_changed_since_the_decision_stops_a_promotion(served: World) -> None:
    release = ready(served)
    stricter = stack(GATE_LIST.replace("margin: 0.02", "margin: 0.001"))
    served.desk = replace(served.desk, stack=stricter)
    with pytest.raises(RefusedError) as caught:
        promoted(served, release)
    assert "gate list" in caught.value.found


def test_what_stack_yaml_says_beside_the_rules_counts_too(served: World) -> None:
    release = ready(served)
    first = served.judged(release)
    assert served.judged(release).digest == first.digest
    before = served.desk.stack
    unit = before.units["router"].model_copy(update={"fail_confidence": 0.99})
    served.desk = replace(served.desk, stack=replace(before, units={**before.units, "router": unit}))
    with pytest.raises(RefusedError) as caught:
        promoted(served, release)
    assert "stack.yaml says other things" in caught.value.found
    assert served.judged(release).digest != first.digest
    promoted(served, release)


def test_the_eight_artifacts_are_asked_for_whatever_the_gate_list_says(tmp_path) -> None:
    world = make_world(tmp_path, "      - {gate: latency, quantile: 0.95, below_ms: 1000}")
    world.bootstrapped()
    release = world.candidate()
    golden = world.snapshot.golden["text"].to_list()
    plan = latency.Plan(blocks=4, requests=25, warm_up=5)
    latency.time_pair(
        world.desk, "router", release, BETTER, golden, dataset=world.dataset, reason=WHY, plan=plan
    )
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    lacking = world.judged(release).decision
    assert lacking.outcome == Outcome.HOLD
    assert any("evaluation_report" in finding.says for finding in lacking.findings)
    with pytest.raises(RefusedError):
        promoted(world, release)
    world.measure_offline(release, BETTER)
    assert world.judged(release).outcome == Outcome.PROMOTE


def test_a_golden_set_that_was_frozen_anew_stops_decision_and_promotion(served: World) -> None:
    release = ready(served)
    grown = make_snapshot(1400, name="intent-data-2026-04-27")
    register.record_dataset(served.desk, "intent-data", grown, reason=WHY)
    for verb in (promoted, World.judged):
        with pytest.raises(RefusedError) as caught:
            verb(served, release)
        assert "frozen anew" in caught.value.found


def test_a_champion_that_does_not_load_stops_a_promotion(served: World) -> None:
    release = ready(served)
    spoil(served, "intent-classifier@v1")
    with pytest.raises(ArtifactTampered):
        promoted(served, release)
    assert state(served.desk, "router").champion == "router-1"


def test_a_release_that_does_not_load_is_not_promoted(served: World) -> None:
    release = ready(served)
    spoil(served, "intent-classifier@v2")
    with pytest.raises(ArtifactTampered):
        promoted(served, release)


def test_of_two_promotions_at_once_one_wins(served: World) -> None:
    release = ready(served)
    both_read = threading.Barrier(2, timeout=60)
    outcomes: list[object] = []

    def prove_together(permits: object) -> object:
        (permit,) = permits.values()
        if permit.version == "v1":  # the rollback pointer is proven last, after the state was read
            both_read.wait()
        return permit

    def attempt() -> None:
        try:
            outcomes.append(promote(served.desk, "router", release, prove=prove_together, reason=WHY))
        except MangaopsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(each, RevisionConflict) for each in outcomes) == [False, True]
    assert state(served.desk, "router").generation == 2


def test_an_edited_decision_promotes_nothing(served: World) -> None:
    release = ready(served)
    ref = state(served.desk, "router").releases[release].decisions[-1]
    path = served.desk.documents.path(ref.digest)
    path.chmod(0o644)
    path.write_text(path.read_text().replace(release, "router-7"))
    with pytest.raises(IntegrityError):
        promoted(served, release)


@pytest.mark.parametrize("releases", [0, 1])
def test_a_unit_that_never_had_a_champion_has_nothing_to_roll_back(world: World, releases: int) -> None:
    registered = [world.candidate() for _ in range(releases)]
    with pytest.raises(RefusedError, match="there is nothing to roll back") as refused:
        roll_back(world.desk, "router", prove=prove_by_seal(world.desk), reason=WHY)
    waiting = f"{registered[0]} is candidate" if registered else "no release is registered"
    assert refused.value.found == f"the fallback answers; {waiting}"
    assert refused.value.next_step == "mangaops release bootstrap router --reason '...' --logs FILE"


def test_a_unit_that_was_rolled_back_to_its_fallback_is_told_to_reopen(world: World) -> None:
    world.bootstrapped()
    roll_back(world.desk, "router", prove=prove_by_seal(world.desk), reason=WHY)
    with pytest.raises(RefusedError, match="it has no champion") as refused:
        roll_back(world.desk, "router", prove=prove_by_seal(world.desk), reason=WHY)
    assert "mangaops release reopen RELEASE" in refused.value.next_step


def test_a_rollback_serves_the_champion_of_before(served: World) -> None:
    release, _ = served.run(Rigged("better", 0.02))
    done = roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    now = state(served.desk, "router")
    assert (done.left, done.to) == (release, "router-1")
    assert (now.champion, now.generation) == ("router-1", 3)
    assert now.releases[release].state == State.ROLLED_BACK


def test_a_rollback_works_when_the_champion_is_corrupt(served: World) -> None:
    served.run(Rigged("better", 0.02))
    spoil(served, "intent-classifier@v2")
    assert (
        roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="corrupt").to == "router-1"
    )


def test_a_rollback_to_what_does_not_load_is_refused_and_an_older_pointer_serves(served: World) -> None:
    served.run(Rigged("better", 0.02))
    spoil(served, "intent-classifier@v1")
    with pytest.raises(ArtifactTampered):
        roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    done = roll_back(
        served.desk,
        "router",
        prove=prove_by_seal(served.desk),
        reason="all else fails",
        to="fallback:offer_human",
    )
    assert done.to == "fallback:offer_human"
    assert state(served.desk, "router").champion is None


def test_a_first_champion_rolls_back_to_the_fallback_and_then_no_further(served: World) -> None:
    done = roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    assert done.to == "fallback:offer_human"
    with pytest.raises(RefusedError):
        roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="again")


BASELINE = Rigged("plain baseline", 0.4, "plain")


def test_a_bootstrap_is_for_units_without_a_champion(world: World) -> None:
    require_unserved(world.desk, "router")
    world.bootstrapped()
    with pytest.raises(RefusedError, match="mangaops release run router"):
        require_unserved(world.desk, "router")
    roll_back(world.desk, "router", prove=prove_by_seal(world.desk), reason="complaints")
    require_unserved(world.desk, "router")


def rolled_back_and_reopened(served: World) -> str:
    first = str(state(served.desk, "router").champion)
    roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    reopen(served.desk, "router", first, reason="the complaints were about the site")
    return first


def test_a_first_champion_that_was_rolled_back_comes_back_as_it_came(served: World) -> None:
    """By the rules of a bootstrap, on the evidence that it has: it is compared with the same baseline."""
    first = rolled_back_and_reopened(served)
    before = state(served.desk, "router").releases[first].evidence
    assert judge.judge_offline(served.desk, "router", first, dataset=served.dataset, reason=WHY) is None
    judged = served.judged(first, traffic=False)
    acted = served.act(first, judged)
    now = state(served.desk, "router")
    assert [finding.gate for finding in judged.decision.findings] == ["release_record", "at_least"]
    assert (acted.champion, now.rollback, now.generation) == (first, ("fallback:offer_human",), 3)
    assert now.releases[first].evidence == before


def test_a_first_champion_that_lost_since_does_not_come_back(served: World) -> None:
    first = rolled_back_and_reopened(served)
    served.measure_offline(first, evaluate.Pair(BASELINE, Rigged("spoiled", 0.7)))
    refused = judge.judge_offline(served.desk, "router", first, dataset=served.dataset, reason=WHY)
    assert refused is not None
    assert served.act(first, refused).outcome == Outcome.REJECT
    told = explain(served.desk, "router", first)
    assert "and the fallback answers as before: at_least" in told.sentence
    assert told.baseline == "the plain baseline"
    page = release_report(served.desk, "router", first)
    assert "No champion to compare with." in page
    assert "mangaops release run" not in told.text + page


@pytest.mark.parametrize(("error", "outcome"), [(0.02, Outcome.PROMOTE), (0.7, Outcome.REJECT)])
def test_after_the_fallback_a_newer_release_is_judged_as_a_first_one(
    served: World, error: float, outcome: Outcome
) -> None:
    roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    release, acted = served.run(Rigged("newer", error), BASELINE)
    assert acted.outcome == outcome
    assert acted.champion == (release if outcome == Outcome.PROMOTE else None)
    verdicts = state(served.desk, "router").releases[release].decisions[-1].verdicts
    assert set(verdicts) == {"release_record", "at_least"}


def test_a_first_champion_that_is_reopened_beside_another_is_judged_by_the_full_list(served: World) -> None:
    """What it is compared with is its opponent now, whatever it was judged by before."""
    first = str(state(served.desk, "router").champion)
    roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    served.run(Rigged("newer", 0.1), BASELINE)
    reopen(served.desk, "router", first, reason="the complaints were about the site")
    verdicts = served.judged(first).decision.verdicts
    assert "disagreement" in verdicts
    assert "at_least" not in verdicts


def test_a_bootstrap_under_its_absolute_gate_is_not_promoted(tmp_path) -> None:
    world = make_world(tmp_path)
    pair = evaluate.Pair(Rigged("plain baseline", 0.4, "plain"), Rigged("v1", 0.7))
    release = world.candidate()
    world.measure_offline(release, pair)
    assert judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY) is not None
    assert state(world.desk, "router").champion is None
    with pytest.raises(RefusedError) as caught:
        promoted(world, release)
    assert "judge it again: mangaops release bootstrap router" in caught.value.next_step


def test_a_rejected_release_may_be_reopened_and_its_old_decision_is_void(served: World) -> None:
    release, _ = served.run(Rigged("worse", 0.4))
    reopen(served.desk, "router", release, reason="the labels were wrong")
    now = state(served.desk, "router").releases[release]
    assert now.state == State.CANDIDATE
    assert now.stands_because == "the labels were wrong"
    with pytest.raises(IllegalMove):
        reopen(served.desk, "router", release, reason="twice")


def test_evidence_against_another_champion_is_stale(served: World) -> None:
    held = evaluate.Pair(Rigged("champion", 0.1), Rigged("other", 0.1, "other"))
    release = served.candidate()
    served.measure_offline(release, held)
    judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    findings = served.judged(release).decision.findings
    assert any("stale" in finding.says and "baseline" in finding.says for finding in findings)


@dataclass
class Moving(Rigged):
    """Answers as the champion does; when it is first asked, somebody rolls back."""

    world: World | None = None

    def answer(self, text: str) -> Answer:
        if self.world is not None:
            world, self.world = self.world, None
            roll_back(world.desk, "router", prove=prove_by_seal(world.desk), reason="complaints")
        return super().answer(text)


def measured_while_it_moves(world: World, verb: str, against: Digest | None) -> None:
    """One measurement of the open challenger, during which the champion changes."""
    desk, release = world.desk, str(state(world.desk, "router").challenger)
    pair = evaluate.Pair(Moving("moving", 0.1, world=world), Rigged("other", 0.1, "other"), against)
    if verb == "evaluation":
        evaluate.evaluate(desk, "router", release, pair, golden_rows(world.snapshot), reason=WHY)
    elif verb == "latency":
        plan = latency.Plan(blocks=2, requests=5, warm_up=1)
        texts = ["faq please"]
        latency.time_pair(desk, "router", release, pair, texts, dataset=world.dataset, reason=WHY, plan=plan)
    elif verb == "shadow":
        shadow.replay(desk, "router", release, pair, world.traffic, reason=WHY)
    else:
        sides = dict.fromkeys(Side, world.snapshot)
        checks.check_leakage(desk, "router", release, world.snapshot, sides, reason=WHY, against=against)


@pytest.mark.parametrize("verb", ["evaluation", "latency", "shadow"])
def test_a_champion_that_changes_while_it_is_measured_leaves_no_evidence(served: World, verb: str) -> None:
    served.run(Rigged("better", 0.02))
    release = served.candidate()
    before = len(state(served.desk, "router").releases[release].evidence)
    with pytest.raises(RevisionConflict) as refused:
        measured_while_it_moves(served, verb, None)
    assert "router-1" in refused.value.found
    assert len(state(served.desk, "router").releases[release].evidence) == before


@pytest.mark.parametrize("verb", ["evaluation", "latency", "shadow", "leakage"])
def test_a_champion_that_changed_before_is_not_taken_for_the_one_that_is_measured(
    served: World, verb: str
) -> None:
    """Models and rows of one champion stay loaded for a whole run; evidence of them names no other."""
    served.run(Rigged("better", 0.02))
    release = served.candidate()
    champion = state(served.desk, "router").releases["router-2"].digest
    roll_back(served.desk, "router", prove=prove_by_seal(served.desk), reason="complaints")
    with pytest.raises(RevisionConflict):
        measured_while_it_moves(served, verb, champion)
    assert not state(served.desk, "router").releases[release].evidence


def test_who_acts_stands_in_the_ledger(served: World) -> None:
    kenji = replace(served.desk, actor="kenji")
    roll_back(kenji, "router", prove=prove_by_seal(kenji), reason="on call")
    event = served.desk.ledger.read("router")[-1]
    assert (event.actor, event.reason) == ("kenji", "on call")
