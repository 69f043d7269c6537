"""How much data a question costs, and what asking several questions does to a level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mangaops.stats.interval import check_confidence, normal_quantile


def rows_to_settle(
    discordance: float, margin: float, confidence: float, power: float = 0.8, design_effect: float = 1.0
) -> int | None:
    """Paired rows after which a test for "not worse by `margin`" passes with `power`, if nothing differs.

    `discordance`: the share of rows on which the two sides differ, in [0, 1]; `margin` in the same unit as
    the difference. About 6.2 discordance / margin^2 at confidence 0.95 and power 0.8. Never under what a
    run without any discordant row needs. None: no number of rows settles it (a margin of zero or less).

    Raises:
        ValueError: a discordance outside [0, 1], a design effect not over zero, confidence or power
            outside (0, 1).

    Source: Liu, Hsueh, Hsieh and Chen (2002), Statistics in Medicine 21:231, equation 8; Tango (1998).
    """
    if not 0.0 <= discordance <= 1.0 or design_effect <= 0.0:
        raise ValueError(f"discordance {discordance} and design effect {design_effect} make no sense")
    z, reach = normal_quantile(confidence), normal_quantile(power)
    if margin <= 0.0:
        return None
    rows = max(0.0, z + reach) ** 2 * discordance / margin**2
    without_discordance = max(0.0, z) ** 2 * max(0.0, 1.0 - margin) / margin
    return max(1, math.ceil(max(rows, without_discordance) * design_effect))


def labels_for_review(
    disagreement: float, margin: float, confidence: float, power: float = 0.8, design_effect: float = 1.0
) -> int | None:
    """Labels that settle the same question when only the disagreements of live traffic are labelled.

    They are `disagreement` times `rows_to_settle`: about 6.2 (disagreement / margin)^2 at confidence 0.95
    and power 0.8. None: no number of labels settles it.

    Raises:
        ValueError: as rows_to_settle.
    """
    rows = rows_to_settle(disagreement, margin, confidence, power, design_effect)
    return None if rows is None else max(1, math.ceil(rows * disagreement))


def split_confidence(confidence: float, looks: int) -> float:
    """The confidence of each of `looks` questions that keeps `confidence` for all of them (Bonferroni).

    Raises:
        ValueError: fewer than one look, or a confidence outside (0, 1).
    """
    if looks < 1:
        raise ValueError(f"at least one look is needed, and {looks} were given")
    return 1.0 - (1.0 - check_confidence(confidence)) / looks


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values, in the order given: reject where they are at most the level of the whole family.

    Empty in, empty out.

    Raises:
        ValueError: not one-dimensional, or a value outside [0, 1].

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if raw.ndim != 1 or not bool(np.all((raw >= 0.0) & (raw <= 1.0))):
        raise ValueError("p-values must be one row of numbers between 0 and 1")
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
