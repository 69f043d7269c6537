"""Golden rows as evaluation evidence holds them, for the tests of several rooms."""

from __future__ import annotations

from typing import Any

import polars as pl


def outcomes(rows: list[tuple[str, str, str]], **columns: Any) -> pl.DataFrame:
    """One golden row for each (truth, baseline's answer, release's answer)."""
    count = len(rows)
    plain: dict[str, Any] = {
        "row_id": [f"row-{number}" for number in range(count)],
        "group": [f"group-{number}" for number in range(count)],
        "text": [f"text {number}" for number in range(count)],
        "truth": [row[0] for row in rows],
        "weight": [1.0] * count,
        "baseline_label": [row[1] for row in rows],
        "release_label": [row[2] for row in rows],
        "baseline_confidence": [0.9] * count,
        "release_confidence": [0.9] * count,
        "seen": [False] * count,
        "near": [False] * count,
        "language": ["en"] * count,
        "turn": [1] * count,
        "words": [6] * count,
        "jargon": [False] * count,
        "new_user": [False] * count,
    }
    return pl.DataFrame({**plain, **columns})
