"""What serving and evaluation share: an answer, whatever gives one, and asking one text at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from mangaops.stack import Actions
from mangaops.vocabulary import Action

Given = TypeVar("Given")
Made = TypeVar("Made")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a predictor says about one text; `confidence` is the calibrated probability of `label`."""

    label: str
    confidence: float
    action: Action

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values, as logs keep it."""
        return {"label": self.label, "confidence": round(self.confidence, 6), "action": str(self.action)}


class Predictor(Protocol):
    """Anything that answers one text with one of its labels, and may be shared between threads."""

    @property
    def name(self) -> str:
        """Who answers, as reports name it: `intent-classifier@v2`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that it can answer."""

    def answer(self, text: str) -> Answer:
        """The answer to any text at all: empty, over-long and malformed ones are answered too."""


def action_for(actions: Actions, label: str, confidence: float) -> Action:
    """The action that follows from an answer: a label to hand over is handed over whatever its confidence."""
    if label in actions.offer_human:
        return Action.OFFER_HUMAN
    return Action.CLARIFY if confidence < actions.clarify_below else Action.ROUTE


def answers(predictor: Predictor, texts: Iterable[str], progress: Progress | None = None) -> list[Answer]:
    """Every text answered in order, each in a batch of its own, which is the shape that serves.

    Dynamic int8 answers depend on what shares the batch, so nothing here is batched.
    """
    told = partial(progress, f"{predictor.name} answers") if progress else None
    return side_by_side(predictor.answer, list(texts), told)


def side_by_side(
    work: Callable[[Given], Made], items: Sequence[Given], told: Callable[[int, int], None] | None = None
) -> list[Made]:
    """What `work` makes of each item, in order; the cores of the machine take different items at a time.

    `told` hears now and then how many are done, and of how many. What `work` raises is raised.
    """
    made: list[Made] = []
    every = max(1, min(100, len(items) // 100))
    with ThreadPoolExecutor(_cores()) as pool:
        for result in pool.map(work, items):
            if told is not None and len(made) % every == 0:
                told(len(made), len(items))
            made.append(result)
    if told is not None:
        told(len(items), len(items))
    return made


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
