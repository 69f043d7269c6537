"""The document that opens when a challenger is not promoted: what failed, where, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mangaops.errors import UsageError
from mangaops.gates.pair import NAMES
from mangaops.release import charts, list_charts
from mangaops.release.desk import Desk
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.figures import MISSING, SENTENCE, count, figure, moment, span
from mangaops.release.helps import helps
from mangaops.release.list_figures import Changes, Place, Query, Square, unjudged
from mangaops.release.pages import md, render
from mangaops.release.report import SIGNS
from mangaops.release.wording import price_lines, sentence, stopped_early
from mangaops.vocabulary import Cell, Outcome


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
        square=list_charts.table,
        figure=figure,
    )


def markdown(case: Dossier) -> str:
    """The review as Markdown; user text in it is masked, escaped and one line."""
    shown = case.summary or {}
    parts = [
        f"# {case.subject.name} was not promoted: {case.outcome}",
        md(sentence(case), SENTENCE),
        md(stopped_early(case)),
        "**Simulated**: the traffic, labels and reviewers of this stack are generated."
        if case.simulated
        else "",
        _section("What stands against it", _gates(case)),
        _section("What would likely help", _list(helps(case))),
        _section("What would settle it, if nothing differs", _list(price_lines(case))),
        _section("Worst slices", _slices(case)),
        *(_section(f"The pair, {md(each.subject)}", _square(each)) for each in case.squares),
        *_changes(case.changes),
        _section("Most costly confusions", _costly(shown.get("costly_confusions", [])[:8])),
        _section("Examples broken", _examples(shown.get("broken", [])[:20])),
        _section("Examples fixed", _examples(shown.get("fixed", [])[:20])),
        f"Decision `{case.decided.digest}`, judged {moment(case.decided.at)}." if case.decided else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {md(line, SENTENCE)}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def _gates(case: Dossier) -> str:
    table = _table(
        ("gate", "subject", "verdict", "observed", "interval", "threshold", "n"),
        (
            (md(r.gate), md(r.subject), f"{r.symbol} {r.word}", r.observed, r.interval, r.threshold, r.n)
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


def _square(found: Square) -> str:
    def shown(gain: Mapping[str, Any] | None) -> list[str]:
        if gain is None:
            return ["", ""]
        told = figure(gain["gain"], found.unit, difference=True)
        return [told, span(gain["low"], gain["high"], found.unit, difference=True)]

    rows = [
        (NAMES[Cell(cell)], figure(value, found.unit), *shown(found.gains.get(cell)))
        for cell, value in found.values.items()
    ]
    low, high = found.interaction["low"], found.interaction["high"]
    moved = figure(found.interaction["estimate"], found.unit, difference=True)
    bounds = span(low, high, found.unit, difference=True)
    both = f"\n\nInteraction {moved} ({bounds})." if len(found.changed) == 2 else ""
    return _table(("models", "value", "gain", "interval"), rows) + both


def _changes(found: Changes | None) -> list[str]:
    if found is None:
        return []
    counted = (
        f"Of {count(found.queries, 'golden query')} {found.worse:,} got worse and {found.better:,} better by "
        f"NDCG@10, {unjudged(found.unjudged)}; {found.broken:,} are broken, {found.fixed:,} fixed."
    )
    return [
        _section("What changed", counted),
        _section("Queries that lost most", _queries(found.lost[:12])),
        _section("Queries that gained most", _queries(found.gained[:12])),
    ]


def _queries(found: Sequence[Query]) -> str:
    def listed(places: Sequence[Place]) -> str:
        return "<br>".join(f"{at}. {md(place.text)}" for at, place in enumerate(places, 1)) or MISSING

    return _table(
        ("query", "NDCG@10", "baseline's list", "release's list"),
        (
            (
                md(each.text) + (f" ({each.word})" if each.word else ""),
                f"{figure(each.before, 'share')} to {figure(each.after, 'share')}",
                listed(each.baseline[:3]),
                listed(each.release[:3]),
            )
            for each in found
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
