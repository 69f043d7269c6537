"""no_critical_regression: no critical label gets worse by more than a margin, and no named example does."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Label, Params
from mangaops.gates.paired import gain_in, subject_of
from mangaops.gates.proof import Unusable, again, proof, scored
from mangaops.gates.verdicts import settle
from mangaops.metrics import Scored
from mangaops.stack import Rule
from mangaops.vocabulary import EvidenceKind, Verdict

EXAMPLES = "critical_examples"
_COLUMNS = ("text", "truth", "baseline_label", "release_label")


class NoCriticalRegression(Params):
    """`metric` of each of `labels` may be worse by `margin`, at one-sided `confidence`.

    Under `min_examples` golden rows of a label it is INCONCLUSIVE. Named critical examples, where the
    model lists them, have zero tolerance.
    """

    metric: Literal["recall", "precision"] = "recall"
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    margin: Amount
    min_examples: Count = 300
    confidence: Confidence = 0.5


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, NoCriticalRegression)
    rows = scored(case)
    named = _named_examples(rule, case)
    return (*(_label(rule, case, rows, params, label) for label in params.labels), *named)


def _label(rule: Rule, case: Case, rows: Scored, params: NoCriticalRegression, label: str) -> Finding:
    try:
        compared = gain_in(case, rows, params.metric, label)
    except Unusable as problem:
        subject = subject_of(params.metric, label, "golden")
        return Finding(
            rule.gate,
            subject,
            Verdict.ERROR,
            problem.says,
            n=0,
            next_step=problem.next_step,
            dry_run=rule.dry_run,
        )
    return settle(rule, case, compared, params.margin, params.confidence, params.min_examples)


def _named_examples(rule: Rule, case: Case) -> tuple[Finding, ...]:
    """One finding on the named examples, or none where the model lists none."""
    evidence = proof(case, EvidenceKind.EVALUATION)
    frame = evidence.tables.get(EXAMPLES)
    if frame is None and case.model.critical_examples is None:
        return ()
    if frame is None or not set(_COLUMNS) <= set(frame.columns):
        says = f"the model names critical examples, and the evaluation holds no table {EXAMPLES} of them"
        raise Unusable(says, again(case, EvidenceKind.EVALUATION))
    right_before = pl.col("baseline_label") == pl.col("truth")
    lost = frame.with_row_index("number", offset=1).filter(
        right_before & (pl.col("release_label") != pl.col("truth"))
    )
    first = lost.head(1).to_dicts()
    example = "example {number}, {truth} answered as {release_label}"
    shown = f", the first is {example.format_map(first[0])}" if first else ""
    return (
        Finding(
            gate=rule.gate,
            subject="critical examples",
            verdict=Verdict.FAIL if first else Verdict.PASS,
            says=f"critical examples: {lost.height} of {frame.height} that were right are wrong now{shown}",
            observed=float(lost.height),
            threshold=0.0,
            unit="examples",
            n=frame.height,
            next_step="train on texts like these; a named example has zero tolerance" if first else "",
            dry_run=rule.dry_run,
        ),
    )


GATE = Gate(NoCriticalRegression, _judge, lambda params: len(params.labels))
