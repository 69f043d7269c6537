"""Reports, error reviews and explanations tell the numbers of the decision, and the same ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from desk_world import WHY, Rigged, World, golden_rows, stack

from mangaops.errors import UsageError
from mangaops.registry import Run, UnitState
from mangaops.release.desk import state
from mangaops.release.dossier import dossier
from mangaops.release.due import due, previous, without_champion
from mangaops.release.error_review import error_review
from mangaops.release.evaluate import Pair, evaluate
from mangaops.release.explain import explain
from mangaops.release.figures import figure, span
from mangaops.release.helps import helps
from mangaops.release.reopen import reopen
from mangaops.release.report import release_report
from mangaops.stack import Cadence
from mangaops.vocabulary import Because, Outcome


def test_why_a_release_was_refused_is_answered_with_the_numbers_of_its_report(served: World) -> None:
    release, acted = served.run(Rigged("worse", 0.4))
    told = explain(served.desk, "router", release)
    worst = told.gates[0]
    assert worst.verdict == "FAIL"
    assert worst.observed in told.text
    assert worst.observed in release_report(served.desk, "router", release)
    assert acted.error_review is not None
    assert worst.observed in acted.error_review.markdown
    assert told.as_dict()["gates"][0]["verdict"] == "FAIL"
    assert told.helps
    assert told.state == "rejected"


def test_a_shadow_that_was_left_out_does_not_read_like_a_crash(served: World) -> None:
    release, acted = served.run(Rigged("worse", 0.4))
    assert acted.error_review is not None
    review, page = (
        acted.error_review.markdown.replace("\\", ""),
        release_report(served.desk, "router", release),
    )
    told = explain(served.desk, "router", release).text
    assert "| disagreement | evidence | – not run |" in review
    assert '<span class="pill NONE"><span aria-hidden="true">–</span> not run</span>' in page
    assert "– not run disagreement, evidence" in told
    for text in (review, page.partition("</style>")[2], told):
        assert "ERROR" not in text
    assert "failed, and the run ended before a shadow" in page
    assert "failed, and the run ended before a shadow" in told


def test_a_shadow_that_lacks_otherwise_reads_as_an_error(served: World) -> None:
    release = served.candidate()
    served.measure_offline(release, Pair(Rigged("champion", 0.1), Rigged("better", 0.02)))
    served.act(release, served.judged(release, traffic=False))
    told = explain(served.desk, "router", release).text
    assert "! ERROR disagreement, evidence" in told
    assert "not run" not in told


def test_a_champion_is_explained_by_what_it_passed(served: World) -> None:
    told = explain(served.desk, "router", "router-1")
    assert told.state == "champion"
    assert "passed all" in told.text
    assert told.baseline == "the plain baseline"


def held(world: World, pair: Pair) -> str:
    """A release that nobody timed, so that its record is not complete."""
    release = world.candidate()
    evaluate(world.desk, "router", release, pair, golden_rows(world.snapshot), reason=WHY)
    judged = world.judged(release, traffic=False)
    assert judged.outcome == Outcome.HOLD
    world.act(release, judged)
    return release


def test_a_first_champion_that_is_held_is_told_to_bootstrap_again(world: World) -> None:
    release = held(world, Pair(Rigged("plain baseline", 0.4, "plain"), Rigged("v1", 0.1)))
    told = explain(world.desk, "router", release).text
    assert "next: mangaops release bootstrap router --reason '...' --logs FILE\n" in told
    assert "release run" not in told
    shown = error_review(world.desk, "router", release)
    assert "release run" not in shown.markdown + shown.html


def test_a_challenger_that_is_held_is_told_to_run_again(served: World) -> None:
    release = held(served, Pair(Rigged("champion", 0.1), Rigged("better", 0.02)))
    told = explain(served.desk, "router", release).text
    assert "next: mangaops release run router --logs FILE\n" in told
    assert "release bootstrap" not in told


def test_a_withdrawn_release_says_by_what(served: World) -> None:
    older = served.candidate()
    newer = served.candidate()
    assert f"superseded by {newer}" in explain(served.desk, "router", older).text


def test_a_release_that_does_not_exist_is_named_with_those_that_do(served: World) -> None:
    with pytest.raises(UsageError) as caught:
        explain(served.desk, "router", "router-77")
    assert "router-1" in caught.value.accepted


def test_what_helps_names_the_label_that_lost(served: World) -> None:
    release, acted = served.run(Rigged("forgets escalations", 0.5, only="escalation"))
    told = explain(served.desk, "router", release)
    assert any(line.startswith("escalation: ") and "faq" in line for line in told.helps)
    assert acted.error_review is not None
    assert "escalation" in acted.error_review.markdown


def test_only_of_a_part_of_the_golden_set_more_is_asked_for(served: World) -> None:
    release, _ = served.run(Rigged("wrong everywhere", 0.6))
    case = dossier(served.desk, "router", release)
    assert case.scored is not None
    worse = [each for each in case.worst_slices if each.worse]
    whole = {f"{each.name}, {each.value}" for each in worse if each.rows == case.scored.rows.height}
    asked = [line for line in helps(case) if "collect more like these" in line]
    assert whole
    assert asked
    assert not [line for line in asked if line.partition(":")[0] in whole]


def test_a_report_shows_each_gate_with_word_symbol_and_interval(served: World) -> None:
    release, _ = served.run(Rigged("better", 0.02))
    page = release_report(served.desk, "router", release)
    for word in ("PROMOTE", "non_inferior", "release_record", "rollback pointer", "Ledger head"):
        assert word in page
    assert '<span aria-hidden="true">✓</span> PASS' in page
    assert page.count("<svg") >= 4


def test_a_report_names_the_ledger_head(served: World) -> None:
    now = state(served.desk, "router")
    assert now.head in release_report(served.desk, "router", "router-1")


def test_a_release_that_was_not_judged_has_a_report_that_says_so(served: World) -> None:
    release = served.candidate()
    assert "NOT JUDGED" in release_report(served.desk, "router", release)


def test_a_label_that_would_move_the_cursor_reaches_no_terminal(served: World) -> None:
    hostile = "faq\x1b[2J"
    fixed = {text: hostile for text in served.snapshot.golden["text"] if text.startswith("escalation")}
    release, _ = served.run(Rigged("hostile", 0.02, fixed=fixed))
    told = explain(served.desk, "router", release).text
    assert "\\u001b" in told
    assert "\x1b" not in told


def test_there_is_no_error_review_of_what_was_promoted(served: World) -> None:
    with pytest.raises(UsageError):
        error_review(served.desk, "router", "router-1")


def test_the_error_review_is_the_same_document_however_often_it_is_drawn(served: World) -> None:
    release, acted = served.run(Rigged("worse", 0.4))
    reopen(served.desk, "router", release, reason=WHY)
    assert error_review(served.desk, "router", release) == acted.error_review


@pytest.mark.parametrize(
    ("value", "unit", "difference", "shown"),
    [
        (0.9531, "share", False, "95.31 %"),
        (-0.002, "share", True, "-0.20 points"),
        (-0.00004, "share", True, "+0.00 points"),
        (-0.00004, "share", False, "0.00 %"),
        (-0.00006, "share", True, "-0.01 points"),
        (-0.0, "ms", False, "0 ms"),
        (-0.0, "ms", True, "+0 ms"),
        (-0.25, "ms", True, "-0.25 ms"),
        (12.0, "ms", False, "12 ms"),
        (3.14159, "ms", False, "3.14 ms"),
        (None, "ms", False, "–"),
        (float("inf"), "ms", False, "–"),
    ],
)
def test_numbers_are_shown_with_their_unit(value, unit: str, difference: bool, shown: str) -> None:
    assert figure(value, unit, difference=difference) == shown


def test_an_interval_says_its_unit_once() -> None:
    assert span(-0.01, 0.02, "share", difference=True) == "-1.00 to +2.00 points"
    assert span(0.1, 0.2, "share") == "10.00 to 20.00 %"
    assert span(-0.00004, 0.02, "share", difference=True) == "+0.00 to +2.00 points"


FRIDAY = datetime(2026, 4, 23, 18, 0, tzinfo=UTC)
"""03:00 on Friday 24 April in Tokyo."""


def ran(at: str) -> UnitState:
    run = Run("router-run-1", Because.SCHEDULE, started_at=at, finished_at=at, outcome="HOLD")
    return UnitState("router", champion="router-1", generation=1, runs={run.run: run})


def test_a_unit_is_due_when_its_moment_came_after_its_last_run() -> None:
    found = due(stack(), {"router": ran("2026-04-20T00:00:00Z")}, FRIDAY)
    assert [(each.unit, each.because, each.since) for each in found] == [("router", Because.SCHEDULE, FRIDAY)]
    assert "2026-04-24 03:00 Asia/Tokyo" in found[0].why


def test_a_unit_that_ran_since_is_not_due() -> None:
    assert due(stack(), {"router": ran("2026-04-23T18:00:01Z")}, FRIDAY.replace(hour=20)) == []


@pytest.mark.parametrize("outcome", ["failed", "killed", None])
def test_a_unit_whose_run_came_to_no_decision_is_still_due(outcome: str | None) -> None:
    failed = Run("r", Because.SCHEDULE, started_at="2026-04-23T18:00:01Z", outcome=outcome)
    found = due(
        stack(),
        {"router": UnitState("router", champion="router-1", generation=1, runs={"r": failed})},
        FRIDAY.replace(hour=20),
    )
    assert [each.why for each in found] == ["no run of it came to its end"]


def test_a_unit_is_not_due_a_second_before_its_moment() -> None:
    early = FRIDAY.replace(hour=17, minute=59, second=59)
    assert due(stack(), {"router": ran("2026-04-20T00:00:00Z")}, early) == []


def test_a_unit_that_never_ran_is_due() -> None:
    found = due(stack(), {"router": UnitState("router", champion="router-1", generation=1)}, FRIDAY)
    assert found[0].why == "it never ran"
    assert without_champion(stack(), {"router": UnitState("router", champion="router-1", generation=1)}) == []


@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize("runs", [{}, ran("2026-04-20T00:00:00Z").runs])
def test_a_unit_without_a_champion_is_told_apart_and_not_due(runs: dict[str, Run], generation: int) -> None:
    """Neither before its first champion nor after a rollback to the fallback."""
    states = {"router": UnitState("router", runs=runs, generation=generation)}
    assert due(stack(), states, FRIDAY) == []
    assert without_champion(stack(), states) == ["router"]


@pytest.mark.parametrize("started", [None, "2026-04-23T11:00:00Z"])
def test_a_requested_run_is_due_until_it_ends(started: str | None) -> None:
    asked = Run("drift-1", Because.DRIFT, requested_at="2026-04-23T10:00:00Z", started_at=started)
    busy = UnitState(
        "router",
        champion="router-1",
        generation=1,
        runs={**ran("2026-04-23T18:00:01Z").runs, "drift-1": asked},
    )
    (found,) = due(stack(), {"router": busy}, FRIDAY.replace(hour=20))
    assert (found.because, found.since.hour) == (Because.DRIFT, 10)


@pytest.mark.parametrize(
    ("cron", "zone"), [("x * * * *", "UTC"), ("0 3 * * 5", "Mars/Base"), ("0 3 31 2 *", "UTC")]
)
def test_a_cadence_that_cannot_be_is_refused(cron: str, zone: str) -> None:
    with pytest.raises(UsageError):
        previous(Cadence(cron=cron, timezone=zone), FRIDAY)


def test_a_cadence_keeps_local_time_over_a_change_of_clocks() -> None:
    cadence = Cadence(cron="0 9 * * 1", timezone="Europe/Berlin")
    assert previous(cadence, datetime(2026, 3, 25, tzinfo=UTC)).hour == 8
    assert previous(cadence, datetime(2026, 4, 1, tzinfo=UTC)).hour == 7
