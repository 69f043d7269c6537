"""Incidents staged on purpose: labelled logs are spoiled in a way that a gate must catch. Simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from mangaops.errors import InputError, UsageError
from mangaops.simulation.labels import LABELS

Incident = Callable[[str], str | None]
"""The wrong label that an incident writes in the place of a label; None leaves the row alone."""


def _humans_ignored(label: str) -> str | None:
    return "chitchat" if label == "escalation" else None


def _shifted(label: str) -> str | None:
    return LABELS[(LABELS.index(label) + 1) % len(LABELS)] if label in LABELS else None


def _orders_as_faq(label: str) -> str | None:
    return "faq" if label == "order_tracking" else None


INCIDENTS: Final[dict[str, Incident]] = {
    "humans-ignored": _humans_ignored,
    "labels-shifted": _shifted,
    "orders-as-faq": _orders_as_faq,
}
"""humans-ignored: requests for a human are labelled chitchat, by a guideline that was misread.
labels-shifted: an export moved the label column by one. orders-as-faq: order tracking is labelled faq."""


def spoil(
    logs: pl.DataFrame, rng: np.random.Generator, share: float = 0.6, *, incident: str = "humans-ignored"
) -> pl.DataFrame:
    """The logs with `share` of the incident's rows relabelled, at random; every other cell is as it was.

    Raises:
        UsageError: the incident is unknown, or the share is outside [0, 1].
        InputError: there is no column `label`.
    """
    if incident not in INCIDENTS or not 0.0 <= share <= 1.0:
        raise UsageError(
            "an incident was refused",
            found=f"{incident}, share {share}",
            accepted=f"one of {', '.join(INCIDENTS)}, with a share from 0 to 1",
            next_step="name one of these",
        )
    if "label" not in logs.columns:
        raise InputError(
            "logs were refused: they have no labels to spoil",
            found=", ".join(logs.columns),
            accepted="a column named label",
            next_step="give labelled logs",
        )
    wrong = [INCIDENTS[incident](label) for label in logs.get_column("label")]
    struck = rng.random(logs.height) < share
    labels = [
        new if hit and new is not None else old
        for old, new, hit in zip(logs.get_column("label"), wrong, struck, strict=True)
    ]
    return logs.with_columns(pl.Series("label", labels, dtype=pl.String))
