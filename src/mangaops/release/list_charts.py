"""Charts of ranked lists, in the manner of `charts`: gains by slice, and the table of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup, escape

from mangaops.release.charts import NOTHING, svg
from mangaops.release.escape import visible
from mangaops.release.figures import figure, span
from mangaops.release.list_figures import Square
from mangaops.release.slices import Slice
from mangaops.vocabulary import Cell

_ROW: Final = 24
_CELL: Final = (190, 74)
_PLACES: Final = {
    Cell.BASELINE: (0, 0),
    Cell.NEW_ADAPTER: (1, 0),
    Cell.NEW_RERANKER: (0, 1),
    Cell.RELEASE: (1, 1),
}
"""Column and row of each pair: the adapter changes from left to right, the reranker downwards."""


def gains(slices: Sequence[Slice], width: int = 680) -> Markup:
    """One line a slice: the difference with its interval around a line at zero; nothing without slices.

    A slice in which a difference is proven among all is drawn bold, with a sign.
    """
    if not slices:
        return NOTHING
    ends = [0.0, *(bound for each in slices for bound in (each.low, each.high))]
    room = (max(ends) - min(ends)) * 0.05 or 0.01
    least, most = min(ends) - room, max(ends) + room
    left = 24 + int(6.4 * max(len(_name(each)) for each in slices))
    right, height = width - 120, _ROW * len(slices) + 34
    bottom = height - 24

    def x(value: float) -> float:
        return left + (value - least) / (most - least) * (right - left)

    parts = [f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{bottom}"/>']
    parts.append(
        f'<text class="name" x="{x(0):.1f}" y="{bottom + 16}" text-anchor="middle">no difference</text>'
    )
    for number, each in enumerate(slices):
        parts += _line(each, _ROW * number + 16, x(each.low), x(each.difference), x(each.high), left, right)
    return svg("gains", width, height, "difference by slice, with its interval", parts)


def _line(each: Slice, y: int, low: float, middle: float, high: float, left: int, right: int) -> list[str]:
    kind = "better" if each.better else "worse" if each.worse else "open"
    sign = {"better": "▲ ", "worse": "▼ ", "open": ""}[kind]
    name = escape(_name(each))
    told = figure(each.difference, "share", difference=True)
    bounds = span(each.low, each.high, "share", difference=True)
    return [
        f'<text class="name" x="{left - 10}" y="{y + 4}" text-anchor="end">{name}</text>',
        f'<g class="{kind}"><title>{name}: {told}, {escape(bounds)}</title>',
        f'<line class="reach" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>',
        f'<circle class="dot" cx="{middle:.1f}" cy="{y}" r="4.5"/></g>',
        f'<text class="name" x="{right + 10}" y="{y + 4}">{sign}{told}</text>',
    ]


def _name(each: Slice) -> str:
    return f"{each.name}: {visible(each.value, 24)} ({each.rows:,})"


def table(square: Square) -> Markup:
    """The four pairs as a square: value, and below it the gain over the baseline's pair with its interval."""
    wide, high = _CELL
    left, top = 116, 30
    parts = []
    for place, word in enumerate(("old adapter", "new adapter")):
        x = left + (place + 0.5) * wide
        parts.append(f'<text class="name" x="{x}" y="{top - 10}" text-anchor="middle">{word}</text>')
    for place, word in enumerate(("old reranker", "new reranker")):
        y = top + (place + 0.5) * high + 4
        parts.append(f'<text class="name" x="{left - 12}" y="{y}" text-anchor="end">{word}</text>')
    for cell, (column, row) in _PLACES.items():
        parts += _cell(square, cell, left + column * wide, top + row * high)
    width, height = left + 2 * wide + 12, top + 2 * high + 10
    return svg("pair", width, height, f"{square.subject}, by pair of models", parts)


def _cell(square: Square, cell: Cell, x: int, y: int) -> list[str]:
    wide, high = _CELL
    gain = square.gains.get(str(cell))
    kind = {"▲ ": "right", "▼ ": "wrong", "": "plain"}[_sign(gain)]
    value = figure(square.values[str(cell)], square.unit)
    told, bounds = _told(square, cell)
    middle = x + wide / 2
    return [
        f'<rect class="{kind} field" x="{x + 2}" y="{y + 2}" width="{wide - 4}" height="{high - 4}" rx="6"/>',
        f'<text class="value" x="{middle}" y="{y + 28}" text-anchor="middle">{value}</text>',
        f'<text class="name" x="{middle}" y="{y + 46}" text-anchor="middle">{told}</text>',
        f'<text class="name small" x="{middle}" y="{y + 61}" text-anchor="middle">{bounds}</text>',
    ]


def _sign(gain: Mapping[str, Any] | None) -> str:
    """Up or down where the interval of a gain excludes zero; else empty."""
    if gain is None or gain["low"] <= 0.0 <= gain["high"]:
        return ""
    return "▲ " if gain["low"] > 0.0 else "▼ "


def _told(square: Square, cell: Cell) -> tuple[str, str]:
    """The gain of a cell in words, and its interval; a pair that is one side's own says whose."""
    gain = square.gains.get(str(cell))
    if gain is None:
        return "the baseline", ""
    told = _sign(gain) + figure(gain["gain"], square.unit, difference=True)
    return told, span(gain["low"], gain["high"], square.unit, difference=True)
