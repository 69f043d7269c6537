"""Rows in: checked, tokenised, and put into batches of similar length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch

from mangaops.errors import TrainingError
from mangaops.inference.preprocessing import Encoder

_LEAST = 8


def check(train: pl.DataFrame, validation: pl.DataFrame, labels: Sequence[str]) -> None:
    """Nothing, once the rows can be trained and validated on.

    Raises:
        TrainingError: no or too few rows, one label only, or a label that is not among `labels`.
    """
    for name, rows, least in (("training", train, _LEAST), ("validation", validation, 1)):
        if rows.height < least:
            raise _refused(f"{rows.height} {name} rows", f"at least {least}")
        unknown = sorted(set(rows.get_column("label").unique().to_list()) - set(labels), key=str)
        if unknown:
            raise _refused(f"{name} labels {unknown[:5]}", f"the labels of the dataset: {', '.join(labels)}")
    if train.get_column("label").n_unique() < 2:
        raise _refused(f"the one label {train.get_column('label')[0]!r}", "rows of two labels or more")


def _refused(found: str, accepted: str) -> TrainingError:
    return TrainingError(
        "training was refused before it began",
        found=found,
        accepted=accepted,
        next_step="see `mangaops data show`; more logs or other split shares in stack.yaml would help",
    )


class Rows:
    """Token ids and label numbers of a frame, in its order."""

    def __init__(self, frame: pl.DataFrame, labels: Sequence[str], reads: Encoder) -> None:
        number = {label: index for index, label in enumerate(labels)}
        self.ids = [reads.ids(text) for text in frame.get_column("text")]
        self.targets = np.asarray([number[label] for label in frame.get_column("label")], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def shuffled(self, batch: int, rng: np.random.Generator) -> list[list[int]]:
        """Every row once, in batches of similar length; who meets whom is drawn anew."""
        order = rng.permutation(len(self)).tolist()
        pool = batch * 50
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool], key=lambda row: len(self.ids[row]))
            batches += [near[cut : cut + batch] for cut in range(0, len(near), batch)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def tensors(
        self, rows: Sequence[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids and mask of shape (rows, longest of them), padded with 0 under the mask, and targets."""
        longest = max(len(self.ids[row]) for row in rows)
        ids = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            tokens = self.ids[row]
            ids[place, : len(tokens)] = tokens
            mask[place, : len(tokens)] = 1
        targets = torch.from_numpy(self.targets[list(rows)])
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device), targets.to(device)
