"""A live shadow counts what the gateways logged of exactly this pair, and freezes it as a replay would."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from desk_world import GATE_LIST, WHY, Rigged, World, make_world, prove_by_seal, stack
from gateway_logs import GatewayLogs

from mangaops.errors import InputError, IntegrityError, LeaseHeld, RefusedError, RevisionConflict, UsageError
from mangaops.evidence import Evidence
from mangaops.gates import asked_of_shadow
from mangaops.pipeline.bench import Bench, measure_live
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import drafts
from mangaops.release import evaluate, judge, live, review
from mangaops.release.answer_forms import LABELS
from mangaops.release.desk import state
from mangaops.release.live_logs import LiveLogs, answered
from mangaops.release.live_numbers import dropped, gaps
from mangaops.release.report import release_report
from mangaops.release.rollback import roll_back
from mangaops.store import Journal, Leases
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import SHADOW_WORKER, EvidenceKind, Outcome, State, Verdict

HARD = GATE_LIST.replace("review_over: 0.02", "review_over: 0.02, hard_limit: 0.1")
NOW = datetime(2026, 4, 21, 12, tzinfo=UTC)


class Waited(Exception):
    """The logs were asked again, and the test has no more to log."""


@dataclass
class Shadowed:
    """A challenger beside router-1, the logs of their gateway, and a run that waits for them."""

    world: World
    logs: GatewayLogs
    release: str = "router-2"

    def measure(
        self,
        *later: Callable[[], Any],
        run: str = "run-1",
        again: frozenset[EvidenceKind] = frozenset(),
        check: Callable[[], None] = lambda: None,
        progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
    ) -> Evidence:
        """The evidence; each time that the run waits, the next of `later` happens."""
        happens = iter(later)

        def pause(_seconds: float) -> None:
            next(happens, _nothing_left)()

        desk = self.world.desk
        shop = Workshop(
            desk=desk,
            journal=Journal(desk.ledger),
            leases=Leases(desk.ledger),
            recipes={},
            baseline=lambda *_given: Rigged("plain"),
            lexical=lexical,
            reports=self.world.folder,
            staging=self.world.folder,
            kept=self.world.folder,
            folder=self.world.folder,
            seconds=itertools.count().__next__,
            files=str(self.logs.root),
            pause=pause,
        )
        steps = Steps(shop.journal, run, shop.seconds, lambda _step, _what: None, check)
        bench = Bench(shop, steps, "router", self.release, self.world.snapshot, 0, again, WHY, progress)
        return measure_live(bench)

    def decided(self, evidence: Evidence) -> judge.Judged:
        self.world.traffic = _Bound(evidence.binding.dataset)
        return self.world.judged(self.release)


@dataclass
class _Bound:
    digest: str


def _nothing_left() -> None:
    raise Waited


def make(folder: Path, gates: str = GATE_LIST, **rigged: Any) -> Shadowed:
    world = make_world(folder, gates)
    world.bootstrapped()
    release = world.candidate()
    pair = evaluate.Pair(Rigged("champion", 0.1), Rigged("challenger", 0.1))
    world.measure_offline(release, pair)
    assert judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY) is None
    live.begin(world.desk, "router", release, reason=WHY)
    began = datetime.fromisoformat(state(world.desk, "router").releases[release].stands_since)
    world.desk = replace(world.desk, clock=lambda: NOW)
    return Shadowed(world, GatewayLogs(folder / "journal", folder, began + timedelta(seconds=1), **rigged))


@pytest.fixture
def shadowed(tmp_path: Path) -> Shadowed:
    return make(tmp_path)


def test_a_challenger_that_is_not_in_shadow_gets_there(world: World) -> None:
    world.bootstrapped()
    release = world.candidate()
    world.measure_offline(release, evaluate.Pair(Rigged("champion", 0.1), Rigged("challenger", 0.1)))
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    watched = live.begin(world.desk, "router", release, reason=WHY)
    assert state(world.desk, "router").releases[release].state == State.SHADOW
    assert live.begin(world.desk, "router", release, reason=WHY) == watched


def test_enough_requests_over_enough_hours_are_frozen_and_judged(shadowed: Shadowed) -> None:
    shadowed.logs.ours = Rigged("challenger", 0.1)
    evidence = shadowed.measure(
        lambda: shadowed.logs.serve(50),
        lambda: shadowed.logs.serve(49),
        lambda: shadowed.logs.serve(1),
    )
    answers, facts = evidence.tables["answers"], evidence.facts
    assert answers["request_id"].to_list() == [f"q{number:05}" for number in range(100)]
    assert (facts["mode"], facts["requests"], facts["coverage"], facts["hours"]) == ("live", 100, 1.0, 1.65)
    assert (facts["control_requests"], facts["control_disagreements"], facts["disagreements"]) == (10, 0, 0)
    assert answers["group"].n_unique() == 50
    assert answers["control_disagrees"].null_count() == 90
    assert set(answers["release_ms"]) == {4.0}
    assert shadowed.decided(evidence).outcome == Outcome.PROMOTE


def test_a_review_of_a_live_shadow_stays_valid_when_the_run_comes_back(tmp_path: Path) -> None:
    shadowed = make(tmp_path, ours=Rigged("challenger", 0.1, "another"))
    shadowed.logs.serve(400)
    evidence = shadowed.measure()
    assert evidence.facts["disagreements"] > 40
    desk = shadowed.world.desk
    opened = review.open_review(desk, "router", shadowed.release, shadow=evidence.digest, seed=1, reason=WHY)
    assert shadowed.decided(evidence).outcome == Outcome.HOLD
    truth = {row["request_id"]: row["text"].split()[0] for row in evidence.tables["answers"].to_dicts()}
    review.answer_by_truth(desk, "router", opened, truth, reason=WHY)
    shadowed.logs.serve(200)
    assert shadowed.measure(run="run-2").digest == evidence.digest
    (finding,) = [f for f in shadowed.decided(evidence).decision.findings if "shadow_review" in f.subject]
    assert finding.verdict != Verdict.ERROR
    anew = shadowed.measure(run="run-3", again=frozenset({EvidenceKind.SHADOW}))
    assert anew.facts["requests"] == 600


def test_only_this_pair_counts(shadowed: Shadowed) -> None:
    shadowed.logs.serve(100, challenger="router-9")
    shadowed.logs.serve(100, release="router-0")
    shadowed.logs.generation = 7
    shadowed.logs.serve(100)
    shadowed.logs.generation = 1
    shadowed.logs.serve(50, mirror="off")
    shadowed.logs.serve(50, mirror="out")
    with pytest.raises(Waited):
        shadowed.measure()
    shadowed.logs.serve(120)
    assert shadowed.measure().facts["requests"] == 120


def test_what_was_logged_before_the_shadow_began_does_not_count(shadowed: Shadowed) -> None:
    shadowed.logs.start -= timedelta(days=1)
    shadowed.logs.serve(200)
    with pytest.raises(Waited):
        shadowed.measure()


def test_what_was_shed_failed_or_got_lost_lowers_coverage_and_is_told_by_reason(shadowed: Shadowed) -> None:
    logs = shadowed.logs
    logs.serve(5, mirror="shed_down")
    logs.serve(90)
    logs.serve(10, mirror="shed_queue")
    logs.serve(4, mirror="shed_rate")
    logs.serve(6, error="timeout")
    logs.serve(3, lost=True)
    logs.serve(7, hidden=True)
    logs.serve(3)
    evidence = shadowed.measure()
    facts = evidence.facts
    assert facts["requests"] == 123, "from the first request that reached the challenger"
    assert facts["coverage"] == round(100 / 123, 6)
    assert facts["shed"] == {"shed_queue": 10, "shed_rate": 4}
    assert facts["errors"] == {"lost": 3, "timeout": 6}
    assert evidence.tables["unanswered"].height == 23
    (finding,) = [f for f in shadowed.decided(evidence).decision.findings if f.gate == "disagreement"]
    assert finding.verdict == Verdict.INCONCLUSIVE
    assert "a coverage of 95% (it is 81.3%)" in finding.says
    report = release_report(shadowed.world.desk, "router", shadowed.release)
    assert "lost 3, shed_queue 10, shed_rate 4, timeout 6" in report
    assert "0 of 10 asked twice" in report


def test_a_shadow_answer_that_may_still_come_is_waited_for_and_a_lost_one_is_not(shadowed: Shadowed) -> None:
    logs = shadowed.logs
    logs.serve(120)
    logs.serve(1, lost=True)
    logs.serve(10)
    late = logs.start + timedelta(minutes=120)
    shadowed.world.desk = replace(shadowed.world.desk, clock=lambda: late + timedelta(seconds=80))
    assert shadowed.measure().facts["requests"] == 120
    shadowed.world.desk = replace(shadowed.world.desk, clock=lambda: late + timedelta(minutes=20))
    again = shadowed.measure(run="run-2", again=frozenset({EvidenceKind.SHADOW}))
    assert (again.facts["requests"], again.facts["errors"]) == (131, {"lost": 1})


def test_a_challenger_that_answers_too_little_is_not_waited_for_without_end(shadowed: Shadowed) -> None:
    shadowed.logs.serve(20)
    shadowed.logs.serve(179, error="timeout")
    with pytest.raises(Waited):
        shadowed.measure()
    evidence = shadowed.measure(lambda: shadowed.logs.serve(1, error="timeout"))
    assert evidence.facts["coverage"] == 0.1


def test_a_challenger_that_answers_nothing_is_told_and_no_window_is_kept(shadowed: Shadowed) -> None:
    shadowed.logs.serve(200, error="timeout")
    with pytest.raises(InputError, match="200 timeout"):
        shadowed.measure()
    shadowed.logs.serve(100)
    assert shadowed.measure(run="run-2").facts["requests"] == 300


def test_a_disagreement_proven_over_the_hard_limit_ends_the_wait(tmp_path: Path) -> None:
    shadowed = make(tmp_path, HARD, ours=Rigged("challenger", 0.6, "bad"))
    evidence = shadowed.measure(*[lambda: shadowed.logs.serve(10)] * 9)
    assert evidence.facts["stopped_early"]
    assert 10 <= evidence.facts["requests"] < 100
    (finding,) = [f for f in shadowed.decided(evidence).decision.findings if f.gate == "disagreement"]
    assert "hard limit of disagreement is proven" in release_report(
        shadowed.world.desk, "router", shadowed.release
    )
    assert finding.verdict == Verdict.FAIL, "what ended the wait is what the judge sees"


def test_a_disagreement_that_may_be_over_the_hard_limit_does_not_end_it(tmp_path: Path) -> None:
    shadowed = make(tmp_path, HARD, ours=Rigged("challenger", 0.03, "other"), theirs=Rigged("champion", 0.1))
    shadowed.logs.serve(60)
    with pytest.raises(Waited):
        shadowed.measure()


def test_without_a_hard_limit_nothing_ends_it_early(tmp_path: Path) -> None:
    shadowed = make(tmp_path, ours=Rigged("challenger", 0.9, "bad"))
    shadowed.logs.serve(60)
    with pytest.raises(Waited):
        shadowed.measure()


def test_what_the_rules_ask_of_a_shadow() -> None:
    unit = stack(HARD).units["router"]
    found = asked_of_shadow(unit.gates, unit)
    assert (found.requests, found.hours, found.hard_limit) == (100, 1.0, 0.1)
    assert 0.9 < found.level < 1.0
    more = stack(HARD.replace("hard_limit: 0.1", "hard_limit: 0.1, min_requests: 7, min_hours: 0")).units
    assert asked_of_shadow(more["router"].gates, unit).requests == 7
    dry = stack(HARD.replace("hard_limit: 0.1", "hard_limit: 0.1, dry_run: true")).units["router"]
    assert asked_of_shadow(dry.gates, dry).hard_limit is None


def test_a_run_that_was_stopped_goes_on_and_freezes_the_same_window(shadowed: Shadowed) -> None:
    """Stopped while it waits, then when its evidence is in the ledger and not yet in the journal."""
    shadowed.logs.serve(60)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shadowed.measure(interrupted)
    shadowed.logs.serve(60)
    looks = itertools.count()

    def lost() -> None:
        if next(looks) == 4:
            raise LeaseHeld("another run has it")

    with pytest.raises(LeaseHeld):
        shadowed.measure(check=lost)
    shadowed.logs.serve(60)
    assert shadowed.measure().facts["requests"] == 120
    refs = state(shadowed.world.desk, "router").releases[shadowed.release].evidence
    assert len([ref for ref in refs if ref.kind == EvidenceKind.SHADOW]) == 1


def test_a_champion_that_changes_meanwhile_ends_it_and_nothing_is_recorded(shadowed: Shadowed) -> None:
    desk = shadowed.world.desk

    def undone() -> None:
        roll_back(desk, "router", prove=prove_by_seal(desk), reason="it was bad")

    with pytest.raises(RevisionConflict, match="the champion changed meanwhile"):
        shadowed.measure(undone)
    assert state(desk, "router").releases[shadowed.release].latest(EvidenceKind.SHADOW) is None
    with pytest.raises(UsageError, match="no champion"):
        shadowed.measure()


def test_a_release_that_leaves_the_shadow_meanwhile_is_not_waited_for(shadowed: Shadowed) -> None:
    with pytest.raises(RefusedError, match="it is withdrawn by now"):
        shadowed.measure(lambda: shadowed.world.candidate())


def test_logs_that_are_gone_are_told(shadowed: Shadowed) -> None:
    desk = shadowed.world.desk
    watched = live.begin(desk, "router", shadowed.release, reason=WHY)
    logs = LiveLogs(shadowed.world.folder / "elsewhere", "router", watched)
    with pytest.raises(InputError, match="no longer hold"):
        live.freeze(desk, "router", logs, watched, live.Window(NOW, False), against="", reason=WHY)


@pytest.mark.parametrize("bad", ["no JSON", '{"label": "faq"}'])
def test_an_answer_in_the_log_that_is_none_is_told(shadowed: Shadowed, bad: str) -> None:
    shadowed.logs.serve(2)
    watched = live.begin(shadowed.world.desk, "router", "router-2", reason=WHY)
    rows = LiveLogs(shadowed.logs.root, "router", watched).look().mirrored
    assert answered(rows, LABELS).height == 2
    with pytest.raises(IntegrityError, match="cannot be read"):
        answered(rows.with_columns(challenger_answer=pl.lit(bad)), LABELS)


def test_progress_tells_how_much_there_is(shadowed: Shadowed) -> None:
    told: list[tuple[str, int, int]] = []
    shadowed.measure(
        lambda: shadowed.logs.serve(50),
        lambda: shadowed.logs.serve(60),
        progress=lambda *each: told.append(each),
    )
    assert told[0] == ("live shadow: no request was mirrored yet", 0, 100)
    assert ("live shadow, requests", 50, 100) in told
    assert told[-2:] == [("live shadow, requests", 100, 100), ("live shadow, minutes", 60, 60)]


SENT, SHED, DROPPED = {}, {"mirror": "shed_rate"}, {"dropped": True}


def at_clock(shadowed: Shadowed, minutes: float) -> None:
    """It is so many minutes after the first request."""
    moment = shadowed.logs.start + timedelta(minutes=minutes)
    shadowed.world.desk = replace(shadowed.world.desk, clock=lambda: moment)


def test_where_the_shadow_log_is_ahead_the_window_ends_where_the_request_log_does(shadowed: Shadowed) -> None:
    """The truth is a coverage of one half; what the shadow log has beyond the request log is all answered."""
    shadowed.logs.serve_each([SENT, SHED] * 220)
    roll = shadowed.logs.behind(160)
    at_clock(shadowed, 280)
    evidence = shadowed.measure()
    assert (evidence.facts["coverage"], evidence.facts["requests"]) == (round(140 / 279, 6), 279)
    roll()
    at_clock(shadowed, 445)
    whole = shadowed.measure(run="run-2", again=frozenset({EvidenceKind.SHADOW}))
    assert (whole.facts["coverage"], whole.facts["requests"]) == (0.5, 440)


def test_the_slowest_of_the_living_writers_says_how_far_the_request_logs_are(shadowed: Shadowed) -> None:
    shadowed.logs.serve_each([SENT] * 110)
    shadowed.logs.serve_each([SENT] * 20)
    shadowed.logs.asked -= 20
    at_clock(shadowed, 110)
    assert shadowed.measure().facts["requests"] == 109, "what the first writer had after that is not known"
    at_clock(shadowed, 140)
    again = shadowed.measure(run="run-2", again=frozenset({EvidenceKind.SHADOW}))
    assert again.facts["requests"] == 130, "it wrote no more: it is dead or idle"


def test_rows_that_a_log_dropped_lower_coverage(shadowed: Shadowed) -> None:
    shadowed.logs.serve_each([*[SENT] * 60, *[DROPPED] * 50, *[SENT] * 60])
    evidence = shadowed.measure()
    assert evidence.facts["errors"] == {"dropped": 50}
    assert (evidence.facts["requests"], evidence.facts["coverage"]) == (170, round(120 / 170, 6))
    assert evidence.tables["unanswered"]["request_writer"].unique().to_list() == [shadowed.logs.writer]
    (finding,) = [f for f in shadowed.decided(evidence).decision.findings if f.gate == "disagreement"]
    assert finding.verdict == Verdict.INCONCLUSIVE
    assert "dropped 50" in release_report(shadowed.world.desk, "router", shadowed.release)


def test_numbers_that_another_log_or_another_unit_has_are_not_dropped(shadowed: Shadowed) -> None:
    other = {"unit": "sentiment", "mirror": "off"}
    shadowed.logs.serve_each([*[SENT] * 60, *[other] * 30, *[SENT] * 60])
    evidence = shadowed.measure()
    assert (evidence.facts["errors"], evidence.facts["coverage"]) == ({}, 1.0)


def test_what_a_writer_dropped_before_its_first_row_counts_where_it_began_meanwhile(
    shadowed: Shadowed,
) -> None:
    logs = shadowed.logs
    logs.serve_each([SENT] * 60)
    nanoseconds = int(logs.start.timestamp() + 3600) * 10**9
    logs.serve_each([*[DROPPED] * 20, *[SENT] * 60], born=f"/41-{nanoseconds:x}")
    logs.serve_each([*[DROPPED] * 20, *[SENT] * 5])
    assert shadowed.measure().facts["errors"] == {"dropped": 20}


def test_of_dropped_rows_those_count_that_reach_into_the_window_times_the_share() -> None:
    def minute(number: float) -> datetime:
        return NOW + timedelta(minutes=number)

    seqs = {"a": [1, 2, 12, 13, 24], "b": [7, 9]}
    known = pl.DataFrame(
        [(name, seq, minute(seq)) for name, told in seqs.items() for seq in told],
        schema={"writer": pl.String, "seq": pl.Int64, "at": pl.Datetime("us", "UTC")},
        orient="row",
    )
    found = gaps(pl.concat([known, known]), NOW)
    assert found.rows() == [
        ("a", 9, minute(2), minute(12)),
        ("b", 1, minute(7), minute(9)),
        ("a", 10, minute(13), minute(24)),
    ]
    assert dropped(found, minute(0), minute(30), 1.0).height == 20
    assert dropped(found, minute(0), minute(30), 0.25).height == 5
    assert dropped(found, minute(0), minute(30), 0.01).height == 1
    assert dropped(found, minute(0), minute(8), 1.0).height == 10
    assert dropped(found, minute(12), minute(13), 1.0).is_empty()
    assert dropped(found, minute(8), minute(30), 1.0)["after"].min() == minute(8), "no window begins earlier"
    assert gaps(known.clear(), NOW).is_empty()


def refused_load(shadowed: Shadowed, *, worker: int = SHADOW_WORKER, release: str = "router-2") -> None:
    desk = shadowed.world.desk
    draft = drafts.load_refused(
        unit="router",
        release=release,
        gateway="east",
        worker=worker,
        error="ArtifactTampered",
        found="labels.json",
        reason="it is not as it was sealed",
        actor="gateway east",
    )
    at = (shadowed.logs.start + timedelta(seconds=1)).isoformat()
    desk.ledger.append([draft], expect={}, at=at.replace("+00:00", "Z"))


def test_a_challenger_that_no_gateway_can_load_is_told_and_ends_the_wait(shadowed: Shadowed) -> None:
    refused_load(shadowed)
    at_clock(shadowed, 1)
    told: list[str] = []
    with pytest.raises(Waited):
        shadowed.measure(progress=lambda what, _done, _total: told.append(what))
    assert "live shadow: the shadow of gateway east could not load router-2: labels.json" in told
    at_clock(shadowed, 2)
    with pytest.raises(RefusedError, match="gateway east could not load router-2") as refused:
        shadowed.measure()
    assert refused.value.found == "ArtifactTampered: labels.json"
    assert "audit log stack" in refused.value.next_step


def test_a_challenger_that_one_gateway_answers_with_is_waited_for(shadowed: Shadowed) -> None:
    refused_load(shadowed)
    shadowed.logs.serve(3)
    with pytest.raises(Waited):
        shadowed.measure()


@pytest.mark.parametrize("other", [{"worker": 0}, {"release": "router-1"}])
def test_what_another_process_could_not_load_ends_no_wait(shadowed: Shadowed, other: Any) -> None:
    refused_load(shadowed, **other)
    with pytest.raises(Waited):
        shadowed.measure()
