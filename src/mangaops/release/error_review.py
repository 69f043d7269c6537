"""The document that opens when a challenger is not promoted: what failed, where, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mangaops.errors import UsageError
from mangaops.release import charts
from mangaops.release.desk import Desk
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.figures import figure, moment, span
from mangaops.release.helps import helps
from mangaops.release.pages import md, render
from mangaops.release.report import SIGNS
from mangaops.release.wording import price_lines, sentence, stopped_early
from mangaops.vocabulary import Outcome


@dataclass(frozen=True)
class ErrorReview:
    """The same review twice: for a terminal or a ticket, and for a browser."""

    markdown: str
    html: str


def error_review(desk: Desk, unit: str, release: str) -> ErrorReview:
    """The error review of the newest decision; equal decisions give equal documents.

    Raises:
        UsageError: the release was not judged, or its newest decision is PROMOTE.
        IntegrityError: a stored document or evidence is missing or was changed.
    """
    case = dossier(desk, unit, release)
    if case.outcome not in (Outcome.REJECT, Outcome.HOLD):
        raise UsageError(
            f"an error review of {release} was refused: it was not refused itself",
            found=str(case.outcome or "no decision"),
            accepted="a release that is held or rejected",
            next_step=f"mangaops release explain {release}",
        )
    return ErrorReview(markdown(case), html(case))


def html(case: Dossier) -> str:
    """The review as one self-contained page."""
    return render(
        "error_review.html",
        case=case,
        sign=SIGNS[case.outcome],
        sentence=sentence(case),
        helps=helps(case),
        price=price_lines(case),
        stopped=stopped_early(case),
        interval=charts.interval,
    )


def markdown(case: Dossier) -> str:
    """The review as Markdown; user text in it is masked, escaped and one line."""
    shown = case.summary or {}
    parts = [
        f"# {case.subject.name} was not promoted: {case.outcome}",
        md(sentence(case)),
        md(stopped_early(case)),
        "**Simulated**: the traffic, labels and reviewers of this stack are generated."
        if case.simulated
        else "",
        _section("What stands against it", _gates(case)),
        _section("What would likely help", _list(helps(case))),
        _section("What would settle it, if nothing differs", _list(price_lines(case))),
        _section("Worst slices", _slices(case)),
        _section("Most costly confusions", _costly(shown.get("costly_confusions", [])[:8])),
        _section("Examples broken", _examples(shown.get("broken", [])[:20])),
        _section("Examples fixed", _examples(shown.get("fixed", [])[:20])),
        f"Decision `{case.decided.digest}`, judged {moment(case.decided.at)}." if case.decided else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {md(line)}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def _gates(case: Dossier) -> str:
    table = _table(
        ("gate", "subject", "verdict", "observed", "interval", "threshold", "n"),
        (
            (md(r.gate), md(r.subject), f"{r.symbol} {r.verdict}", r.observed, r.interval, r.threshold, r.n)
            for r in case.open_rows
        ),
    )
    steps = [f"{row.gate}: {row.says}. Next: {row.next_step}" for row in case.open_rows if row.next_step]
    return "\n\n".join(part for part in (table, _list(dict.fromkeys(steps))) if part)


def _slices(case: Dossier) -> str:
    def points(value: float) -> str:
        return figure(value, "share", difference=True)

    return _table(
        ("slice", "rows", "baseline", "release", "difference", "interval at 0.95, one at a time"),
        (
            (
                md(f"{each.name}: {each.value}"),
                f"{each.rows:,}",
                figure(each.baseline, "share"),
                figure(each.release, "share"),
                points(each.difference),
                span(each.low, each.high, "share", difference=True) + (" ▼ worse" if each.worse else ""),
            )
            for each in case.worst_slices[:6]
        ),
    )


def _costly(rows: Sequence[dict[str, Any]]) -> str:
    return _table(
        ("true label", "answered", "rows", "rows of the baseline", "cost a request"),
        (
            (md(r["truth"]), md(r["answer"]), str(r["rows"]), str(r["baseline_rows"]), f"{r['cost']:.4f}")
            for r in rows
        ),
    )


def _examples(rows: Sequence[dict[str, Any]]) -> str:
    return _table(
        ("text", "true label", "baseline said", "release said"),
        ((md(r["text"]), md(r["truth"]), md(r["baseline_label"]), md(r["release_label"])) for r in rows),
    )
