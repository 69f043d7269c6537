"""The ten intents, their shares, and the simulated annotators who label them with errors."""

from __future__ import annotations

from typing import Final

import numpy as np

SHARES: Final[dict[str, float]] = {
    "product_discovery": 0.22,
    "recommendation": 0.18,
    "product_question": 0.15,
    "order_tracking": 0.12,
    "faq": 0.08,
    "return_request": 0.07,
    "chitchat": 0.06,
    "promotion": 0.05,
    "checkout_help": 0.04,
    "escalation": 0.03,
}
"""Share of each intent among true labels; they add up to 1."""

LABELS: Final[tuple[str, ...]] = tuple(SHARES)

CONFUSED_WITH: Final[dict[str, tuple[str, ...]]] = {
    "product_discovery": ("recommendation", "product_question"),
    "recommendation": ("product_discovery", "product_question"),
    "product_question": ("product_discovery", "faq"),
    "order_tracking": ("faq", "return_request"),
    "faq": ("product_question", "checkout_help", "chitchat"),
    "return_request": ("faq", "order_tracking"),
    "chitchat": ("faq", "recommendation"),
    "promotion": ("checkout_help", "faq"),
    "checkout_help": ("promotion", "faq"),
    "escalation": ("chitchat", "order_tracking"),
}
"""What a careless annotator writes in the place of the true label."""

LABEL_SOURCE: Final = "simulated-annotator"

ANNOTATOR_ERRORS: Final[dict[str, float]] = {
    f"sim-annotator-{number:02d}": rate
    for number, rate in enumerate((0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.045, 0.070), start=1)
}
"""Error rate of each simulated annotator; the mean is 3.5 in 100."""


def annotate(label: str, rng: np.random.Generator) -> tuple[str, str]:
    """(Label as annotated, annotator): one of the simulated annotators, who errs at a personal rate."""
    names = tuple(ANNOTATOR_ERRORS)
    annotator = names[int(rng.random() * len(names))]
    if rng.random() >= ANNOTATOR_ERRORS[annotator]:
        return label, annotator
    wrong = CONFUSED_WITH[label]
    return wrong[int(rng.random() * len(wrong))], annotator
