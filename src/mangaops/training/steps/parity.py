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
    return np.asarray(side_by_side(session.alone, ids, told), dtype=np.float64)


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


def compare_vectors(vectors: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Rows, and of each pair of runtimes the least and the mean cosine of a text's two unit vectors."""
    rows = len(next(iter(vectors.values())))
    found: dict[str, Any] = {"rows": rows, "least_cosine": {}, "mean_cosine": {}}
    for a, b in combinations(vectors, 2):
        cosines = (vectors[a].astype(np.float64) * vectors[b]).sum(axis=1)
        whole = bool(np.isfinite(cosines).all())
        found["least_cosine"][f"{a}/{b}"] = float(cosines.min()) if whole else -1.0
        found["mean_cosine"][f"{a}/{b}"] = float(cosines.mean()) if whole else -1.0
    return found


def compare_scores(scores: Mapping[str, Sequence[NDArray[np.float32]]]) -> dict[str, Any]:
    """Queries, and of each two runtimes how alike the scores of the queries' candidates are.

    `correlation` is Pearson's over all scores; `same_top` the share of queries with the same three candidates
    in front, in any order. Order among the many that answer nothing is noise and is not counted.
    """
    found: dict[str, Any] = {"queries": len(next(iter(scores.values()))), "correlation": {}, "same_top": {}}
    for a, b in combinations(scores, 2):
        found["correlation"][f"{a}/{b}"] = _correlation(np.concatenate(scores[a]), np.concatenate(scores[b]))
        same = [_front(x) == _front(y) for x, y in zip(scores[a], scores[b], strict=True)]
        found["same_top"][f"{a}/{b}"] = float(np.mean(same))
    return found


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """-1 where a score is no number or where all are equal: such a model tells nothing apart."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return -1.0
    return float(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1])


def _front(scores: NDArray[np.float32]) -> set[int]:
    front: set[int] = set(np.argsort(-scores, kind="stable")[:3].tolist())
    return front


def under(figures: Mapping[str, float], floor: float, what: str) -> list[str]:
    """What does not hold: every pair of runtimes has at least `floor`."""
    return [f"{pair} have {what} {value:.4f}" for pair, value in figures.items() if not value >= floor]


def refuse(found: Sequence[str], accepted: str, next_step: str) -> None:
    """Nothing, once nothing is `found`.

    Raises:
        TrainingError: with the figures of each pair that failed.
    """
    if found:
        raise TrainingError(
            "the artifact was refused: its runtimes do not answer alike",
            found="; ".join(found),
            accepted=accepted,
            next_step=next_step,
        )


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
    refuse(
        broken(parity, agreement),
        f"agreement of {agreement:.1%} and accuracy within {100 * ACCURACY_WITHIN:.1f} points",
        "train longer or on more rows, so that fewer answers are close calls",
    )
