"""Temperature: one number that makes the confidences of a finished classifier honest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.predictor import softmax
from mangaops.metrics import calibration_gaps

_COLDEST, _HOTTEST = 0.05, 20.0


def log_loss(logits: NDArray[np.float64], targets: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log-likelihood of the truth, in nats."""
    right = softmax(logits / temperature)[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The temperature in 0.05..20 with the least log loss, to four digits.

    The loss is convex in 1/temperature, so a golden-section search over its logarithm finds the one least
    point. Where every row is right (nothing says how unsure to be) the answer is 1.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    if bool((logits.argmax(axis=1) == targets).all()):
        return 1.0
    low, high, ratio = np.log(_COLDEST), np.log(_HOTTEST), (np.sqrt(5.0) - 1) / 2
    while high - low > 1e-5:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if log_loss(logits, targets, float(np.exp(left))) <= log_loss(logits, targets, float(np.exp(right))):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def calibration_error(logits: NDArray[np.float64], targets: NDArray[np.int64], temperature: float) -> float:
    """Expected calibration error in 0..1, the metric of that name with every row of weight 1."""
    probabilities = softmax(logits / temperature)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    return float(calibration_gaps(confidence, right, np.ones(len(targets))).mean())
