"""How a sentence is typed: lower case, slang, typos, Japanese mixed in. All of it simulated."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from mangaops.simulation.lexicon import words
from mangaops.simulation.people import Persona

_WORD = re.compile(r"[A-Za-z']+")
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo",
    "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w", "r": "et",
    "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip


def typed(text: str, who: Persona, *, switch: bool, rng: np.random.Generator) -> str:
    """The sentence as that user types it; with `switch` at least one Japanese word is in it."""
    if switch:
        text = code_switch(text, rng)
    if rng.random() < who.slang:
        text = _swap(text, _slang(), 0.7, rng)
    if who.lower:
        text = text.lower()
    if who.bare:
        text = re.sub(r"[.!,]", "", text)
        text = text.replace("'", "") if rng.random() < 0.5 else text
    else:
        text = text[:1].upper() + text[1:] if not who.lower else text
    if rng.random() < 0.03 + who.typos:
        text = typo(text, rng)
    return " ".join(text.split())


def code_switch(text: str, rng: np.random.Generator) -> str:
    """The sentence with some words in Japanese (romaji or script), or with Japanese around it."""
    bank = words("japanese")
    mixed = _swap(text, _japanese(), 0.45, rng)
    opening = bank["openings"][int(rng.random() * len(bank["openings"]))]
    closing = bank["closings"][int(rng.random() * len(bank["closings"]))]
    place = rng.random()
    if mixed == text or place < 0.5:
        mixed = f"{opening} {mixed}" if place < 0.4 else f"{mixed} {closing}"
    return mixed


def typo(text: str, rng: np.random.Generator) -> str:
    """The sentence with one or two slips of the finger, each in a word of four letters or more."""
    for _ in range(1 + int(rng.random() < 0.3)):
        places = [m for m in _WORD.finditer(text) if m.end() - m.start() >= 4]
        if not places:
            return text
        word = places[int(rng.random() * len(places))]
        at = word.start() + 1 + int(rng.random() * (word.end() - word.start() - 2))
        text = text[:at] + _slip(text[at : at + 2], rng) + text[at + 2 :]
    return text


def _slip(two: str, rng: np.random.Generator) -> str:
    kind = rng.random()
    if kind < 0.3:
        return two[::-1]
    if kind < 0.55:
        return two[1:]
    if kind < 0.75:
        return two[0] + two
    near = _NEIGHBOURS.get(two[0].lower(), "e")
    return near[int(rng.random() * len(near))] + two[1:]


def _swap(text: str, table: dict[str, list[str]], share: float, rng: np.random.Generator) -> str:
    def other(match: re.Match[str]) -> str:
        found = table.get(match.group(0).lower())
        if found is None or rng.random() >= share:
            return match.group(0)
        return found[int(rng.random() * len(found))]

    return _phrases(tuple(table)).sub(other, text)


@lru_cache(maxsize=4)
def _phrases(keys: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(keys, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b", re.IGNORECASE)


def _slang() -> dict[str, list[str]]:
    table: dict[str, list[str]] = words("slang")["swaps"]
    return table


def _japanese() -> dict[str, list[str]]:
    table: dict[str, list[str]] = words("japanese")["swaps"]
    return table
