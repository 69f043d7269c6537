"""What serving and evaluation share: an answer, whatever gives one, and asking one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mangaops.stack import Actions
from mangaops.vocabulary import Action

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a predictor says about one text; `confidence` is the calibrated probability of `label`."""

    label: str
    confidence: float
    action: Action


class Predictor(Protocol):
    """Anything that answers one text with one of its labels."""

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
    """Every text answered in order and one at a time, which is the batch shape that serves.

    Dynamic int8 answers depend on what shares the batch, so nothing here is batched.
    """
    rows: Sequence[str] = list(texts)
    given: list[Answer] = []
    for done, text in enumerate(rows):
        if progress is not None and done % 100 == 0:
            progress(f"{predictor.name} answers", done, len(rows))
        given.append(predictor.answer(text))
    if progress is not None:
        progress(f"{predictor.name} answers", len(rows), len(rows))
    return given
