"""Two questions to ask of any golden set: is it later than training, and would random splits flatter?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from mangaops.datasets.snapshot import Snapshot
from mangaops.errors import UsageError


@dataclass(frozen=True)
class TimeAndGrouping:
    """`golden_before_training`: share of dated golden rows that are older than the newest training row, null
    where rows have no time. Accuracies are those of one scorer on test sets of equal size, once split by
    group and once by row; `flattery` is how much better the random split looks.
    """

    golden_before_training: float | None
    newest_training: str | None
    oldest_golden: str | None
    grouped_accuracy: float
    random_accuracy: float
    train_rows: int
    test_rows: int
    groups: int

    @property
    def flattery(self) -> float:
        """Random minus grouped accuracy."""
        return self.random_accuracy - self.grouped_accuracy

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {**asdict(self), "flattery": self.flattery}


def time_and_grouping(
    snapshot: Snapshot,
    train_and_score: Callable[[pl.DataFrame, pl.DataFrame], float],
    *,
    rng: np.random.Generator,
    test_share: float = 0.2,
) -> TimeAndGrouping:
    """The order in time of the snapshot's splits, and accuracy under a grouped and under a random split.

    Both splits are made anew of the training rows, of `test_share` of them: `train_and_score(train, test)`
    is called twice and returns an accuracy in [0, 1].

    Raises:
        UsageError: there are fewer than two groups.
    """
    rows = snapshot.train
    groups = rows.get_column("group").unique().sort()
    if groups.len() < 2:
        raise UsageError("grouped and random splits cannot be compared", found=f"{groups.len()} group")
    taken = _groups_for(rows, groups, test_share, rng)
    in_test = rows.get_column("group").is_in(taken.implode()).to_numpy()
    shuffled = np.zeros(rows.height, dtype=bool)
    shuffled[rng.permutation(rows.height)[: int(in_test.sum())]] = True
    grouped, random = (
        train_and_score(rows.filter(pl.Series(~flags)), rows.filter(pl.Series(flags)))
        for flags in (in_test, shuffled)
    )
    before, newest, oldest = _order_in_time(snapshot)
    return TimeAndGrouping(
        before, newest, oldest, grouped, random, int((~in_test).sum()), int(in_test.sum()), groups.len()
    )


def _groups_for(rows: pl.DataFrame, groups: pl.Series, share: float, rng: np.random.Generator) -> pl.Series:
    """Groups in random order until they hold the share of rows; at least one, never all."""
    order = pl.DataFrame({"group": groups.gather(rng.permutation(groups.len()))})
    sizes = order.join(
        rows.group_by("group").agg(rows=pl.len()), on="group", how="left", maintain_order="left"
    )
    enough = int((sizes["rows"].cum_sum() - sizes["rows"] < share * rows.height).sum())
    return sizes.get_column("group").head(min(max(enough, 1), groups.len() - 1))


def _order_in_time(snapshot: Snapshot) -> tuple[float | None, str | None, str | None]:
    newest = snapshot.train.get_column("at").max()
    dated = snapshot.golden.get_column("at").drop_nulls()
    if newest is None or not dated.len():
        return None, None, None
    shown = pl.Series([newest, dated.min()]).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return int((dated < newest).sum()) / dated.len(), shown[0], shown[1]
