"""Parity: torch, fp32 and int8 give the same answers, or nothing is sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import TrainingError
from mangaops.inference.answer import side_by_side
from mangaops.inference.session import Session

MOST_ROWS: Final = 2000
ACCURACY_WITHIN: Final = 0.003
CHANCE: Final = 0.95


def sample(rows: int, most: int = MOST_ROWS) -> list[int]:
    """Row numbers, evenly spread over `rows` and at most `most`: the same ones every time."""
    chosen: list[int] = np.linspace(0, rows - 1, min(rows, most)).round().astype(int).tolist()
    return chosen


def serve(
    session: Session, ids: Sequence[list[int]], told: Callable[[int, int], None] | None = None
) -> NDArray[np.float64]:
    """Logits of shape (rows, labels), each row asked alone as it will be when it serves."""
    return np.asarray(side_by_side(session.logits, ids, told), dtype=np.float64)


def compare(logits: Mapping[str, NDArray[np.float64]], targets: NDArray[np.int64]) -> dict[str, Any]:
    """Rows, accuracy of each runtime and agreement of each pair, as shares in 0..1."""
    labels = {name: rows.argmax(axis=1) for name, rows in logits.items()}
    finite = {name: bool(np.isfinite(rows).all()) for name, rows in logits.items()}
    return {
        "rows": len(targets),
        "accuracy": {name: float((row == targets).mean()) for name, row in labels.items()},
        "agreement": {
            f"{a}/{b}": float((labels[a] == labels[b]).mean()) if finite[a] and finite[b] else 0.0
            for a, b in combinations(labels, 2)
        },
    }


def _allowed(rows: int, share: float) -> float:
    """How many rows may differ: the share of 2,000 and more, what chance gives at that share of fewer."""
    if rows >= MOST_ROWS:
        return round(share * rows, 6)
    from scipy.stats import binom

    return float(binom.ppf(CHANCE, rows, share))


def broken(parity: Mapping[str, Any], agreement: float) -> list[str]:
    """What does not hold: every pair answers alike on `agreement` of the rows, as accurate within 0.3 points.

    Fewer than 2,000 rows cannot resolve that: there, so many rows may differ as a pair exactly at the limit
    shows in 95 of 100 such samples (binomial).
    """
    rows, found = parity["rows"], []
    unlike, apart = _allowed(rows, 1 - agreement), _allowed(rows, ACCURACY_WITHIN)
    for pair, share in parity["agreement"].items():
        a, b = pair.split("/")
        gap = abs(parity["accuracy"][a] - parity["accuracy"][b])
        if round((1 - share) * rows, 6) > unlike:
            found.append(f"{pair} agree on {share:.2%} of {rows} rows")
        if round(gap * rows, 6) > apart:
            found.append(f"{pair} differ by {100 * gap:.2f} points of accuracy on {rows} rows")
    return found


def require(parity: Mapping[str, Any], agreement: float) -> None:
    """Nothing, once nothing is `broken`.

    Raises:
        TrainingError: with the figures of each pair that failed.
    """
    if found := broken(parity, agreement):
        raise TrainingError(
            "the artifact was refused: its runtimes do not answer alike",
            found="; ".join(found),
            accepted=f"agreement of {agreement:.1%} and accuracy within {100 * ACCURACY_WITHIN:.1f} points",
            next_step="train longer or on more rows, so that fewer answers are close calls",
        )
