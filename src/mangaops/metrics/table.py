"""The metrics that rules may name. A new one is a function and a line in `METRICS`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mangaops.metrics.metric import Metric, Metrics, Numbers, Sides
from mangaops.metrics.ranking import RANKINGS
from mangaops.metrics.reviewed import Reviewed
from mangaops.metrics.scored import Scored
from mangaops.vocabulary import Direction, Side

CALIBRATION_BINS: Final = 15


def _accuracy(scored: Scored, _label: str | None) -> Sides:
    return _hits(scored, scored.weight)


def _rare_accuracy(scored: Scored, _label: str | None) -> Sides:
    return _hits(scored, scored.weight * scored.rare[scored.truth])


def _recall(scored: Scored, label: str | None) -> Sides:
    return _hits(scored, scored.weight * _is(scored, label)[scored.truth])


def _precision(scored: Scored, label: str | None) -> Sides:
    """Rows that a side answered with the label, and those of them that are right."""
    wanted = _is(scored, label)
    answered = [scored.weight * wanted[scored.answers(side)] for side in Side]
    right = [scored.answers(side) == scored.truth for side in Side]
    return Sides(answered[0] * right[0], answered[0], answered[1] * right[1], answered[1])


def _harm_cost(scored: Scored, _label: str | None) -> Sides:
    cost = [scored.weight * scored.cost[scored.truth, scored.answers(side)] for side in Side]
    return Sides(cost[0], scored.weight, cost[1], scored.weight, float(scored.cost.max(initial=0.0)) or 1.0)


def _escalation_miss_rate(scored: Scored, _label: str | None) -> Sides:
    """True escalations, and those of them that are answered with a label that offers no human."""
    asked = scored.weight * scored.escalating[scored.truth]
    missed = [asked * ~scored.escalating[scored.answers(side)] for side in Side]
    return Sides(missed[0], asked, missed[1], asked)


def _calibration_error(scored: Scored, _label: str | None) -> Sides:
    """Rows of the expected calibration error. Resampling holds the signs fixed: slightly narrow near zero."""
    gaps = [
        calibration_gaps(scored.confidence(side), scored.answers(side) == scored.truth, scored.weight)
        for side in Side
    ]
    return Sides(gaps[0], scored.weight, gaps[1], scored.weight)


def calibration_gaps(confidence: Numbers, right: NDArray[np.bool_], weight: Numbers) -> Numbers:
    """A number a row whose sum, over that of `weight`, is the expected calibration error in equal-width bins.

    It is the row's weighted (confidence - correctness) times the sign of its bin's total.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI, equation 3, with weights.
    """
    gap: Numbers = weight * (confidence - right)
    cell = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    signs: Numbers = np.sign(np.bincount(cell, weights=gap, minlength=CALIBRATION_BINS))
    return np.asarray(gap * signs[cell], dtype=np.float64)


def _preference(reviewed: Reviewed, _label: str | None) -> Sides:
    """Reviewed requests, and those of them on which people prefer the side's answer."""
    baseline, release = (reviewed.weight * reviewed.prefers(side) for side in Side)
    return Sides(baseline, reviewed.weight, release, reviewed.weight)


def _hits(scored: Scored, weight: Numbers) -> Sides:
    return Sides(
        weight * (scored.baseline == scored.truth), weight, weight * (scored.release == scored.truth), weight
    )


def _is(scored: Scored, label: str | None) -> Numbers:
    return np.array([float(name == label) for name in scored.labels])


_HIGHER, _LOWER = Direction.HIGHER, Direction.LOWER
_CLASSIFYING: Final = (
    Metric("accuracy", "share", _HIGHER, False, "answers that are the true label", _accuracy, Scored),
    Metric("rare_accuracy", "share", _HIGHER, False, "the same, of rare labels", _rare_accuracy, Scored),
    Metric("recall", "share", _HIGHER, True, "rows of the label that are found", _recall, Scored),
    Metric("precision", "share", _HIGHER, True, "answers of the label that are right", _precision, Scored),
    Metric("harm_cost", "cost a request", _LOWER, False, "mean cost by the harm matrix", _harm_cost, Scored),
    Metric(
        "escalation_miss_rate",
        "share",
        _LOWER,
        False,
        "requests for a human that are answered otherwise",
        _escalation_miss_rate,
        Scored,
    ),
    Metric(
        "calibration_error",
        "share",
        _LOWER,
        False,
        "gap between confidence and correctness",
        _calibration_error,
        Scored,
    ),
)
_PREFERRED: Final = Metric(
    "preference",
    "share",
    _HIGHER,
    False,
    "reviewed requests on which people prefer it",
    _preference,
    Reviewed,
)
METRICS: Final = Metrics((*_CLASSIFYING, *RANKINGS, _PREFERRED))
