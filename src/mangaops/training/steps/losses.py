"""Losses that do not let the frequent labels drown the rare ones."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mangaops.training.parameters import IntentTraining

_POWER: Final = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}


def class_weights(targets: NDArray[np.int64], labels: int, kind: str) -> torch.Tensor:
    """Weights of shape (labels,): 1/share to the power 0, 1/2 or 1, with mean 1 over the rows.

    A label without rows gets 0: nothing can be learnt about it.
    """
    counts = np.bincount(targets, minlength=labels).astype(np.float64)
    raw = np.divide(1.0, counts ** _POWER[kind], out=np.zeros(labels), where=counts > 0)
    return torch.tensor(raw * counts.sum() / (raw * counts).sum(), dtype=torch.float32)


def loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, options: IntentTraining
) -> torch.Tensor:
    """Mean weighted loss of a batch: cross-entropy, or focal loss (Lin et al. 2017, equation 5).

    With `focal_gamma` 0 the focal loss is the cross-entropy.
    """
    rows = functional.cross_entropy(
        logits, targets, reduction="none", label_smoothing=options.label_smoothing
    )
    if options.loss == "focal":
        right = logits.softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1)
        rows = rows * (1.0 - right) ** options.focal_gamma
    return (rows * weights[targets]).mean()


def info_nce(
    queries: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean InfoNCE of unit vectors: how surely each query picks its own item, row q of `items`, from all.

    `items` has the queries' own first and hard negatives behind them. `relevant`, of shape (queries, items),
    is true where an item is relevant to a query: all of these but its own are left out of its choice, whether
    another query brought them or they were drawn.

    Source: van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, equation 4,
    with exp(cosine / temperature) as the density ratio.
    """
    own = torch.arange(len(queries), device=queries.device)
    left_out = relevant.clone()
    left_out[own, own] = False
    cosines = (queries @ items.T / temperature).masked_fill(left_out, -torch.inf)
    return functional.cross_entropy(cosines, own)
