"""Why a release is where it is, with the numbers of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mangaops.release.desk import Desk
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.escape import visible
from mangaops.release.figures import MISSING, Row, moment
from mangaops.release.helps import helps
from mangaops.release.wording import price_lines, sentence
from mangaops.vocabulary import State


@dataclass(frozen=True)
class Explanation:
    """The answer to "why was router-3 refused?": the report's numbers, in order of weight."""

    release: str
    state: str
    outcome: str | None
    baseline: str
    sentence: str
    since: str
    because: str
    gates: tuple[Row, ...]
    helps: tuple[str, ...]
    price: tuple[str, ...]
    decision: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON values; `gates` holds the whole decision table."""
        rows = [each.finding.as_dict() for each in self.gates]
        return {**vars(self), "gates": rows, "helps": list(self.helps), "price": list(self.price)}

    @property
    def text(self) -> str:
        """For a terminal: the sentence, what failed or is open, what helps, what it costs."""
        lines = [f"{self.release} is {self.state} since {moment(self.since)}: {self.because}", self.sentence]
        against = [row for row in self.gates if row.verdict != "PASS" and not row.dry_run]
        for row in against or self.gates:
            lines += _gate_lines(row, whole=bool(against))
        lines += _block("what would likely help", self.helps)
        lines += _block("what would settle it, if nothing differs", self.price)
        return "\n".join(lines) + "\n"


def _gate_lines(row: Row, *, whole: bool) -> list[str]:
    bounds = f" ({row.interval})" if row.interval != MISSING else ""
    asked = f", threshold {row.threshold}" if row.threshold != MISSING else ""
    counted = f", n {row.n}" if row.n != MISSING else ""
    head = f"  {row.symbol} {row.word} {row.gate}, {row.subject}: {row.observed}{bounds}{asked}{counted}"
    if not whole:
        return [head]
    return [head, f"      {row.says}", *([f"      next: {row.next_step}"] if row.next_step else [])]


def _block(title: str, lines: tuple[str, ...]) -> list[str]:
    return [f"{title}:", *(f"  - {line}" for line in lines)] if lines else []


def explain(desk: Desk, unit: str, release: str) -> Explanation:
    """Why the release is where it is: champion, rejected, held, withdrawn, rolled back or on its way.

    Raises:
        UsageError: no such unit or release.
        IntegrityError: a stored document or evidence is missing or was changed.
    """
    return explained(dossier(desk, unit, release))


def explained(case: Dossier) -> Explanation:
    """The explanation of what was gathered."""
    subject = case.subject
    return Explanation(
        release=subject.name,
        state=_state(case),
        outcome=str(case.outcome) if case.outcome else None,
        baseline=case.baseline,
        sentence=sentence(case),
        since=subject.stands_since,
        because=visible(subject.stands_because),
        gates=tuple(case.rows),
        helps=tuple(helps(case)),
        price=tuple(price_lines(case)),
        decision=case.decided.digest if case.decided else None,
    )


def _state(case: Dossier) -> str:
    if case.subject.state in (State.CHALLENGER, State.SHADOW) and case.outcome == "HOLD":
        return f"held ({case.subject.state})"
    return str(case.subject.state).replace("_", " ")
