"""disagreement: enough traffic was mirrored, and many different answers were looked at by people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import polars as pl
from pydantic import Field

from mangaops.evidence import Evidence
from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Count, Gate, Params, Share
from mangaops.gates.proof import Unusable, again, proof, review
from mangaops.gates.reviewed import outcome, waiting, worse_actions
from mangaops.gates.verdicts import levels
from mangaops.registry import reviewing
from mangaops.stack import Rule
from mangaops.stats import Interval, bernoulli_sequence
from mangaops.vocabulary import EvidenceKind, Verdict


class Disagreement(Params):
    """A disagreement rate over `review_over` needs a completed review; over `hard_limit` it fails.

    `min_requests` and `min_hours` are the unit's shadow settings where they are not given here;
    `coverage` is the least share of the mirrored requests that both sides answered.
    """

    review_over: Share
    hard_limit: Share | None = None
    min_requests: Count | None = None
    min_hours: Annotated[float, Field(ge=0)] | None = None
    coverage: Share = 0.95


@dataclass(frozen=True)
class _Seen:
    """What the shadow saw: the rate with its confidence sequence, the noise floor, and what lacks."""

    rate: float
    interval: Interval
    floor: float
    requests: int
    lacks: str
    more_requests: int
    more_hours: float


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, Disagreement)
    shadow = proof(case, EvidenceKind.SHADOW)
    if shadow.tables["answers"].is_empty():
        raise Unusable("the shadow evidence holds no requests", again(case, EvidenceKind.SHADOW))
    seen = _look(case, params, shadow)
    found, why, step = _weigh(case, params, shadow, seen)
    low, high = seen.interval.low, seen.interval.high
    says = (
        f"{seen.rate:.2%} of {seen.requests:,} mirrored requests were answered differently "
        f"({low:.2%} to {high:.2%} at every moment; the baseline against itself {seen.floor:.2%}); {why}"
    )
    return (
        Finding(
            gate=rule.gate,
            subject="disagreement on traffic",
            verdict=found,
            says=says,
            observed=seen.rate,
            low=low,
            high=high,
            threshold=params.review_over,
            unit="share",
            n=seen.requests,
            next_step=step,
            dry_run=rule.dry_run,
            facts=_facts(seen, step),
        ),
    )


def _look(case: Case, params: Disagreement, shadow: Evidence) -> _Seen:
    answers = shadow.tables["answers"]
    differs = answers.get_column("disagrees").cast(pl.Float64).to_numpy()
    groups = answers.get_column("group").to_list()
    if case.verdicts_only:
        rate = float(differs.mean())
        interval = Interval(rate, rate, 0.0, "not asked for")
    else:
        rate, interval = bernoulli_sequence(differs, groups, 2.0 * levels(case, 0.5).shown - 1.0)
    control = answers.get_column("control_disagrees").drop_nulls()
    requests = case.unit.shadow.min_requests if params.min_requests is None else params.min_requests
    hours = case.unit.shadow.min_hours if params.min_hours is None else params.min_hours
    lacks = []
    if answers.height < requests:
        lacks.append(f"{requests:,} requests")
    if shadow.facts["hours"] < hours:
        lacks.append(f"{hours:g} hours of traffic (there are {shadow.facts['hours']:.1f})")
    if shadow.facts["coverage"] < params.coverage:
        lacks.append(f"a coverage of {params.coverage:.0%} (it is {shadow.facts['coverage']:.1%})")
    return _Seen(
        rate=rate,
        interval=interval,
        floor=float(control.cast(pl.Float64).sum()) / max(1, control.len()),
        requests=answers.height,
        lacks=" and ".join(lacks),
        more_requests=max(0, requests - answers.height),
        more_hours=max(0.0, hours - float(shadow.facts["hours"])),
    )


def _weigh(case: Case, params: Disagreement, shadow: Evidence, seen: _Seen) -> tuple[Verdict, str, str]:
    """Verdict, reason and next step, the gravest first."""
    more = again(case, EvidenceKind.SHADOW)
    if params.hard_limit is not None and seen.rate > params.hard_limit:
        if _proven_over(case, shadow, params.hard_limit):
            return (
                Verdict.FAIL,
                f"that is over the hard limit of {params.hard_limit:.2%}",
                "read the worst intents",
            )
        return Verdict.INCONCLUSIVE, f"that may be over the hard limit of {params.hard_limit:.2%}", more
    if seen.lacks:
        return Verdict.INCONCLUSIVE, f"the rule asks for {seen.lacks}", f"{more}, with more traffic"
    if seen.rate <= params.review_over:
        return Verdict.PASS, f"up to {params.review_over:.2%} needs no review", ""
    return _looked_at(case, params, shadow)


def _looked_at(case: Case, params: Disagreement, shadow: Evidence) -> tuple[Verdict, str, str]:
    """Over `review_over`: people looked, at actions too, and do not prefer the baseline's that often."""
    over = f"over {params.review_over:.2%}"
    answered = review(case) if EvidenceKind.REVIEW in case.evidence else None
    if answered is None or waiting(shadow, answered):
        why = f"{over} people must look, and the review is not complete"
        return Verdict.INCONCLUSIVE, why, reviewing(case.called)
    worse, acted = worse_actions(answered), _by_action(shadow)
    if worse is None and acted > params.review_over:
        why = f"{acted:.2%} differ by action alone, {over}, and no item of the review asks about them"
        seed = answered.facts["seed"] + 1
        step = f"raise review.budget, then mangaops review open {case.called} --seed {seed}"
        return Verdict.INCONCLUSIVE, why, step
    if worse is not None and worse > params.review_over:
        why = f"people prefer the baseline's action on {worse:.2%} of the requests more, {over}"
        return Verdict.INCONCLUSIVE, why, "read the review; train again, or change the actions in stack.yaml"
    return Verdict.PASS, f"{over}, and {outcome(shadow, answered)}", ""


def _by_action(shadow: Evidence) -> float:
    """The share of mirrored requests that got the same label and another action."""
    same = pl.col("baseline_label") == pl.col("release_label")
    answers = shadow.tables["answers"]
    return answers.filter("disagrees", same).height / max(1, answers.height)


def _proven_over(case: Case, shadow: Evidence, limit: float) -> bool:
    answers = shadow.tables["answers"]
    differs = answers.get_column("disagrees").cast(pl.Float64).to_numpy()
    level = 2.0 * levels(case, 0.5).failing - 1.0
    return bernoulli_sequence(differs, answers.get_column("group").to_list(), level)[1].low > limit


def _facts(seen: _Seen, step: str) -> dict[str, float | int | bool]:
    facts: dict[str, float | int | bool] = {"control": seen.floor}
    if seen.more_requests:
        facts["requests_to_settle"] = seen.more_requests
    if seen.more_hours:
        facts["hours_to_settle"] = seen.more_hours
    if "review" in step:
        facts["review"] = True
    return facts


GATE = Gate(Disagreement, _judge, lambda params: 0 if params.hard_limit is None else 1)
