"""Inline SVG for reports: drawn by hand, coloured by the page's CSS variables, readable in black and white.

Every text that comes from data is escaped here, since the results are inserted as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from markupsafe import Markup, escape

from mangaops.gates import Finding
from mangaops.release.escape import visible
from mangaops.release.figures import figure, is_difference
from mangaops.vocabulary import Side

NOTHING: Final = Markup("")
MOST_LABELS: Final = 30
"""A confusion matrix of more labels shows those with the most mistakes."""


def interval(finding: Finding, width: int = 200, height: int = 26) -> Markup:
    """A bar from low to high, a dot at the observed value, a dashed line at the threshold; else nothing."""
    values = (finding.low, finding.observed, finding.high, finding.threshold)
    known = [value for value in values if value is not None and math.isfinite(value)]
    if finding.low is None or finding.high is None or finding.observed is None or len(known) < 3:
        return NOTHING
    difference = is_difference(finding)
    ends = [*known, 0.0] if difference else known
    least, most = min(ends), max(ends)
    room = (most - least) * 0.06 or abs(most) * 0.06 or 1.0

    def x(value: float) -> float:
        bounded = min(max(value, least), most)
        return 4 + (bounded - least + room) / (most - least + 2 * room) * (width - 8)

    def shown(value: float | None) -> str:
        return figure(value, finding.unit, difference=difference)

    middle = height / 2
    title = f"{shown(finding.observed)}, {shown(finding.low)} to {shown(finding.high)}"
    parts = [f'<line class="axis" x1="2" x2="{width - 2}" y1="{middle}" y2="{middle}"/>']
    if difference:
        parts.append(f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="{height - 8}"/>')
    if finding.threshold is not None:
        title += f", threshold {shown(finding.threshold)}"
        at = x(finding.threshold)
        parts.append(f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="{height - 2}"/>')
    low, high = x(finding.low), x(finding.high)
    wide = max(high - low, 1)
    parts.append(f'<rect class="bar" x="{low:.1f}" y="{middle - 3.5}" width="{wide:.1f}" height="7" rx="2"/>')
    parts.append(f'<circle class="dot" cx="{x(finding.observed):.1f}" cy="{middle}" r="4"/>')
    return svg("interval", width, height, title, parts)


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]], title: str) -> Markup:
    """Truth by answer as a heat map, each row in shares of its truth; counts are written where they fit."""
    counts = np.asarray(matrix, dtype=np.int64)
    kept = _most_mistaken(counts)
    counts = counts[np.ix_(kept, kept)]
    names = [visible(labels[index], 22) for index in kept]
    size, cell = len(names), max(12, min(40, 520 // max(1, len(names))))
    left, top = 8 + 7 * max(map(len, names), default=0), 10
    bottom = int(left * 0.75) + 14
    parts = []
    totals = np.maximum(counts.sum(axis=1), 1)
    for place in range(size):
        y = top + (place + 0.5) * cell + 4
        shown = escape(names[place])
        parts.append(f'<text class="name" x="{left - 6}" y="{y:.0f}" text-anchor="end">{shown}</text>')
        x, under = left + (place + 0.5) * cell, top + size * cell + 12
        parts.append(
            f'<text class="name" transform="translate({x:.0f} {under}) rotate(-45)" text-anchor="end">'
            f"{shown}</text>"
        )
    for i, j in zip(*np.nonzero(counts), strict=True):
        share = float(counts[i, j] / totals[i])
        parts += _cell(
            left + j * cell, top + i * cell, cell, int(counts[i, j]), share, i == j, names[i], names[j]
        )
    width, height = left + size * cell + 10, top + size * cell + bottom
    frame = f'<rect class="frame" x="{left}" y="{top}" width="{size * cell}" height="{size * cell}"/>'
    return svg("confusion", width, height, title, [*parts, frame])


def _cell(
    x: int, y: int, cell: int, count: int, share: float, right: bool, truth: str, answer: str
) -> list[str]:
    strength = 0.12 + 0.88 * share
    kind = "right" if right else "wrong"
    title = escape(f"{truth} answered {answer}: {count} ({100 * share:.1f} % of {truth})")
    parts = [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{cell}" height="{cell}" fill-opacity="{strength:.2f}">'
        f"<title>{title}</title></rect>"
    ]
    if cell >= 26:
        strong = " strong" if strength > 0.55 else ""
        parts.append(
            f'<text class="count{strong}" x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle">'
            f"{count}</text>"
        )
    return parts


def _most_mistaken(counts: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> list[int]:
    occurs = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    worst = sorted(occurs.tolist(), key=lambda index: (-mistakes[index], index))[:MOST_LABELS]
    return sorted(worst)


def latency(samples: pl.DataFrame, limit_ms: float | None, width: int = 560, height: int = 240) -> Markup:
    """The share of requests answered within so many milliseconds, one curve a side, the limit dashed."""
    if samples.is_empty():
        return NOTHING
    shown = float(samples["ms"].quantile(0.99) or 0.0) * 1.2
    near = limit_ms is not None and limit_ms < 4 * shown
    most = max(shown, limit_ms * 1.05 if limit_ms is not None and near else 0.0, 1e-6)
    left, right, top, bottom = 44, width - 12, 12, height - 34
    parts = []
    for percent in (0, 50, 95):
        y = bottom - percent / 100 * (bottom - top)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="name" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    for tick in _ticks(most):
        x = left + tick / most * (right - left)
        parts.append(f'<text class="name" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text class="name" x="{right}" y="{bottom + 30}" text-anchor="end">milliseconds</text>')
    for side in Side:
        values = np.sort(samples.filter(pl.col("side") == str(side))["ms"].to_numpy())
        parts.append(_curve(values, str(side), most, (left, right, top, bottom)))
    if limit_ms is not None and not near:
        label = f"limit {limit_ms:g} ms, far to the right"
        parts.append(f'<text class="name" x="{right}" y="{bottom - 6}" text-anchor="end">{label}</text>')
    elif limit_ms is not None:
        x = left + limit_ms / most * (right - left)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        label = f"limit {limit_ms:g} ms"
        parts.append(f'<text class="name" x="{x - 4:.1f}" y="{bottom - 6}" text-anchor="end">{label}</text>')
    return svg("latency", width, height, "share of requests answered within a time, by side", parts)


def _curve(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    side: str,
    most: float,
    box: tuple[int, int, int, int],
) -> str:
    left, right, top, bottom = box
    if not values.size:
        return ""
    shares = np.unique(np.concatenate([np.linspace(0, 0.9, 60), np.linspace(0.9, 1, 60)]))
    places = np.minimum((shares * values.size).astype(int), values.size - 1)
    points = [
        f"{left + min(float(values[p]), most) / most * (right - left):.1f},{bottom - s * (bottom - top):.1f}"
        for p, s in zip(places, shares, strict=True)
    ]
    return f'<polyline class="curve {side}" points="{" ".join(points)}"/>'


def _ticks(most: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if most / s <= 8)
    return [round(step * index, 10) for index in range(int(most / step) + 1)]


def svg(kind: str, width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    """The parts as one drawing; its title is read aloud."""
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
