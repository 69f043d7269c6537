"""Users who persist from week to week, come and go, and each write in a manner of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHURN = 0.12
"""Share of the users of a week who are gone the week after, replaced by new ones."""

BILINGUAL = 0.20
SWITCHES = 0.47
"""A bilingual user's share of messages that mix Japanese in: 0.20 x 0.47 is about 9 in 100."""


@dataclass(frozen=True)
class Persona:
    """How one user writes."""

    lower: bool
    bare: bool
    slang: float
    typos: float
    bilingual: bool
    polite: float
    storyteller: float


def persona(seed: int, user: int) -> Persona:
    """The manner of one user, the same in each week."""
    rng = np.random.default_rng([seed, 2, user])
    return Persona(
        lower=bool(rng.random() < 0.5),
        bare=bool(rng.random() < 0.35),
        slang=float(rng.beta(0.8, 2.0)),
        typos=float(rng.beta(0.7, 5.0)),
        bilingual=bool(rng.random() < BILINGUAL),
        polite=float(rng.beta(1.2, 3.0)),
        storyteller=float(rng.beta(2.0, 2.5)),
    )


def pool(conversations: int) -> int:
    """How many users are about in a week with so many conversations."""
    return max(40, int(conversations * 1.4))


def visitor(week: int, conversations: int, rng: np.random.Generator) -> int:
    """The number of one user of that week; low numbers of the pool come more often."""
    size = pool(conversations)
    return int(week * size * CHURN) + int(size * rng.random() ** 1.25)
