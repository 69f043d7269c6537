"""Logits of many rows at once, to choose an epoch by; what serves is measured one row at a time in parity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mangaops.training.steps.calibrate import log_loss
from mangaops.training.steps.precision import Precision, autocast, device
from mangaops.training.steps.rows import Rows

_BATCH = 64


def logits(
    network: nn.Module, held_out: Rows, chosen: Sequence[int], precision: Precision
) -> NDArray[np.float64]:
    """Logits of shape (chosen, labels) in the order of `chosen`, without dropout.

    Rows share batches by length; masked padding moves a float32 logit by some 1e-6.
    """
    network.eval()
    order = sorted(range(len(chosen)), key=lambda place: len(held_out.ids[chosen[place]]))
    parts = []
    with torch.inference_mode(), autocast(precision):
        for start in range(0, len(order), _BATCH):
            batch = [chosen[place] for place in order[start : start + _BATCH]]
            ids, mask, _ = held_out.tensors(batch, device())
            parts.append(network(ids, mask).double().cpu().numpy())
    together = np.concatenate(parts)
    given = np.empty_like(together)
    given[order] = together
    return given


def score(given: NDArray[np.float64], targets: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy and minus log loss: greater is better. (-1, 0) for a broken network."""
    if not np.isfinite(given).all():
        return (-1.0, 0.0)
    return float((given.argmax(axis=1) == targets).mean()), -log_loss(given, targets, 1.0)
