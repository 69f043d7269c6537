"""release_record: all eight artifacts of a release are there."""

from __future__ import annotations

from collections.abc import Mapping

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Gate, Params
from mangaops.gates.proof import proof, rerun
from mangaops.stack import Rule
from mangaops.vocabulary import EvidenceKind, Family, RecordPart, Verdict

_CLASSIFYING = frozenset({Family.INTENT_CLASSIFIER, Family.SENTIMENT_DETECTOR})


class ReleaseRecord(Params):
    """No parameters: the eight artifacts are the same for every unit."""


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    """A missing artifact is an ERROR that names it; without classes there is no confusion matrix."""
    facts = proof(case, EvidenceKind.RECORD).facts
    parts = facts["parts"]
    needed = [
        part
        for part in RecordPart
        if part is not RecordPart.CONFUSION_MATRIX or case.model.family in _CLASSIFYING
    ]
    missing = [f"{part}{_whose(facts.get('of', {}), part)}" for part in needed if not parts.get(part)]
    held = len(needed) - len(missing)
    lacking = f"; missing: {', '.join(missing)}" if missing else ""
    return (
        Finding(
            gate=rule.gate,
            subject="required artifacts",
            verdict=Verdict.ERROR if missing else Verdict.PASS,
            says=f"{held} of {len(needed)} required artifacts are on record{lacking}",
            observed=float(held),
            threshold=float(len(needed)),
            unit="artifacts",
            n=len(needed),
            next_step=rerun(case, EvidenceKind.RECORD) if missing else "",
            dry_run=rule.dry_run,
        ),
    )


def _whose(of: Mapping[str, Mapping[str, str | None]], part: RecordPart) -> str:
    """` of NAME` for each model or part that lacks it, where a release holds several."""
    lacking = [name for name, found in of.items() if part in found and not found[part]]
    return f" of {' and '.join(lacking)}" if lacking else ""


GATE = Gate(ReleaseRecord, _judge, lambda _params: 0)
