"""leakage: no golden row is known from training, and no verdict hangs on rows that are close to it.

Of golden queries the first is all: they have no label, so that nothing says how right an answer to them is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Evidence
from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Gate, Params
from mangaops.gates.paired import Gain
from mangaops.gates.proof import Unusable, again, proof, rerun, scored
from mangaops.gates.verdicts import change, levels
from mangaops.metrics import METRICS, Scored
from mangaops.stack import Rule, SearchDataSpec
from mangaops.vocabulary import EvidenceKind, Side, Verdict

Flags = NDArray[np.bool_]

_NO_LABELS = "; accuracy on rows near a training text is left out, for queries have no labels"

FEWEST = 30
"""Under so many rows near to, or far from, a training text the two cannot be told apart."""


class Leakage(Params):
    """No parameters: what counts as a conflict, and `too_good_over`, are said in the data section."""


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    conflicts = _conflicts(rule, case)
    if isinstance(case.data, SearchDataSpec):
        return (replace(conflicts, says=f"{conflicts.says}{_NO_LABELS}"),)
    return (conflicts, _too_good(rule, case, case.data.too_good_over))


def _conflicts(rule: Rule, case: Case) -> Finding:
    """FAIL on a single conflict with a training row of the release; ERROR where the baseline alone has one.

    What only the baseline learnt flatters the baseline: the comparison is void, and the release not to blame.
    """
    evidence = proof(case, EvidenceKind.LEAKAGE)
    unchecked = [str(side) for side in Side if side not in evidence.facts["checks"]]
    if unchecked:
        says = f"leakage was not checked against the training rows of {' and '.join(unchecked)}"
        raise Unusable(says, again(case, EvidenceKind.LEAKAGE))
    conflicts = evidence.tables["conflicts"]
    kinds = conflicts.group_by("side", "check").len().sort("side", "check").rows()
    listed = ", ".join(f"{count} by {check} with {side}" for side, check, count in kinds)
    found, next_step = _of_conflicts(case, conflicts)
    return Finding(
        gate=rule.gate,
        subject="conflicts with training",
        verdict=found,
        says=f"{conflicts.height} conflicts between comparison rows and training rows of both sides"
        + (f": {listed}" if listed else "")
        + ("; a grown golden set leaves these rows out" if found is Verdict.ERROR else ""),
        observed=float(conflicts.height),
        threshold=0.0,
        unit="conflicts",
        n=int(evidence.facts["rows"]),
        next_step=next_step,
        dry_run=rule.dry_run,
    )


def _of_conflicts(case: Case, conflicts: pl.DataFrame) -> tuple[Verdict, str]:
    if conflicts.is_empty():
        return Verdict.PASS, ""
    if (conflicts.get_column("side") == Side.RELEASE).any():
        return Verdict.FAIL, "take the conflicting rows out of training, never out of the golden set"
    return Verdict.ERROR, f"{rerun(case)} --grow-golden"


def _too_good(rule: Rule, case: Case, limit: float) -> Finding:
    """FAIL where near rows score too well, the baseline does not share that, and a verdict hangs on them.

    Where the baseline shares the advantage the rows are easy for both: then a verdict that hangs on them
    is INCONCLUSIVE.
    """
    rows = scored(case)
    near = rows.outcomes.get_column("near").to_numpy()
    few = min(int(near.sum()), int((~near).sum()))
    if few < FEWEST:
        says = f"{int(near.sum()):,} of {near.size:,} rows are near a training text: too few to score apart"
        return _finding(rule, Verdict.PASS, says, None, limit, near.size)
    at = levels(case, 0.5)
    gap = _advantage(case, rows, near)
    counted = (
        f"accuracy on {int(near.sum()):,} rows near a training text differs by {change(gap.point, 'share')} "
        f"from that on the other {int((~near).sum()):,}"
    )
    if gap.point <= limit or gap.lower(at.shown) <= limit:
        says = f"{counted}; up to {change(limit, 'share')} is fine"
        return _finding(rule, Verdict.PASS, says, gap.point, limit, near.size)
    says = f"{counted}, at least {change(gap.lower(at.shown), 'share')}, over {change(limit, 'share')}"
    hanging = _hanging(case)
    if not hanging:
        says = f"{says}; no verdict hangs on them"
        return _finding(rule, Verdict.PASS, says, gap.point, limit, near.size)
    own = _advantage_over_baseline(case, rows, near).lower(at.failing) > 0.0
    whose = "the baseline does not share that" if own else "the baseline shares that"
    says = f"{says}; without them {', '.join(hanging)} would not pass, and {whose}"
    found = Verdict.FAIL if own else Verdict.INCONCLUSIVE
    return _finding(rule, found, says, gap.point, limit, near.size)


def _finding(
    rule: Rule, found: Verdict, says: str, observed: float | None, limit: float, rows: int
) -> Finding:
    return Finding(
        gate=rule.gate,
        subject="accuracy on rows near a training text minus that on the rest",
        verdict=found,
        says=says,
        observed=observed,
        threshold=limit,
        unit="share",
        n=rows,
        next_step="" if found is Verdict.PASS else "take near-duplicates of golden rows out of training",
        dry_run=rule.dry_run,
        facts={"difference": True},
    )


def _advantage(case: Case, rows: Scored, near: Flags) -> Gain:
    """Accuracy of the release on near rows minus that on the rest, as two ratios over the same rows."""
    sides = METRICS["accuracy"].rows(rows, None)
    return _split(case, rows, sides.release_numerator, near, "near rows")


def _advantage_over_baseline(case: Case, rows: Scored, near: Flags) -> Gain:
    """How much more the release gains on the baseline on near rows than on the rest."""
    sides = METRICS["accuracy"].rows(rows, None)
    return _split(case, rows, sides.release_numerator - sides.baseline_numerator, near, "near advantage")


def _split(case: Case, rows: Scored, top: NDArray[np.float64], near: Flags, name: str) -> Gain:
    weight, far = rows.weight, ~near
    if not (weight[near].sum() > 0 and weight[far].sum() > 0):
        says = "rows near a training text cannot be scored: they weigh nothing"
        raise Unusable(says, again(case, EvidenceKind.EVALUATION))
    return Gain.between(case, name, (top * far, weight * far, top * near, weight * near), rows.groups)


def _hanging(case: Case) -> tuple[str, ...]:
    """The rules that pass with the near rows and not without them.

    What is asked is whether the values hold: a rule that merely has few rows left, or none, does not hang.
    """
    if case.others is None:
        return ()
    evidence = case.evidence[EvidenceKind.EVALUATION]
    kept = evidence.tables["outcomes"].filter(~pl.col("near"))
    apart = Evidence(evidence.kind, evidence.binding, evidence.facts, {**evidence.tables, "outcomes": kept})
    without = replace(case, evidence={**case.evidence, EvidenceKind.EVALUATION: apart}, any_number=True)
    before, after = case.others(case), case.others(without)
    passed = {(finding.gate, finding.subject) for finding in before if finding.verdict is Verdict.PASS}
    fell = (Verdict.INCONCLUSIVE, Verdict.FAIL)
    lost = [f for f in after if f.verdict in fell and (f.gate, f.subject) in passed]
    return tuple(dict.fromkeys(f"{finding.gate} ({finding.subject})" for finding in lost))


GATE = Gate(Leakage, _judge, lambda _params: 1)
