"""Templates that expand into sentences, each choice drawn with weights that move from week to week.

A template is text with `(this|that)` for one of several, `[perhaps]` for half of the time, and `{bank}`
for a draw from a bank of templates or from a slot that the caller fills. Banks may be listed in banks.
Weights of a bank's entries rise and fall with the week, each entry at a phase of its own, so wordings come
into fashion and go.
"""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mangaops.errors import InputError

Slots = Mapping[str, Callable[[], str]]
_ARTICLE = re.compile(r"\b(a)(?= (?:[aeioAEIO]|[uU](?!s|ni)))")
FASHION_WEEKS = 13.0
FASHION_SWING = 1.6


@dataclass(frozen=True)
class Choice:
    """One of several sequences, drawn evenly."""

    among: tuple[Sequence_, ...]


@dataclass(frozen=True)
class Slot:
    """A draw from a named bank or slot."""

    name: str


Sequence_ = tuple["str | Choice | Slot", ...]


def parse(template: str) -> Sequence_:
    """The template as a tree.

    Raises:
        InputError: brackets do not match.
    """
    sequence, at = _alternatives(template, 0, "")
    if at != len(template):
        raise _broken(template)
    return sequence


def _alternatives(text: str, at: int, closer: str) -> tuple[Sequence_, int]:
    among: list[Sequence_] = []
    parts: list[str | Choice | Slot] = []
    plain = at
    while at < len(text) and text[at] not in ")]":
        mark = text[at]
        if mark not in "([{|":
            at += 1
            continue
        parts += [text[plain:at]] if at > plain else []
        if mark == "|":
            among.append(tuple(parts))
            parts = []
            at += 1
        else:
            part, at = _bracket(text, at)
            parts.append(part)
        plain = at
    parts += [text[plain:at]] if at > plain else []
    if closer and (at >= len(text) or text[at] != closer):
        raise _broken(text)
    among.append(tuple(parts))
    return (among[0] if len(among) == 1 else (Choice(tuple(among)),)), at


def _bracket(text: str, at: int) -> tuple[Choice | Slot, int]:
    if text[at] == "{":
        end = text.find("}", at)
        if end < 0:
            raise _broken(text)
        return Slot(text[at + 1 : end]), end + 1
    optional = text[at] == "["
    inner, end = _alternatives(text, at + 1, "]" if optional else ")")
    return Choice((inner, ()) if optional else (inner,)), end + 1


def _broken(template: str) -> InputError:
    return InputError(
        "a template of the simulated world was refused: its brackets do not match",
        found=template,
        accepted="(a|b), [perhaps], {bank}",
        next_step="mend the file under simulation/words",
    )


class Grammar:
    """Banks of templates, parsed once.

    Raises:
        InputError: a template's brackets do not match, or a name is neither a bank nor in `slots`.
    """

    def __init__(self, banks: Mapping[str, Sequence[str]], slots: Sequence[str]) -> None:
        self._banks = {name: tuple(parse(entry) for entry in entries) for name, entries in banks.items()}
        self._phases = {name: [_phase(entry) for entry in entries] for name, entries in banks.items()}
        self._fashions: dict[int, dict[str, list[float]]] = {}
        unknown = sorted(_names(self._banks.values()) - set(banks) - set(slots))
        if unknown:
            raise InputError(
                "a template of the simulated world was refused: it names what does not exist",
                found=", ".join(unknown),
                accepted="a bank of simulation/words, or a slot: " + ", ".join(slots),
                next_step="mend the file under simulation/words",
            )

    def writer(self, week: int, slots: Slots, rng: np.random.Generator) -> Writer:
        """A writer who draws with the weights of that week."""
        if week not in self._fashions:
            self._fashions[week] = {name: _cumulated(phases, week) for name, phases in self._phases.items()}
        return Writer(self._banks, self._fashions[week], slots, rng)


class Writer:
    """Expands banks into text with the weights of one week."""

    def __init__(
        self,
        banks: Mapping[str, tuple[Sequence_, ...]],
        fashions: Mapping[str, list[float]],
        slots: Slots,
        rng: np.random.Generator,
    ) -> None:
        self._banks = banks
        self._fashions = fashions
        self._slots = slots
        self._rng = rng

    def write(self, bank: str, fill: Mapping[str, str] | None = None) -> str:
        """One text of the bank, spaces tidied; `fill` gives the text of slots for this call only."""
        parts: list[str] = []
        self._draw(bank, fill or {}, parts)
        text = " ".join("".join(parts).split()).replace(" '", "'").replace("my My ", "My ")
        return articled(text)

    def _draw(self, bank: str, fill: Mapping[str, str], parts: list[str]) -> None:
        weights = self._fashions[bank]
        at = bisect_right(weights, self._rng.random() * weights[-1])
        self._expand(self._banks[bank][min(at, len(weights) - 1)], fill, parts)

    def _expand(self, sequence: Sequence_, fill: Mapping[str, str], parts: list[str]) -> None:
        for part in sequence:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, Choice):
                self._expand(part.among[int(self._rng.random() * len(part.among))], fill, parts)
            elif part.name in fill:
                parts.append(fill[part.name])
            elif part.name in self._slots:
                parts.append(self._slots[part.name]())
            else:
                self._draw(part.name, fill, parts)


def articled(text: str) -> str:
    """The text with `an` for `a` before a vowel."""
    return _ARTICLE.sub(r"\1n", text)


def _phase(entry: str) -> float:
    return int.from_bytes(hashlib.blake2b(entry.encode(), digest_size=4).digest()) / 2**32


def _cumulated(phases: Sequence[float], week: int) -> list[float]:
    total = 0.0
    cumulated = []
    for phase in phases:
        total += math.exp(FASHION_SWING * math.cos(2 * math.pi * (week / FASHION_WEEKS - phase)))
        cumulated.append(total)
    return cumulated


def _names(banks: object) -> set[str]:
    if isinstance(banks, Slot):
        return {banks.name}
    if isinstance(banks, Choice):
        return _names(banks.among)
    if isinstance(banks, str):
        return set()
    return set().union(*(_names(part) for part in banks)) if banks else set()  # type: ignore[attr-defined]
