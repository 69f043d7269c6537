"""Numbers as people read them: shares in per cent, differences of shares in points, all with their unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from mangaops.gates import Finding
from mangaops.release.escape import visible
from mangaops.vocabulary import Verdict

MISSING: Final = "–"
NO_CLASSES: Final = "none: the unit ranks, and classifies nothing"
"""What stands for the confusion matrix of a unit that has no labels to confuse."""

SENTENCE: Final = 2000
"""The longest sentence that is shown, in characters."""

NOT_RUN: Final = "not run"
"""What stands for the verdict of a finding that a failed gate left out."""

SYMBOLS: Final = {
    Verdict.PASS: "✓",
    Verdict.INCONCLUSIVE: "?",
    Verdict.ERROR: "!",
    Verdict.FAIL: "✗",
}


def is_difference(finding: Finding) -> bool:
    """Whether the finding's numbers are differences, of release and baseline or of rows, and no values."""
    facts = finding.facts or {}
    return "pass_bound" in facts or bool(facts.get("difference"))


def figure(value: float | None, unit: str, *, difference: bool = False) -> str:
    """A number with its unit; `–` for what is missing or infinite. What rounds to zero has no minus."""
    if value is None or not math.isfinite(value):
        return MISSING
    value = 0.0 if abs(value) < 1e-12 else value
    if unit == "share":
        return f"{100 * value:+z.2f} points" if difference else f"{100 * value:z.2f} %"
    number = f"{value:+.3g}" if difference else (f"{value:.0f}" if value == int(value) else f"{value:.3g}")
    return f"{number} {unit}".strip()


@dataclass(frozen=True)
class Row:
    """One line of the decision table, ready to be shown. `word` is the verdict as people read it."""

    gate: str
    subject: str
    verdict: str
    word: str
    symbol: str
    observed: str
    interval: str
    threshold: str
    n: str
    passes_at: str
    says: str
    next_step: str
    dry_run: bool
    finding: Finding


def row(finding: Finding) -> Row:
    """The finding as a line of the decision table."""
    difference = is_difference(finding)

    def shown(value: float | None) -> str:
        return figure(value, finding.unit, difference=difference)

    bounded = finding.low is not None and finding.high is not None
    return Row(
        gate=finding.gate,
        subject=visible(finding.subject),
        verdict=finding.verdict.name,
        word=NOT_RUN if finding.not_run else finding.verdict.name,
        symbol=MISSING if finding.not_run else SYMBOLS[finding.verdict],
        observed=shown(finding.observed),
        interval=span(finding.low, finding.high, finding.unit, difference=difference) if bounded else MISSING,
        threshold=shown(finding.threshold),
        n=f"{finding.n:,}" if finding.n is not None else MISSING,
        passes_at=f"{finding.passes_at:.3f}" if finding.passes_at is not None else MISSING,
        says=visible(finding.says, SENTENCE),
        next_step=visible(finding.next_step, SENTENCE),
        dry_run=finding.dry_run,
        finding=finding,
    )


def span(low: float | None, high: float | None, unit: str, *, difference: bool = False) -> str:
    """An interval with its unit said once: `+1.20 to +3.40 points`."""
    first, last = (figure(value, unit, difference=difference) for value in (low, high))
    said = last.partition(" ")[2]
    return f"{first.removesuffix(f' {said}') if said else first} to {last}"


def moment(text: str) -> str:
    """A time of the ledger as people read it, to the minute: `2026-04-20 03:00 UTC`."""
    return f"{text[:10]} {text[11:16]} UTC"


def count(number: int, word: str) -> str:
    """`1 row`, `2 rows`, `12,000 queries`, `3 searches`."""
    if number == 1:
        return f"1 {word}"
    if word.endswith("y"):
        return f"{number:,} {word[:-1]}ies"
    return f"{number:,} {word}{'es' if word.endswith('ch') else 's'}"
