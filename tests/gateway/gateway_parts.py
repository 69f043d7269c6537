"""What tests of the gateway room stand on: predictors made of functions, waiting, and a room in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from mangaops.gateway.slots import Slot, Slots
from mangaops.inference import Answer
from mangaops.vocabulary import Action, SlotState

ANY_TEXT = st.lists(st.one_of(st.characters(), st.sampled_from("\ud800\ud83d\udfff"))).map("".join)
"""Texts of every kind, also those with lone surrogates, which no codec writes."""

FALLBACK = "fallback:offer_human"
PATIENCE = 30.0
"""Seconds after which what was waited for counts as never happening; no test takes them when it passes."""


def told(label: str, confidence: float = 0.9) -> Answer:
    return Answer(label, confidence, Action.ROUTE)


def echoed(texts: Sequence[str]) -> list[Answer]:
    """Each text is its own label."""
    return [told(text) for text in texts]


@dataclass(eq=False)
class Says:
    """A predictor made of a function from texts to answers."""

    say: Callable[[Sequence[str]], list[Answer]] = echoed
    name: str = "intent-classifier@v1"
    labels: tuple[str, ...] = ("order_tracking", "promotion", "escalation")

    def answer(self, text: str) -> Answer:
        return self.say([text])[0]

    def read(self, text: str) -> str:
        return text

    def answer_together(self, read: Sequence[str]) -> list[Answer]:
        return self.say(read)


def warm_slot(slots: Slots, release: str, predictor: Says | None = None) -> Slot:
    """The release could answer now."""
    slot = slots.add(release)
    slot.move(SlotState.WARMING)
    slot.predictor = predictor or Says()
    slot.move(SlotState.HEALTHY)
    return slot


def until(holds: Callable[[], bool], what: str = "it") -> None:
    """`holds` is true; AssertionError where that takes too long."""
    waited, end = threading.Event(), time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE:g} s"
        waited.wait(0.005)
