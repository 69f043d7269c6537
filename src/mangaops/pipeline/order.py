"""Would a random split have flattered? Told by the plain baseline, on a sample of the training groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from mangaops.datasets import Snapshot, time_and_grouping
from mangaops.pipeline.workshop import Workshop
from mangaops.stack import Actions

ROWS = 1000
"""At most so many training rows are asked: enough to tell, few enough for seconds."""


def order_facts(shop: Workshop, snapshot: Snapshot) -> dict[str, Any]:
    """Time order of the splits, and the baseline's accuracy under a grouped and under a random split.

    Where each row is its own group, or there is one group, the two splits are the same thing and a reason
    stands in the place of the figures.
    """
    train = snapshot.train
    groups = train.get_column("group").n_unique()
    if groups < 2 or groups == train.height:
        return {"reason": "each row is its own group: a random split is a grouped one"}
    few = replace(snapshot, rows=pl.concat([_sampled(train), snapshot.golden]))

    def train_and_score(learn: pl.DataFrame, ask: pl.DataFrame) -> float:
        fitted = shop.baseline(learn.select("text", "label"), snapshot.labels, Actions())
        answers = [fitted.answer(text).label for text in ask.get_column("text")]
        return int((pl.Series(answers) == ask.get_column("label")).sum()) / ask.height

    return time_and_grouping(few, train_and_score, rng=np.random.default_rng(0)).as_dict()


def _sampled(train: pl.DataFrame) -> pl.DataFrame:
    """Whole groups in order of their name, which is a keyed hash, up to `ROWS` rows."""
    sizes = train.group_by("group").agg(rows=pl.len()).sort("group")
    kept = sizes.filter(pl.col("rows").cum_sum() <= ROWS).get_column("group")
    return train if kept.len() < 2 else train.filter(pl.col("group").is_in(kept.implode()))
