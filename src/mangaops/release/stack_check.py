"""How often a gate list promotes and rejects: simulated weeks, judged by the judge that judges real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from mangaops.evidence import Evidence
from mangaops.gates import Case, weigh
from mangaops.release.desk import Desk, Progress
from mangaops.release.stack_evidence import BINDING, TRAFFIC, Assumptions, Challenger, evidence_of
from mangaops.release.stack_known import NO_EVIDENCE, assumed, from_ledger, labels_of
from mangaops.release.stack_lists import ListAssumptions, Lists, evidence_of_lists
from mangaops.release.stack_report import ChallengerRow, GateRow, Share, StackReport
from mangaops.release.stack_searches import (
    Searches,
    assumed_searches,
    lists_of,
    notes,
    searches_from_ledger,
    stated_in,
    unanswerable,
)
from mangaops.stack import DataSpec, ModelSpec, Rule, SearchDataSpec, Stack, UnitSpec
from mangaops.vocabulary import EvidenceKind, Outcome, Verdict

SIMULATIONS: Final = 200
RESAMPLES: Final = 400
"""Bootstrap resamples a comparison; tests/slow/test_error_rates.py shows that 2,000 decide alike."""

Week = Callable[[Challenger], Case]
"""One simulated week of a challenger before the judge."""


def known_of(stack: Stack, unit: str, desk: Desk | None, *, why: str = NO_EVIDENCE) -> Assumptions | Searches:
    """What the evidence of the unit's champion says; without a ledger what the stack says, and why that."""
    if stack.ranks(unit):
        return searches_from_ledger(desk, unit) if desk else assumed_searches(stack, unit, why=why)
    return from_ledger(desk, unit) if desk else assumed(stack, unit, why=why)


def stack_check(
    stack: Stack,
    unit: str,
    known: Assumptions | Searches,
    *,
    rng: np.random.Generator,
    simulations: int = SIMULATIONS,
    progress: Progress = None,
) -> StackReport:
    """How often each gate, and the whole list, promotes and rejects three kinds of challenger.

    An equal one, one that is worse by exactly the margin of the first rule on accuracy or on the pair, in
    the metric of that rule, and one that is a point better. Every simulated week is judged by what
    `gates.judge` judges with.
    """
    if isinstance(known, Searches):
        return _of_searches(stack, unit, known, rng=rng, simulations=simulations, progress=progress)
    spec, model, data = labels_of(stack, unit)
    margin = _margin(spec)
    kinds = (
        Challenger("equal", 0.0),
        Challenger(f"worse by {100 * margin:g} points", -margin),
        Challenger("better by 1 point", 0.01),
    )
    week = partial(a_week, spec, model, data, known, rng=rng)
    return StackReport(unit, simulations, known, _rows(spec.gates, kinds, week, simulations, progress))


def _of_searches(
    stack: Stack,
    unit: str,
    known: Searches,
    *,
    rng: np.random.Generator,
    simulations: int,
    progress: Progress,
) -> StackReport:
    """The same of a unit that ranks; rules that simulated evidence cannot answer are named and left out."""
    spec = stack.units[unit]
    model = stack.models[spec.models[0]]
    data = stack.dataset(model.data)
    assert isinstance(data, SearchDataSpec)
    lists, told = lists_of(known, spec, rng)
    kinds = _kinds_of_pairs(spec, lists)
    week = partial(a_week_of_lists, spec, model, data, lists, told, rng=rng)
    rules, left_out = _answerable(spec.gates, known, week(kinds[0]))
    rows = _rows(rules, kinds, week, simulations, progress)
    found = notes(_of_rules(rules, rows[0].gates), lists, told, spec.review.budget)
    return StackReport(unit, simulations, replace(told, notes=found), rows, left_out)


def _answerable(rules: Sequence[Rule], known: Searches, case: Case) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules that this evidence answers, and the others by name, with the reason."""
    kept, left_out = [], []
    for rule in rules:
        finding = weigh([rule], case)[1][0]
        why = unanswerable(rule, known) or (finding.says if finding.verdict is Verdict.ERROR else "")
        if why:
            left_out.append(f"{rule.gate} of {finding.subject} ({why})")
        else:
            kept.append(rule)
    return kept, tuple(left_out)


def _of_rules(rules: Sequence[Rule], gates: Sequence[GateRow]) -> list[tuple[Rule, GateRow]]:
    """Each rule that may be worse by a margin, with how its only comparison went."""
    rows = iter(gates)
    found = []
    for rule in rules:
        row = next(row for row in rows if row.gate == rule.gate)
        if "margin" in rule.params.model_dump():
            found.append((rule, row))
    return found


def _kinds_of_pairs(spec: UnitSpec, lists: Lists) -> tuple[Challenger, ...]:
    """An equal pair, one at the margin of the first rule on the pair that has one, one a point better.

    A challenger gains and loses no more than two trainings lie apart: where that is less, it is named so.
    """
    margin = stated_in(spec).margin
    worse, better = min(margin, lists.most), min(0.01, lists.most)
    return (
        Challenger("equal", 0.0),
        Challenger(_named("worse", worse, margin), -worse),
        Challenger(_named("better", better, 0.01), better),
    )


def _named(word: str, gain: float, wanted: float) -> str:
    points = f"{100 * gain:.2g} {'point' if gain == 0.01 else 'points'}"
    return f"{word} by {points}" if gain == wanted else f"{word} by {points} at most"


def _rows(
    rules: Sequence[Rule],
    kinds: Sequence[Challenger],
    week: Week,
    simulations: int,
    progress: Progress,
) -> tuple[ChallengerRow, ...]:
    return tuple(
        simulate(
            rules,
            kind,
            week,
            simulations=simulations,
            progress=_from(progress, number * simulations, len(kinds) * simulations),
        )
        for number, kind in enumerate(kinds)
    )


def simulate(
    rules: Sequence[Rule],
    challenger: Challenger,
    week: Week,
    *,
    simulations: int,
    progress: Progress = None,
) -> ChallengerRow:
    """What a gate list did with one kind of challenger in so many weeks."""
    outcomes: Counter[Outcome] = Counter()
    verdicts: Counter[tuple[str, str, int, Verdict]] = Counter()
    spots: dict[tuple[str, str, int], None] = {}
    for number in range(simulations):
        if progress is not None and number % 5 == 0:
            progress(f"simulating {challenger.name}", number, simulations)
        outcome, findings = weigh(rules, week(challenger))
        outcomes[outcome] += 1
        seen: Counter[tuple[str, str]] = Counter()
        for finding in findings:
            seen[finding.gate, finding.subject] += 1
            spot = (finding.gate, finding.subject, seen[finding.gate, finding.subject])
            spots[spot] = None
            verdicts[(*spot, finding.verdict)] += 1
    return ChallengerRow(
        challenger=challenger.name,
        gain=challenger.gain,
        promoted=Share.of(outcomes[Outcome.PROMOTE], simulations),
        held=Share.of(outcomes[Outcome.HOLD], simulations),
        rejected=Share.of(outcomes[Outcome.REJECT], simulations),
        gates=tuple(
            GateRow(
                *spot[:2],
                passed=Share.of(verdicts[(*spot, Verdict.PASS)], simulations),
                failed=Share.of(verdicts[(*spot, Verdict.FAIL)], simulations),
            )
            for spot in spots
        ),
    )


def a_week(
    spec: UnitSpec,
    model: ModelSpec,
    data: DataSpec,
    assumptions: Assumptions,
    challenger: Challenger,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Case:
    """One simulated week of a unit that classifies before the judge."""
    evidence = evidence_of(assumptions, challenger, budget=spec.review.budget, limits=_limits(spec), rng=rng)
    plain = model.model_copy(update={"critical_examples": None})
    return _case(spec, plain, data, evidence, rng, resamples)


def a_week_of_lists(
    spec: UnitSpec,
    model: ModelSpec,
    data: SearchDataSpec,
    lists: Lists,
    assumptions: ListAssumptions,
    challenger: Challenger,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Case:
    """One simulated week of a unit that ranks before the judge."""
    evidence = evidence_of_lists(
        lists, assumptions, challenger, budget=spec.review.budget, limits=_limits(spec), rng=rng
    )
    return _case(spec, model, data, evidence, rng, resamples)


def _case(
    spec: UnitSpec,
    model: ModelSpec,
    data: DataSpec | SearchDataSpec,
    evidence: Mapping[EvidenceKind, Evidence],
    rng: np.random.Generator,
    resamples: int,
) -> Case:
    return Case(
        binding=BINDING,
        evidence=evidence,
        unit=spec,
        model=model,
        data=data,
        traffic=TRAFFIC,
        seed=int(rng.integers(2**31)),
        simulated=True,
        resamples=resamples,
        verdicts_only=True,
    )


def _margin(spec: UnitSpec) -> float:
    """The margin of the first accuracy rule on golden rows; a point where there is none."""
    params = [rule.params.model_dump() for rule in spec.gates]
    margins = [p["margin"] for p in params if p.get("metric") == "accuracy" and p.get("on") == "golden"]
    return float(margins[0]) if margins else 0.01


def _limits(spec: UnitSpec) -> tuple[float, float]:
    params = [rule.params.model_dump() for rule in spec.gates if rule.gate == "latency"]
    return (params[0]["quantile"], params[0]["below_ms"]) if params else (0.95, 15.0)


def _from(progress: Progress, start: int, total: int) -> Progress:
    """The same progress, shifted into a larger task."""
    if progress is None:
        return None

    def said(what: str, done: int, _of: int) -> None:
        progress(what, start + done, total)

    return said
