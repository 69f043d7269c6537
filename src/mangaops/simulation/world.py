"""The seeded generator of MangaAssist traffic: week by week, each week on its own. All of it simulated.

docs/simulated-world.md has the labelling guideline that the true labels follow, and the measured difficulty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.errors import UsageError
from mangaops.simulation.catalogue import Shelf
from mangaops.simulation.grammar import Grammar
from mangaops.simulation.labels import LABEL_SOURCE, annotate
from mangaops.simulation.lexicon import banks
from mangaops.simulation.messages import SLOTS, Author, Rates, Said, Thread
from mangaops.simulation.people import SWITCHES, Persona, persona, visitor
from mangaops.simulation.style import typed

__all__ = ["BEGINS", "WEEK", "Rates", "Week", "World"]

BEGINS: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""Monday on which week 0 begins."""

WEEK: Final = timedelta(days=7)

LOG_SCHEMA: Final[dict[str, Any]] = {
    "request_id": pl.String,
    "text": pl.String,
    "label": pl.String,
    "conversation_id": pl.String,
    "user_id": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "turn": pl.Int64,
    "label_source": pl.String,
    "annotator": pl.String,
    "language": pl.String,
}
TRUTH_SCHEMA: Final[dict[str, Any]] = {
    "request_id": pl.String,
    "label": pl.String,
    "kind": pl.String,
}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Week:
    """One week of simulated traffic.

    `logs` are rows as a store of labelled logs has them, in order of time: request_id, text, label (of an
    annotator, with errors), conversation_id, user_id, at (UTC), turn (from 1), label_source (always
    "simulated-annotator"), annotator, language ("en" or "ja-en"). `truth` has request_id, the true label, and
    kind: single, multi_intent, settled, follow_up, stock, pasted or out_of_scope.
    """

    number: int
    begins: datetime
    logs: pl.DataFrame
    truth: pl.DataFrame

    @property
    def ends(self) -> datetime:
        """The first moment after the week."""
        return self.begins + WEEK


@lru_cache(maxsize=1)
def _grammar() -> Grammar:
    return Grammar(banks(), SLOTS)


class World:
    """A simulated world: users, titles and wordings that persist and drift from week to week.

    The same seed, rates, week and number of conversations give the same rows on every machine; a week does
    not depend on which weeks were generated before it.
    """

    def __init__(self, seed: int, rates: Rates | None = None) -> None:
        if seed < 0:
            raise UsageError(
                "the seed was refused", found=str(seed), accepted="0 or more", next_step="give another seed"
            )
        self.seed = seed
        self.rates = rates or Rates()
        self._persona: Callable[[int], Persona] = lru_cache(maxsize=100_000)(
            lambda user: persona(self.seed, user)
        )

    def week(self, number: int, conversations: int, progress: Progress | None = None) -> Week:
        """The traffic of one week, counted from 0, with so many conversations of 1 to 8 turns.

        Raises:
            UsageError: the week is negative, or there is not one conversation.
        """
        if number < 0 or conversations < 1:
            raise UsageError(
                "a simulated week was refused",
                found=f"week {number}, {conversations} conversations",
                accepted="a week from 0, with at least 1 conversation",
                next_step="give other numbers",
            )
        begins = BEGINS + number * WEEK
        rng = np.random.default_rng([self.seed, 3, number])
        author = Author(_grammar(), Shelf(self.seed, number), number, self.rates, rng, self._copied())
        logs: list[tuple[Any, ...]] = []
        truth: list[tuple[str, str, str]] = []
        for index in range(conversations):
            user = visitor(number, conversations, rng)
            self._converse(f"w{number:02d}-{index:06d}", user, begins, author, rng, logs, truth)
            if progress and index % 500 == 499:
                progress(f"simulating week {number}", index + 1, conversations)
        frame = pl.DataFrame(logs, schema=LOG_SCHEMA, orient="row").sort("at", "request_id")
        truths = pl.DataFrame(truth, schema=TRUTH_SCHEMA, orient="row")
        ordered = frame.select("request_id").join(truths, on="request_id", maintain_order="left")
        return Week(number, begins, frame, ordered)

    def _copied(self) -> tuple[Said, ...]:
        rng = np.random.default_rng([self.seed, 4])
        return Author(_grammar(), Shelf(self.seed, 0), 0, self.rates, rng).passed_around(40)

    def _converse(
        self,
        name: str,
        user: int,
        begins: datetime,
        author: Author,
        rng: np.random.Generator,
        logs: list[tuple[Any, ...]],
        truth: list[tuple[str, str, str]],
    ) -> None:
        who = self._persona(user)
        at = begins + opening(rng)
        thread = Thread()
        for turn in range(1, turns(rng) + 1):
            said = author.say(thread, who, turn)
            switch = who.bilingual and said.kind != "pasted" and rng.random() < SWITCHES
            text = said.text if said.verbatim else typed(said.text, who, switch=switch, rng=rng)
            thread.said.append(text)
            label, annotator = annotate(said.label, rng)
            request = f"sim-{name}-{turn}"
            language = "ja-en" if switch and not said.verbatim else "en"
            ids = (f"sim-c-{name}", f"sim-user-{user:07d}")
            logs.append((request, text, label, *ids, at, turn, LABEL_SOURCE, annotator, language))
            truth.append((request, said.label, said.kind))
            at += timedelta(seconds=15 + int(rng.exponential(70.0)) % 300)


def turns(rng: np.random.Generator) -> int:
    """How many messages a user sends in one conversation: 1 to 8, about 2.7 on average."""
    return min(8, 1 + int(rng.geometric(0.4)) - 1 + int(rng.random() < 0.25))


def opening(rng: np.random.Generator) -> timedelta:
    """When in a week somebody comes: evenings and weekends most."""
    day = int(rng.choice(7, p=(0.13, 0.12, 0.12, 0.13, 0.16, 0.18, 0.16)))
    hour = float(np.clip(rng.normal(11.0, 4.5), 0.0, 22.5))
    return timedelta(days=day, seconds=int(hour * 3600))
