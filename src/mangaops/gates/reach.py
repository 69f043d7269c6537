"""Compare: the release's own value with the one that a rule asks for, whoever stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.verdicts import (
    Compared,
    beyond_reach,
    few_examples,
    judged_facts,
    levels,
    missing,
    of_judged,
    passes_at,
    to_judge,
    value,
    verdict,
)
from mangaops.stack import Rule
from mangaops.vocabulary import Direction, Verdict


@dataclass(frozen=True)
class Wanted:
    """The value that must be reached, at which confidence, on how many examples; `step` where it is not."""

    value: float
    confidence: float
    least: int
    step: str


def reach(rule: Rule, case: Case, own: Compared, asked: Wanted) -> Finding:
    """The finding of `value`: at least, or at most where lower is better. `own` is a gain over nothing."""
    at = levels(case, asked.confidence)
    sign = 1.0 if own.direction is Direction.HIGHER else -1.0
    threshold = sign * asked.value
    decides = own.decides(case, asked.least)
    found = verdict(own.gain, threshold, at) if decides else Verdict.INCONCLUSIVE
    if case.verdicts_only:
        return Finding(rule.gate, own.subject, found, "", observed=sign * own.point, dry_run=rule.dry_run)
    lacking = None if decides else missing(own, asked.least)
    beyond = beyond_reach(own, lacking, asked.least)
    low, high = sorted((sign * own.gain.lower(at.shown), sign * own.gain.upper(at.shown)))
    wanted = f"{'at least' if sign > 0 else 'at most'} {value(asked.value, own.unit)}"
    says = (
        f"{own.subject}: release {value(sign * own.point, own.unit)} "
        f"({value(low, own.unit)} to {value(high, own.unit)}) on {own.n:,} {own.counted}; "
        f"the rule asks for {wanted}{of_judged(own)}"
    )
    return Finding(
        gate=rule.gate,
        subject=own.subject,
        verdict=found,
        says=says,
        observed=sign * own.point,
        low=low,
        high=high,
        threshold=asked.value,
        unit=own.unit,
        n=own.n,
        passes_at=passes_at(own.gain, threshold),
        labels_to_settle=None if beyond else lacking,
        next_step=few_examples(own, asked.least) if beyond else _next(own, found, asked.step),
        dry_run=rule.dry_run,
        facts={**judged_facts(own.judged), **({"out_of_reach": lacking} if beyond else {})} or None,
    )


def _next(own: Compared, found: Verdict, step: str) -> str:
    if found is Verdict.PASS:
        return ""
    if own.judged is not None and not own.judged.enough:
        return to_judge(own.judged)
    return step
