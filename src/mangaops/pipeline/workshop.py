"""What a run works with: the desk, the journal, the leases, and the functions that wiring chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from mangaops.inference import Predictor
from mangaops.inference.families import Servable, loaded
from mangaops.registry import Permit
from mangaops.release.desk import Desk
from mangaops.release.pairs import Finds
from mangaops.release.shadow import Answers
from mangaops.store import EmbeddedChunks, Journal, Leases
from mangaops.store.bundles import LocalBundles
from mangaops.vocabulary import Family

Progress = Callable[[str, int, int], None]
Announce = Callable[[str, str], None]


class PlainBaseline(Protocol):
    """Fits what stands in a champion's place while a unit has none."""

    def __call__(self, train: Any, labels: tuple[str, ...], actions: Any) -> Predictor:
        """A predictor that has learnt from `train` (columns text, label)."""


class Plain(Finds, Answers, Protocol):
    """What searches in a champion's place while a unit has none: by words, without a model."""


@dataclass(frozen=True)
class Workshop:
    """The desk with its tools.

    `reports` is for people, `folder` is that of stack.yaml, `staging` is where things are made, `kept` is
    where this machine keeps what it has embedded. `files` is the folder or fsspec URL under which gateways
    keep their logs. `pause` waits so many seconds.
    """

    desk: Desk
    journal: Journal
    leases: Leases
    recipes: Mapping[Family, Callable[..., Any]]
    baseline: PlainBaseline
    lexical: Callable[[pl.DataFrame], Plain]
    reports: Path
    staging: Path
    kept: Path
    folder: Path
    seconds: Callable[[], float]
    files: str
    pause: Callable[[float], None]

    @cached_property
    def chunks(self) -> EmbeddedChunks:
        """What was embedded on this machine before."""
        return EmbeddedChunks(self.kept / "items")

    def making(self) -> AbstractContextManager[Path]:
        """An empty folder to make something in, gone afterwards; what killed processes left goes with it."""
        return LocalBundles(self.staging).staging()

    def load(self, permits: Mapping[str, Permit]) -> Servable:
        """The permitted release as it serves, verified from end to end.

        Raises:
            IntegrityError: an artifact is missing, tampered with, or answers otherwise than when sealed.
        """
        return loaded(
            {name: self.desk.artifacts.open(each.artifact) for name, each in permits.items()}, permits
        )
