"""A dataset version: rows with their splits, content-addressed and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from mangaops.vocabulary import Digest, Split


@dataclass(frozen=True)
class Snapshot:
    """An immutable dataset version.

    `rows` are sorted by `row_id` and have `row_id, text, label, conversation_id, user_id, at, label_source,
    annotator, language, turn, group, split, weight, golden`. `digest` is that of the rows alone.
    """

    name: str
    digest: Digest
    manifest: Mapping[str, Any]
    rows: pl.DataFrame

    @property
    def train(self) -> pl.DataFrame:
        """The rows to train on."""
        return self.rows.filter(pl.col("split") == Split.TRAIN)

    @property
    def validation(self) -> pl.DataFrame:
        """The rows to stop early and to calibrate on."""
        return self.rows.filter(pl.col("split") == Split.VALIDATION)

    @property
    def golden(self) -> pl.DataFrame:
        """The frozen golden set, with weights of mean 1."""
        return self.rows.filter(pl.col("golden"))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the manifest."""
        return tuple(self.manifest["labels"])
