"""What every recipe takes and gives: one request in, one sealed folder out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mangaops.stack import ModelSpec
from mangaops.vocabulary import Digest

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrainingRequest:
    """All that a training depends on; two equal requests give the same artifact on one machine.

    `train` and `validation` have the columns `text` and `label` (more are ignored), in the order of the
    snapshot. `version_hint` only names the run on screens: it is not sealed. `code_sha` is sealed.
    """

    model: str
    version_hint: str
    spec: ModelSpec
    snapshot_digest: Digest
    snapshot_name: str
    labels: tuple[str, ...]
    train: pl.DataFrame
    validation: pl.DataFrame
    seed: int
    code_sha: str


@dataclass(frozen=True)
class Drawn:
    """Who drew the candidates: the adapter as `name@version`, and the digest of its artifact."""

    version: str
    digest: Digest


@dataclass(frozen=True)
class PairRequest:
    """All that a training on pairs of query and item depends on; equal requests, equal artifacts, as above.

    `items` has `item_id, text`; `train` and `validation` have `query_id, query, item_id, grade`, a row a
    judgment, where a grade over 0 is relevant. `candidates` has `query_id, item_id, rank, similarity` (rank 1
    is the nearest), drawn by `candidates_from`: the reranker learns on them. `cache` is a folder of this
    machine where vectors of the frozen base are kept from one training to the next; it changes nothing but
    the time.
    """

    model: str
    version_hint: str
    spec: ModelSpec
    snapshot_digest: Digest
    snapshot_name: str
    items: pl.DataFrame
    train: pl.DataFrame
    validation: pl.DataFrame
    seed: int
    code_sha: str
    candidates: pl.DataFrame | None = None
    candidates_from: Drawn | None = None
    cache: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Trained:
    """A sealed artifact and how it came to be.

    `metrics`: numbers of the sealed int8 graph on the validation rows, by name, and where training stopped.
    `parity`: how far torch, fp32 and int8 answer alike. `seconds`: wall time by step (setup, fit, export,
    parity, seal).
    """

    folder: Path
    digest: Digest
    fingerprint: str
    config: dict[str, Any]
    metrics: dict[str, float]
    parity: dict[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)


Recipe = Callable[[Any, Path, Progress | None], Trained]
"""Takes the request of its family: `TrainingRequest` of labelled texts, `PairRequest` of judged pairs."""
