"""A load curve as an SVG file of its own: milliseconds by share of capacity, readable without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from mangaops.pipeline.gateway_bench import Point

_QUANTILES: Final = ((0.5, "P50", "6 0"), (0.95, "P95", "8 4"), (0.99, "P99", "2 3"))
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 360, 60, 580, 20, 310
_STYLE: Final = (
    "svg{background:#fff;font:12px sans-serif}text{fill:#222}.grid{stroke:#ddd}"
    "polyline{fill:none;stroke:#234;stroke-width:2}circle{fill:#234}"
)

_LABEL: Final = 13.0
"""Height of a line of text."""


def load_curve(points: Sequence[Point], title: str) -> str:
    """The SVG text; a logarithmic axis of milliseconds, since a curve near capacity leaves any other."""
    values = {
        name: [(point.share, point.report.latencies.quantile(q)) for point in points]
        for q, name, _ in _QUANTILES
    }
    known = [ms for line in values.values() for _, ms in line if math.isfinite(ms)]
    decades = (
        math.floor(math.log10(min(known, default=1.0))),
        math.ceil(math.log10(max(known, default=10.0))),
    )
    parts = [*_grid(decades), *_shares(points)]
    free = math.inf
    for _, name, dashes in _QUANTILES:
        line = [each for each in values[name] if math.isfinite(each[1])]
        if line:
            free = min(_y(line[-1][1], decades) + 4, free - _LABEL)  # labels of lines that meet lie apart
            parts += _line(line, name, dashes, decades, free)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _x(share: float) -> float:
    return _LEFT + share * (_RIGHT - _LEFT)


def _y(milliseconds: float, decades: tuple[int, int]) -> float:
    low, high = decades
    return _BOTTOM - (math.log10(milliseconds) - low) / max(1, high - low) * (_BOTTOM - _TOP)


def _grid(decades: tuple[int, int]) -> list[str]:
    parts = []
    steps = (1, 2, 5) if decades[1] - decades[0] <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(*decades) for step in steps] + [10.0 ** decades[1]]
    for tick in ticks:
        y = _y(tick, decades)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return [*parts, f'<text x="{_LEFT - 6}" y="{_TOP - 8}" text-anchor="end">ms</text>']


def _shares(points: Sequence[Point]) -> list[str]:
    parts = [
        f'<text x="{_x(point.share):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{point.share:.0%}</text>'
        for point in points
    ]
    middle = (_LEFT + _RIGHT) / 2
    return [*parts, f'<text x="{middle}" y="{_BOTTOM + 38}" text-anchor="middle">load, of capacity</text>']


def _line(
    points: Sequence[tuple[float, float]], name: str, dashes: str, decades: tuple[int, int], label_y: float
) -> list[str]:
    at = [(_x(share), _y(ms, decades)) for share, ms in points]
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{name} at {share:.0%}: {ms:.2f} ms</title></circle>'
        for (x, y), (share, ms) in zip(at, points, strict=True)
    ]
    label = f'<text x="{at[-1][0] + 8:.1f}" y="{label_y:.1f}">{name}</text>'
    return [f'<polyline stroke-dasharray="{dashes}" points="{through}"/>', *dots, label]
