"""Digests as people type them: whole, or as far as a heading shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mangaops.errors import UsageError
from mangaops.vocabulary import Digest

_TYPED: Final = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")


def looks_like_digest(name: str) -> bool:
    """Whether it is a digest, or the beginning of one: 8 hex digits or more, with or without `sha256:`."""
    return _TYPED.fullmatch(name) is not None


def chosen(name: str, known: Mapping[str, Digest], *, what: str) -> list[str]:
    """The names in `known` that are meant: the name itself, else those with the digest that begins so.

    Raises:
        UsageError: several digests begin so.
    """
    if name in known:
        return [name]
    typed = _TYPED.fullmatch(name)
    found = [each for each, digest in known.items() if typed and digest.startswith(f"sha256:{typed[1]}")]
    if len({known[each] for each in found}) > 1:
        raise UsageError(
            f"{what} {name!r} was refused: several digests begin so",
            found=", ".join(f"{each} ({known[each]})" for each in found),
            accepted="so many digits that one is left, or a name",
            next_step="type more of the digest",
        )
    return found
