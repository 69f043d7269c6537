"""PROMOTE, REJECT and HOLD, from candidate to what is in the ledger and in the documents."""

from __future__ import annotations

from desk_world import Rigged, World, truth_of

from mangaops.gates import Decision
from mangaops.registry import record
from mangaops.release import evaluate, judge, latency, review, shadow
from mangaops.release.desk import binding, record_evidence, state
from mangaops.release.judge import Judged
from mangaops.release.standing import read_decision
from mangaops.vocabulary import Outcome, State
from ranking_rows import searched


def test_a_first_champion_gets_the_fallback_as_rollback_pointer(world: World) -> None:
    release = world.bootstrapped()
    now = state(world.desk, "router")
    assert (now.champion, now.rollback, now.generation) == (release, ("fallback:offer_human",), 1)


def test_a_better_challenger_is_promoted_and_the_champion_becomes_the_way_back(served: World) -> None:
    release, acted = served.run(Rigged("better", 0.02))
    now = state(served.desk, "router")
    assert acted.outcome == Outcome.PROMOTE
    assert (now.champion, now.rollback[-1]) == (release, "router-1")
    assert now.releases["router-1"].state == State.RETIRED
    assert acted.error_review is None


def test_a_worse_challenger_is_rejected_with_an_error_review(served: World) -> None:
    release, acted = served.run(Rigged("worse", 0.4))
    now = state(served.desk, "router")
    assert acted.outcome == Outcome.REJECT
    assert now.champion == "router-1"
    assert now.releases[release].state == State.REJECTED
    assert len(now.releases[release].error_reviews) == 1
    assert acted.error_review is not None
    assert "non\\_inferior" in acted.error_review.markdown


def test_an_unreviewed_challenger_is_held_and_told_its_price(world: World) -> None:
    release, judged = held(world)
    acted = world.act(release, judged)
    assert acted.outcome == Outcome.HOLD
    assert acted.error_review is not None
    assert "a review of the disagreements" in acted.error_review.markdown.replace("\\", "")
    assert state(world.desk, "router").champion == "router-1"


OTHER = evaluate.Pair(Rigged("champion", 0.1), Rigged("other", 0.1, "other"))


def held(world: World) -> tuple[str, Judged]:
    """A challenger that was judged while its disagreements wait for people."""
    world.bootstrapped()
    release = world.candidate()
    world.measure_offline(release, OTHER)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason="weekly")
    shadow.replay(world.desk, "router", release, OTHER, world.traffic, reason="weekly")
    return release, world.judged(release)


def test_the_registry_record_shows_what_was_measured(served: World) -> None:
    shown = record(state(served.desk, "router"), "intent-classifier@v1")
    assert set(shown) == {
        "model_name",
        "version",
        "dataset_version",
        "training_code_sha",
        "metrics",
        "status",
    }
    assert {"accuracy", "rare_accuracy", "p95_latency_ms"} <= set(shown["metrics"])
    assert 0.85 < shown["metrics"]["accuracy"] < 0.95
    assert shown["status"] == "champion"


def test_every_event_names_who_and_why(served: World) -> None:
    served.run(Rigged("worse", 0.4))
    events = served.desk.ledger.read("router")
    assert all(event.actor and event.reason for event in events)
    assert {event.actor for event in events} >= {"mei"}


def test_judging_the_same_evidence_again_is_no_new_look(world: World) -> None:
    release, first = held(world)
    again = world.judged(release)
    decisions = state(world.desk, "router").releases[release].decisions
    assert again.digest == first.digest
    assert [ref.look for ref in decisions] == [1]


def test_what_brings_no_new_label_is_no_look(world: World) -> None:
    release, _ = held(world)
    plan = latency.Plan(blocks=2, requests=10, warm_up=0)
    texts = ["faq please"]
    latency.time_pair(
        world.desk, "router", release, OTHER, texts, dataset=world.dataset, reason="again", plan=plan
    )
    assert world.judged(release).decision.look == 1
    _reviewed(world, release, error=0.0)
    assert world.judged(release).decision.look == 1


def test_each_timing_that_was_judged_counts_for_the_rule_on_time(world: World) -> None:
    release, _ = held(world)
    plan = latency.Plan(blocks=2, requests=10, warm_up=0)
    for number in (2, 3):
        latency.time_pair(
            world.desk, "router", release, OTHER, ["faq"], dataset=world.dataset, reason="again", plan=plan
        )
        now = state(world.desk, "router")
        case = judge.build_case(
            world.desk, now, now.releases[release], dataset=world.dataset, traffic=world.traffic.digest
        )
        assert (case.timing, case.look) == (number, 1)
        world.judged(release)


def test_other_reviewed_labels_are_a_new_look(world: World) -> None:
    release, _ = held(world)
    _reviewed(world, release, error=0.0)
    assert world.judged(release).decision.look == 1
    _reviewed(world, release, error=0.3)
    assert world.judged(release).decision.look == 2


def test_other_grades_of_items_are_a_new_look(world: World) -> None:
    """And the evidence is read back from the store as it was written."""
    release, _ = held(world)
    bound = binding(world.desk, "router", release, world.dataset)
    for look, grade in enumerate((1.0, 2.0), start=1):
        lists = searched({"q": ["a", "b"]}, {"q": ["b"]}, {"q": {"a": grade}}, binding=bound)
        record_evidence(world.desk, "router", release, lists, reason="judged")
        judged = world.judged(release).decision
        assert judged.evidence["ranking"] == lists.digest == world.desk.evidence.get(lists.digest).digest
        assert judged.look == look


def test_an_import_of_some_answers_is_no_look(world: World) -> None:
    release, _ = held(world)
    name = review.open_review(world.desk, "router", release, seed=1, reason="weekly")
    exported = review.export_review(world.desk, "router", name).decode().splitlines()
    for filled in (3, 5, 7):
        rows = [line + "unclear" if 0 < n <= filled else line for n, line in enumerate(exported)]
        content = "\n".join(rows).encode()
        review.import_answers(world.desk, "router", name, content, reason="some")
        assert world.judged(release).decision.look == 1
    _reviewed(world, release, error=0.0)
    assert world.judged(release).decision.look == 1


def test_the_review_that_was_opened_last_is_the_one_that_counts(world: World) -> None:
    release, _ = held(world)
    _reviewed(world, release, error=1.0)
    assert any("planted items" in finding.says for finding in world.judged(release).decision.findings)
    again = review.open_review(world.desk, "router", release, seed=2, reason="the first was careless")
    assert review.open_review(world.desk, "router", release, reason="a run asks without a seed") == again
    waits = world.judged(release).decision
    assert not any("planted items" in finding.says for finding in waits.findings)
    truth = truth_of(world.traffic)
    answered = review.answer_by_truth(world.desk, "router", again, truth, reason="weekly")
    assert world.judged(release).decision.evidence["review"] == answered.digest


def test_a_rejection_that_was_cut_short_is_decided_once(served: World) -> None:
    release = served.candidate()
    served.measure_offline(release, evaluate.Pair(Rigged("champion", 0.1), Rigged("worse", 0.4)))
    cut = judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason="weekly")
    again = judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason="weekly")
    assert cut is not None
    assert again is not None
    assert again.digest == cut.digest
    assert len(state(served.desk, "router").releases[release].decisions) == 1
    served.act(release, again)
    assert state(served.desk, "router").releases[release].state == State.REJECTED


def _reviewed(world: World, release: str, *, error: float) -> None:
    name = review.open_review(world.desk, "router", release, seed=1, reason="weekly")
    truth = truth_of(world.traffic)
    review.answer_by_truth(world.desk, "router", name, truth, reason="weekly", error=error)


def test_acting_twice_on_one_decision_stands_once(served: World) -> None:
    release, acted = served.run(Rigged("worse", 0.4))
    before = len(served.desk.ledger.read("router"))
    again = served.act(release, _newest(served, release))
    assert len(served.desk.ledger.read("router")) == before
    assert again.outcome == acted.outcome


def _newest(world: World, release: str) -> Judged:
    ref = state(world.desk, "router").releases[release].decisions[-1]
    decision = Decision.from_dict(read_decision(world.desk, ref.digest)["decision"])
    return Judged(decision.outcome, ref.digest, decision)
