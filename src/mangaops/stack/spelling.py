"""A word that nothing is called: the known one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is close; None where none is."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def guess(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known word is close; empty where none is."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close else ""


def near(word: str, accepted: Collection[str]) -> str:
    """The `guess`, else the known words, twelve at most."""
    shown = sorted(accepted)
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return guess(word, accepted) or (f"; known are {', '.join(shown[:12])}{more}" if shown else "")
