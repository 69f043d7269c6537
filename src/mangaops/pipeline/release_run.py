"""One release run, from labelled logs to a decision that was carried out.

    data ─▶ snapshot ─▶ train ─▶ register ─▶ measure ─▶ judge offline ─┬─▶ reject: error review
                                                                       └─▶ shadow ─▶ review ─▶ judge ─▶ act

A run holds a lease, so that of two runs one is told. What was finished is journalled, so that a run that
was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mangaops.errors import LeaseHeld, MangaopsError, RefusedError, UsageError
from mangaops.gates import Decision
from mangaops.pipeline.bench import Bench, measure_live
from mangaops.pipeline.files import write_reports
from mangaops.pipeline.kinds import Measuring, kind_of
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.traffic import require_simulated
from mangaops.pipeline.training_run import Making, build_release, kept_versions
from mangaops.pipeline.workshop import Announce, Progress, Workshop
from mangaops.registry import Release, UnitState
from mangaops.release import checks, judge, review, runs
from mangaops.release.bootstrap import require_unserved
from mangaops.release.cutover import Switched
from mangaops.release.desk import model_spec, next_run, release_of, state
from mangaops.release.due import FAILED
from mangaops.release.shadow import Traffic
from mangaops.release.standing import read_decision
from mangaops.release.wording import stayed
from mangaops.vocabulary import Digest, Outcome, ShadowMode, State

CLOSED = frozenset({State.CHAMPION, State.RETIRED, State.REJECTED, State.WITHDRAWN, State.ROLLED_BACK})


@dataclass(frozen=True)
class RunResult:
    """What a run decided and wrote. `findings` is the decision table, `seconds` the cost of each step.

    A release that was closed before is not judged again: `outcome` is PROMOTE where it serves (`state` is
    champion) and REJECT where it does not, and `findings` are those of its last decision. `acknowledged` and
    `silent` are the workers of gateways that follow a promotion, with milliseconds, and those that do not.
    """

    run: str
    unit: str
    release: str
    state: State
    outcome: Outcome
    says: str
    findings: tuple[Mapping[str, Any], ...]
    champion: str | None
    rollback_pointer: str | None
    generation: int
    files: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict)
    resumed: tuple[str, ...] = ()
    acknowledged: Mapping[str, float | None] = field(default_factory=dict)
    silent: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        told = {"outcome": str(self.outcome), "state": str(self.state), "findings": list(self.findings)}
        return vars(self) | told


def run(shop: Workshop, plan: Plan, progress: Progress, announce: Announce) -> RunResult:
    """The run is finished, and what it decided has happened.

    Raises:
        UsageError: no champion to compare with, or a live shadow beside a file of traffic.
        RefusedError: a champion is there already where a bootstrap was asked, or equal inputs gave a
            release that was withdrawn before it was judged.
        LeaseHeld: another run of this unit is alive.
        InputError: the logs or the traffic cannot be used.
    """
    _in_order(shop, plan)
    with shop.leases.hold(f"run/{plan.unit}", owner=shop.desk.actor) as lease:
        begun = runs.begin(shop.desk, plan.unit, because=plan.because, reason=plan.reason, plan=plan.digest)
        plan = replace(plan, because=begun.because)
        if begun.resumed:
            announce("run", f"{begun.run} goes on where it was stopped")
        steps = Steps(shop.journal, begun.run, shop.seconds, announce, lease.check)
        try:
            result = _steps(shop, plan, steps, begun.revision, progress)
            lease.check()
        except LeaseHeld:
            raise  # another run has the unit now, and goes on under this run's name
        except Exception as error:
            _failed(shop, plan.unit, begun.run, error)
            raise
        runs.finish(shop.desk, plan.unit, begun.run, outcome=str(result.outcome), reason=result.says)
        return result


def _failed(shop: Workshop, unit: str, run: str, error: Exception) -> None:
    reason = error.refused if isinstance(error, MangaopsError) else f"a bug: {type(error).__name__}"
    try:
        runs.finish(shop.desk, unit, run, outcome=FAILED, reason=reason)
    except MangaopsError as trouble:
        error.add_note(f"{run} stands unfinished in the ledger: {trouble}")


def _in_order(shop: Workshop, plan: Plan) -> None:
    if plan.truth:
        require_simulated(shop, plan.truth)
    if plan.traffic and plan.shadow == ShadowMode.LIVE:
        raise UsageError(
            f"release run {plan.unit} was refused: a live shadow replays no --traffic",
            found=f"--shadow live and --traffic {', '.join(plan.traffic.shown())}",
            accepted="one of the two",
            next_step="leave --traffic out, or take --shadow replay",
        )
    kept_versions(shop, plan)
    if plan.bootstrap:
        require_unserved(shop.desk, plan.unit)
    elif state(shop.desk, plan.unit).champion is None:
        raise UsageError(
            f"release run {plan.unit} was refused: the unit has no champion to compare with",
            accepted="a unit with a champion",
            next_step=next_run(shop.desk, state(shop.desk, plan.unit)),
        )


def _steps(shop: Workshop, plan: Plan, steps: Steps, since: int, progress: Progress) -> RunResult:
    data = model_spec(shop.desk, plan.unit).data
    kind = kind_of(shop.desk.stack, data)
    window = None
    if (source := plan.traffic) is not None:  # before minutes of training: it may not be there
        window = steps.timed("traffic", lambda: kind.traffic(shop, data, source, progress))
    snapshot = kind.version(shop, plan, steps, progress)
    release = build_release(Making(shop, steps, plan.unit, snapshot, plan.reason, progress), plan)
    bench = Bench(shop, steps, plan.unit, release, snapshot, since, plan.again, plan.reason, progress)
    if release_of(bench.state(), release).state in CLOSED:
        return _decided_before(bench)
    if lost := overtaken(bench.state(), release):
        steps.announce("review", lost)
    measuring = kind.measuring(bench)
    measuring.offline()
    judged = judge.judge_offline(shop.desk, plan.unit, release, dataset=snapshot.digest, reason=plan.reason)
    if judged is not None:
        steps.announce("shadow", "left out: an offline gate failed")
        return _acted(bench, judged)
    shadowed = (window is not None or plan.shadow == ShadowMode.LIVE) and not plan.bootstrap
    traffic = _shadowed(bench, measuring, plan, window) if shadowed else None
    return _acted(bench, _judged(bench, traffic))


def _shadowed(bench: Bench, measuring: Measuring, plan: Plan, window: Traffic | None) -> Digest:
    shadow = measure_live(bench) if window is None else measuring.replayed(window)
    if shadow.facts["disagreements"]:
        _reviewed(bench, measuring, plan, shadow.digest)
    return shadow.binding.dataset


def _reviewed(bench: Bench, measuring: Measuring, plan: Plan, shadow: Digest) -> None:
    desk, unit = bench.shop.desk, plan.unit
    opened = review.open_review(desk, unit, bench.release, shadow=shadow, reason=plan.reason)
    _, ref = review.find(bench.state(), opened)
    if plan.truth and ref.answer is None:
        truth = measuring.truth(plan.truth)
        bench.steps.timed(
            "review", lambda: review.answer_by_truth(desk, unit, opened, truth, reason=plan.reason)
        )


def _judged(bench: Bench, traffic: Digest | None) -> judge.Judged:
    desk, dataset = bench.shop.desk, bench.golden.digest
    checks.record_parts(desk, bench.unit, bench.release, dataset=dataset, reason=bench.reason)
    return bench.steps.timed(
        "judge",
        lambda: judge.judge(
            desk, bench.unit, bench.release, dataset=dataset, traffic=traffic, reason=bench.reason
        ),
    )


def _acted(bench: Bench, judged: judge.Judged) -> RunResult:
    desk = bench.shop.desk
    bench.steps.check()
    acted = judge.act(
        desk,
        bench.unit,
        bench.release,
        judged,
        prove=bench.shop.load,
        reason=bench.reason,
        progress=bench.progress,
    )
    result = _result(bench, judged.decision, _says(bench, judged.decision), judged.outcome)
    if (done := acted.promoted) is None:
        return result
    followed = Switched(done.acknowledged, done.silent, done.seconds)
    says = result.says + followed.says
    return replace(result, says=says, acknowledged=done.acknowledged, silent=done.silent)


def _says(bench: Bench, decision: Decision) -> str:
    current = bench.state()
    lost = overtaken(current, bench.release)
    also = f"; {lost}" if lost else ""
    if decision.outcome == Outcome.PROMOTE:
        return f"{bench.release} is champion; rollback pointer {current.rollback[-1]}" + (
            lost and f"; {lost}"
        )
    became = "rejected" if decision.outcome == Outcome.REJECT else "held"
    return f"{bench.release} is {became}, {stayed(current.champion)}: {decision.against}{also}"


def overtaken(current: UnitState, release: str) -> str:
    """What became of an open release with a review that this one took the place of; empty where none did."""
    for known in current.releases.values():
        by_this = known.state == State.WITHDRAWN and known.stands_because == f"superseded by {release}"
        if by_this and known.reviews:
            answered = known.reviews[-1].answer is not None
            review = f"the {'answered' if answered else 'open'} {known.reviews[-1].review} of {known.name}"
            return (
                f"{review} counts for nothing now: other logs, code or stack.yaml made {release}, and a unit "
                f"has one open release; to go on with it: {_reopening(known.name)} with its logs and its code"
            )
    return ""


def _decided_before(bench: Bench) -> RunResult:
    """The result of a release that is closed: equal logs, code and configuration gave it again.

    Raises:
        RefusedError: it was withdrawn before anything was decided.
    """
    subject = release_of(bench.state(), bench.release)
    stands = f"{bench.release} is {subject.state} since {subject.stands_since}: {subject.stands_because}"
    if not subject.decisions:
        raise RefusedError(
            f"equal inputs gave {bench.release} again, which is {subject.state} and was never judged",
            found=stands,
            accepted="other data, or a release that is open",
            next_step=_reopening(bench.release),
        )
    document = read_decision(bench.shop.desk, subject.decisions[-1].digest)
    bench.steps.announce("decision", f"already made: {bench.release} is {subject.state}")
    decision = Decision.from_dict(document["decision"])
    if subject.state == State.CHAMPION:
        return _result(bench, decision, stands, Outcome.PROMOTE)
    says = f"{stands}; it does not serve and was not judged again; next: {_way_back(bench, subject)}"
    return _result(bench, decision, says, Outcome.REJECT)


def _reopening(release: str) -> str:
    return f"mangaops release reopen {release} --reason '...', then its run again"


def _way_back(bench: Bench, subject: Release) -> str:
    if subject.state != State.RETIRED:
        return _reopening(subject.name)
    if subject.name in bench.state().rollback:
        return f"mangaops release rollback {bench.unit} --to {subject.name} --reason '...'"
    return "run with newer logs: the release was overtaken"


def _result(bench: Bench, decision: Decision, says: str, outcome: Outcome) -> RunResult:
    files = bench.steps.timed("reports", lambda: write_reports(bench.shop, bench.unit, bench.release))
    current = bench.state()
    return RunResult(
        run=bench.steps.run,
        unit=bench.unit,
        release=bench.release,
        state=release_of(current, bench.release).state,
        outcome=outcome,
        says=says,
        findings=tuple(finding.as_dict() for finding in decision.findings),
        champion=current.champion,
        rollback_pointer=current.rollback[-1] if current.rollback else None,
        generation=current.generation,
        files={name: str(path) for name, path in files.items()},
        seconds={name: round(taken, 2) for name, taken in bench.steps.seconds.items()},
        resumed=tuple(bench.steps.resumed),
    )
