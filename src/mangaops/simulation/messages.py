"""One message of a conversation: which intent, which kind of message, which words. All of it simulated.

Kinds: `single` (one intent), `multi_intent` (two, both alive), `settled` (a second intent is mentioned as
done, refused or someone else's), `follow_up` (understood only from the turn before), `stock` ("thank you"),
`pasted` (the same text again) and `out_of_scope`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mangaops.simulation.catalogue import Shelf
from mangaops.simulation.grammar import Grammar
from mangaops.simulation.labels import LABELS, SHARES
from mangaops.simulation.people import Persona

SLOTS: Final = (
    "title",
    "other_title",
    "author",
    "vol",
    "vol2",
    "order_no",
    "days",
    "amount",
    "main",
    "aside",
)

OUT_OF_SCOPE_AS: Final = ("chitchat", "faq")
"""The guideline's labels for what the shop does not do: idle talk, and requests for other services."""


FIRST_IS_PRIMARY: Final = 0.65
"""Of two live requests, how often the first one named is the primary one."""

OPAQUE: Final = 0.5
"""Of the follow-ups, how many say nothing of their intent: no router that reads one message can know it."""


@dataclass(frozen=True)
class Rates:
    """Shares of all messages; `stay` and `follow_up` are of later turns, `story` of plain requests."""

    multi_intent: float = 0.18
    settled: float = 0.06
    out_of_scope: float = 0.05
    pasted: float = 0.006
    stay: float = 0.45
    follow_up: float = 0.32
    story: float = 0.42


@dataclass
class Thread:
    """What a conversation remembers: its intent of the moment, and what was said."""

    label: str = ""
    said: list[str] = field(default_factory=list)
    said_labels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    """A message before it is typed. `verbatim`: it is pasted as it stands."""

    text: str
    label: str
    kind: str
    verbatim: bool = False


class Author:
    """Writes the messages of one week."""

    def __init__(
        self,
        grammar: Grammar,
        shelf: Shelf,
        week: int,
        rates: Rates,
        rng: np.random.Generator,
        copied: Sequence[Said] = (),
    ) -> None:
        self._copied = copied
        self._rng = rng
        self._rates = rates
        self._shelf = shelf
        self._writer = grammar.writer(week, self._slots(), rng)

    def say(self, thread: Thread, who: Persona, turn: int) -> Said:
        """The next message of the thread; the thread remembers its label."""
        said = self._repeat(thread) or self._fresh(thread, who, turn)
        thread.label = said.label
        thread.said_labels.append(said.label)
        return said

    def _repeat(self, thread: Thread) -> Said | None:
        """At times an earlier message of the thread again, or a text that goes round among users."""
        chance = self._rng.random()
        if chance < self._rates.pasted and self._copied:
            return self._copied[int(self._rng.random() * len(self._copied))]
        if chance < self._rates.pasted * 2 and thread.said:
            at = int(self._rng.random() * len(thread.said))
            return Said(thread.said[at], thread.said_labels[at], "pasted", verbatim=True)
        return None

    def passed_around(self, count: int) -> tuple[Said, ...]:
        """Texts that users copy from each other, word for word."""
        labels = [label for label in LABELS if label != "chitchat"] * count
        texts = (f"{self._writer.write('story')} {self._core(label)}" for label in labels[:count])
        return tuple(
            Said(text, label, "pasted", verbatim=True) for text, label in zip(texts, labels, strict=False)
        )

    def _fresh(self, thread: Thread, who: Persona, turn: int) -> Said:
        rng, rates = self._rng, self._rates
        stays = turn > 1 and rng.random() < rates.stay
        label = thread.label if stays else self._label()
        if label in OUT_OF_SCOPE_AS and rng.random() < _out_of_scope_within(label, rates.out_of_scope):
            return Said(
                self._dressed(self._writer.write(f"{label}.out_of_scope"), who), label, "out_of_scope"
            )
        if label == "chitchat":
            return self._chitchat(turn)
        if stays and rng.random() < rates.follow_up:
            bank = "follow_up" if rng.random() < OPAQUE else f"{label}.follow_up"
            return Said(self._writer.write(bank), label, "follow_up")
        return self._request(label, who)

    def _chitchat(self, turn: int) -> Said:
        if self._rng.random() < 0.6:
            return Said(
                self._writer.write("chitchat.hello" if turn == 1 else "chitchat.stock"), "chitchat", "stock"
            )
        return Said(self._writer.write("chitchat.ask"), "chitchat", "single")

    def _request(self, label: str, who: Persona) -> Said:
        chance = self._rng.random() * _requests(self._rates)
        if chance < self._rates.multi_intent:
            return self._two(label)
        if chance < self._rates.multi_intent + self._rates.settled:
            return self._settled(label)
        return Said(self._dressed(self._core(label), who), label, "single")

    def _dressed(self, text: str, who: Persona) -> str:
        """The request with a story before it, or a thank-you after it, as is the user's manner."""
        if self._rng.random() < self._rates.story * 2 * who.storyteller:
            text = f"{self._writer.write('story')} {text}"
        if self._rng.random() < who.polite:
            text = f"{text} {self._writer.write('thanks')}"
        return text

    def _core(self, label: str) -> str:
        if self._rng.random() < 0.6:
            return self._writer.write(f"{label}.ask")
        return self._writer.write("frame", {"main": self._writer.write(f"{label}.vp")})

    def _two(self, label: str) -> Said:
        other = self._other(label, alive=True)
        order = "first" if self._rng.random() < FIRST_IS_PRIMARY else "last"
        if label == "escalation":
            order = "any"
        return Said(self._pair(f"two_{order}", label, other), label, "multi_intent")

    def _settled(self, label: str) -> Said:
        return Said(self._pair("settled", label, self._other(label, alive=False)), label, "settled")

    def _pair(self, bank: str, label: str, other: str) -> str:
        fill = {"main": self._writer.write(f"{label}.vp"), "aside": self._writer.write(f"{other}.vp")}
        return self._writer.write(bank, fill)

    def _other(self, label: str, *, alive: bool) -> str:
        """Another intent; a request for a human that is alive would be the primary one, so it is left out."""
        barred = {label, "chitchat"} | ({"escalation"} if alive else set())
        while (other := self._label()) in barred:
            pass
        return other

    def _label(self) -> str:
        return LABELS[min(bisect_right(_CUMULATED, self._rng.random()), len(LABELS) - 1)]

    def _slots(self) -> dict[str, Callable[[], str]]:
        rng, shelf = self._rng, self._shelf
        return {
            "title": lambda: shelf.draw(rng).title,
            "other_title": lambda: shelf.draw(rng).title,
            "author": lambda: shelf.draw(rng).author,
            "vol": lambda: str(1 + int(rng.random() * 24)),
            "vol2": lambda: str(2 + int(rng.random() * 30)),
            "order_no": lambda: f"MA-{int(rng.random() * 900_000) + 100_000}",
            "days": lambda: str(2 + int(rng.random() * 19)),
            "amount": lambda: str(10 * (50 + int(rng.random() * 1_500))),
        }


_CUMULATED = [float(each) for each in np.cumsum(list(SHARES.values()))]


def _out_of_scope_within(label: str, share: float) -> float:
    return share / len(OUT_OF_SCOPE_AS) / SHARES[label]


def _requests(rates: Rates) -> float:
    """Share of all messages that are requests: neither chitchat nor out of scope nor follow-ups."""
    later = 0.53
    asked = 1.0 - SHARES["chitchat"] - rates.out_of_scope / 2
    return asked * (1.0 - later * rates.stay * rates.follow_up) * (1.0 - 2 * rates.pasted)
