"""Everything that reports show of an evaluation, as JSON values."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.metrics.metric import Metric, Sides
from mangaops.metrics.scored import Scored
from mangaops.metrics.slices import parts
from mangaops.metrics.table import METRICS
from mangaops.vocabulary import Side

EXAMPLES: Final = 50
CONFUSIONS: Final = 20


def summary(scored: Scored) -> dict[str, Any]:
    """What was measured of both sides, weighted to the traffic mix.

    Keys: `rows`, `groups`, `labels`, `metrics` {name: {unit, direction, baseline, release, difference, n}},
    `per_label` (one entry a label that occurs), `confusion` {side: matrix of row counts, truth by answer},
    `slices`, `costly_confusions` (of the release), `fixed` and `broken` (examples). A number that no row
    bears is None.
    """
    plain = [metric for metric in METRICS.of(Scored) if not metric.per_label]
    return {
        "rows": scored.outcomes.height,
        "groups": int(scored.groups.max(initial=-1)) + 1,
        "labels": list(scored.labels),
        "metrics": {metric.name: _compared(metric, metric.rows(scored, None)) for metric in plain},
        "per_label": _per_label(scored),
        "confusion": {str(side): confusion(scored, side).tolist() for side in Side},
        "slices": _slices(scored),
        "costly_confusions": _costly(scored),
        "fixed": _examples(scored, fixed=True),
        "broken": _examples(scored, fixed=False),
    }


def confusion(scored: Scored, side: Side) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Matrix of row counts (not weighted), truth by answer, in the order of `labels`."""
    size = len(scored.labels)
    cells = scored.truth * size + scored.answers(side)
    return np.bincount(cells, minlength=size * size).astype(np.int64).reshape(size, size)


def _compared(metric: Metric[Scored], sides: Sides) -> dict[str, Any]:
    baseline, release = sides.value(Side.BASELINE), sides.value(Side.RELEASE)
    return {
        "unit": metric.unit,
        "direction": str(metric.direction),
        "baseline": _number(baseline),
        "release": _number(release),
        "difference": _number(release - baseline),
        "n": sides.rows(),
    }


def _per_label(scored: Scored) -> list[dict[str, Any]]:
    count = np.bincount(scored.truth, minlength=len(scored.labels))
    rows = []
    for number, label in enumerate(scored.labels):
        recall = METRICS["recall"].rows(scored, label)
        precision = METRICS["precision"].rows(scored, label)
        if not count[number] and not precision.rows():
            continue
        row: dict[str, Any] = {
            "label": label,
            "rows": int(count[number]),
            "share": float(scored.shares[number]),
            "critical": label in scored.model.critical,
            "rare": bool(scored.rare[number]),
        }
        for side in Side:
            row[f"{side}_recall"] = _number(recall.value(side))
            row[f"{side}_precision"] = _number(precision.value(side))
        rows.append(row)
    return rows


def _slices(scored: Scored) -> list[dict[str, Any]]:
    """Accuracy of both sides on each slice that has rows."""
    found = []
    for name, value, part in parts(scored):
        sides = METRICS["accuracy"].rows(part, None)
        shown = {str(side): _number(sides.value(side)) for side in Side}
        found.append({"slice": name, "value": value, "rows": part.outcomes.height, **shown})
    return found


def _costly(scored: Scored) -> list[dict[str, Any]]:
    """Pairs of truth and answer of the release by their share of the harm, most costly first."""
    size = len(scored.labels)
    cells = scored.truth * size + scored.release
    weight = np.bincount(cells, weights=scored.weight, minlength=size * size)
    counts = np.bincount(cells, minlength=size * size)
    before = np.bincount(scored.truth * size + scored.baseline, minlength=size * size)
    cost = weight * scored.cost.ravel()
    total = float(scored.weight.sum())
    ranked = sorted(np.flatnonzero(cost > 0).tolist(), key=lambda cell: (-cost[cell], cell))
    return [
        {
            "truth": scored.labels[cell // size],
            "answer": scored.labels[cell % size],
            "rows": int(counts[cell]),
            "baseline_rows": int(before[cell]),
            "cost": float(cost[cell]) / total,
        }
        for cell in ranked[:CONFUSIONS]
    ]


def _examples(scored: Scored, *, fixed: bool) -> list[dict[str, Any]]:
    """Rows that one side answers right and the other wrong, the dearest mistakes first, then by row_id."""
    right, wrong = (scored.release, scored.baseline) if fixed else (scored.baseline, scored.release)
    chosen = np.flatnonzero((right == scored.truth) & (wrong != scored.truth))
    cost = scored.weight * scored.cost[scored.truth, wrong]
    shown = ["row_id", "text", "truth", "baseline_label", "release_label", "weight"]
    frame = scored.outcomes.select(shown).with_columns(cost=pl.Series(cost))[chosen]
    return frame.sort(["cost", "row_id"], descending=[True, False]).head(EXAMPLES).to_dicts()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
