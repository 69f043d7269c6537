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
class Trained:
    """A sealed artifact and how it came to be.

    `metrics`: validation_accuracy, validation_loss, calibration_error (0..1, of the sealed int8 graph),
    temperature, epochs. `parity`: rows, and agreement and accuracy of torch, fp32 and int8. `seconds`: wall
    time by step (setup, fit, export, parity, seal).
    """

    folder: Path
    digest: Digest
    fingerprint: str
    config: dict[str, Any]
    metrics: dict[str, float]
    parity: dict[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)


Recipe = Callable[[TrainingRequest, Path, Progress | None], Trained]
