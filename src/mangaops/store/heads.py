"""The newest event of a stream."""

from __future__ import annotations

from typing import NamedTuple

from mangaops.vocabulary import Digest


class Head(NamedTuple):
    """The newest event of a stream; what a witness outside keeps."""

    stream: str
    revision: int
    hash: Digest
