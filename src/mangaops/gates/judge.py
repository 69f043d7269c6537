"""Combine: rules and evidence to findings, findings to one decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mangaops.gates.case import Case
from mangaops.gates.decision import Decision
from mangaops.gates.finding import Finding
from mangaops.gates.proof import Unusable
from mangaops.gates.table import GATES
from mangaops.stack import Rule
from mangaops.vocabulary import EvidenceKind, Outcome, Verdict


def judge(rules: Sequence[Rule], case: Case) -> Decision:
    """The decision on one challenger: any FAIL is REJECT, all PASS is PROMOTE, everything else HOLD.

    Rules with `dry_run` are measured and shown, and count for nothing. A list that counts nothing is an
    ERROR, never a promotion. The 1 - `fail_confidence` of the unit is shared over all comparisons of the
    counted rules that can fail by chance (Bonferroni: docs/adr/0035), so that a challenger that breaks no
    rule is rejected at most that often by the whole list.
    """
    outcome, findings = weigh(rules, case)
    if outcome is Outcome.REJECT:
        findings = tuple(map(_without_step, _left_out(findings, case)))
    return Decision(
        outcome=outcome,
        findings=findings,
        binding=case.binding,
        evidence={str(kind): evidence.digest for kind, evidence in sorted(case.evidence.items())},
        look=case.look,
        traffic=case.traffic,
        price=price(findings) if outcome is Outcome.HOLD else {},
    )


def _left_out(findings: tuple[Finding, ...], case: Case) -> tuple[Finding, ...]:
    """A shadow that nobody began, since a gate had failed, is told as not run; its verdict stays ERROR."""
    if case.traffic is not None:
        return findings
    failed = dict.fromkeys(f.gate for f in findings if f.verdict is Verdict.FAIL and not f.dry_run)
    says = f"not run: {', '.join(failed)} failed, and the run ended before a shadow"
    return tuple(
        replace(each, says=says, facts={"not_run": True})
        if (each.facts or {}).get("lacks") == EvidenceKind.SHADOW
        else each
        for each in findings
    )


def _without_step(finding: Finding) -> Finding:
    """What is open settles nothing once something is proven worse: it has no next step; a FAIL keeps its."""
    return finding if finding.verdict is Verdict.FAIL else replace(finding, next_step="")


def weigh(rules: Sequence[Rule], case: Case) -> tuple[Outcome, tuple[Finding, ...]]:
    """The outcome and the findings that `judge` writes down."""
    counted = [rule for rule in rules if not rule.dry_run]
    case = replace(
        case,
        comparisons=comparisons(counted),
        others=partial(_findings, [rule for rule in counted if rule.gate != "leakage"]),
    )
    findings = _findings(rules, case)
    if not counted:
        says = "no rule of the gate list counts, so nothing can be promoted"
        step = "add gates to this unit in stack.yaml"
        findings = (*findings, Finding("judge", "gate list", Verdict.ERROR, says, next_step=step))
    return combine(findings), findings


def comparisons(rules: Iterable[Rule]) -> int:
    """How many comparisons of these rules can end in FAIL by chance, one at least."""
    return max(1, sum(GATES[rule.gate].comparisons(rule.params) for rule in rules))


def combine(findings: Iterable[Finding]) -> Outcome:
    """The outcome of counted findings by their worst verdict; without any it is HOLD."""
    worst = max((finding.verdict for finding in findings if not finding.dry_run), default=Verdict.ERROR)
    return {Verdict.PASS: Outcome.PROMOTE, Verdict.FAIL: Outcome.REJECT}.get(worst, Outcome.HOLD)


def price(findings: Iterable[Finding]) -> dict[str, Any]:
    """What would settle a HOLD if the true difference is zero, the dearest of each kind.

    `labels`, `requests`, `hours`: how many more; `review`: people must answer one; `measure`: commands
    that mend errors; `unsettled`: subjects that no number of labels settles; `out_of_reach`: subjects that
    take more golden queries than an evaluation asks.
    """
    open_ = [f for f in findings if not f.dry_run and f.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)]
    facts = [finding.facts or {} for finding in open_]
    labels = [finding.labels_to_settle for finding in open_ if finding.labels_to_settle]
    beyond = [f for f in open_ if (f.facts or {}).get("out_of_reach")]
    undecided = [f for f in open_ if f.verdict is Verdict.INCONCLUSIVE and f not in beyond]
    found: dict[str, Any] = {
        "labels": max(labels, default=0),
        "requests": max((fact.get("requests_to_settle", 0) for fact in facts), default=0),
        "hours": max((fact.get("hours_to_settle", 0.0) for fact in facts), default=0.0),
        "review": any(fact.get("review") for fact in facts),
        "measure": sorted({f.next_step for f in open_ if f.verdict is Verdict.ERROR and f.next_step}),
        "unsettled": [f.subject for f in undecided if f.threshold == 0.0],
        "out_of_reach": [f.subject for f in beyond],
    }
    return {key: value for key, value in found.items() if value}


def _findings(rules: Iterable[Rule], case: Case) -> tuple[Finding, ...]:
    return tuple(finding for rule in rules for finding in _one(rule, case))


def _one(rule: Rule, case: Case) -> tuple[Finding, ...]:
    """The findings of one rule; evidence that cannot be judged on is an ERROR with what to do about it."""
    try:
        return GATES[rule.gate].judge(rule, case)
    except Unusable as problem:
        subject = (
            " ".join(str(word) for word in (rule.params.model_dump().get("metric"),) if word) or "evidence"
        )
        return (
            Finding(
                rule.gate,
                subject,
                Verdict.ERROR,
                problem.says,
                next_step=problem.next_step,
                dry_run=rule.dry_run,
                facts={"lacks": str(problem.lacks)} if problem.lacks else None,
            ),
        )
