"""What the comparison rows may not share with training: a conversation, a user, a distinctive text.

A text is distinctive when it has `distinctive_words` words or more and occurs in fewer than
`distinctive_under` conversations; stock phrases ("yes", "thank you") are shared by everyone and stay. Two
distinctive texts are the same where they are equal once normalised, and near from `near_at` on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from mangaops.datasets.near import nearest
from mangaops.datasets.snapshot import Snapshot
from mangaops.datasets.source import Progress
from mangaops.datasets.text import with_norm
from mangaops.vocabulary import Side

if TYPE_CHECKING:
    from mangaops.stack import DataSpec

CHECKS = ("conversation", "user", "text", "near_text")
"""The kinds of conflict, in the order in which they are looked for."""

_PAIRS = {"check": pl.String, "row_id": pl.String, "training_row_id": pl.String}


def shared_groups(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """A conflict for each of `rows` whose conversation or user is among `others`, with one such row.

    Columns `check, row_id, training_row_id`.
    """
    by_key = [
        _first_shared(rows, others, "conversation_id", "conversation"),
        _first_shared(rows, others, "user_id", "user"),
    ]
    return pl.concat(by_key)


def shared_texts(
    rows: pl.DataFrame,
    others: pl.DataFrame,
    distinctive: pl.Series,
    near_at: float,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """A conflict for each of `rows` whose distinctive text is among `others`, or near one that is.

    Both frames have `norm`; `distinctive` holds normalised texts. Columns as `shared_groups`.
    """
    telling, telling_others = (
        frame.filter(pl.col("norm").is_in(distinctive.implode())) for frame in (rows, others)
    )
    exact = _first_shared(telling, telling_others, "norm", "text")
    rest = telling.join(exact, on="row_id", how="anti")
    near = nearest(_texts(rest), _texts(telling_others), near_at, progress)
    named = telling_others.group_by("norm").agg(training_row_id=pl.col("row_id").min())
    close = (
        rest.join(near, left_on="norm", right_on="left")
        .join(named, left_on="right", right_on="norm")
        .select(pl.lit("near_text").alias("check"), "row_id", "training_row_id")
    )
    return pl.concat([exact, close])


def distinctive_texts(rows: pl.DataFrame, spec: DataSpec) -> pl.Series:
    """The normalised texts of `rows` that are distinctive among them. `rows` have `norm` and `words`.

    A row without a conversation counts as one of its user, or where that is unknown of its own.
    """
    conversation = pl.coalesce(
        pl.concat_str(pl.lit("c"), "conversation_id"),
        pl.concat_str(pl.lit("u"), "user_id"),
        pl.concat_str(pl.lit("r"), "row_id"),
    )
    found = (
        rows.filter(pl.col("words") >= spec.distinctive_words)
        .group_by("norm")
        .agg(conversations=conversation.n_unique())
        .filter(pl.col("conversations") < spec.distinctive_under)
    )
    return found.get_column("norm").sort()


def compare(
    golden: Snapshot, training: Mapping[Side, Snapshot], spec: DataSpec, progress: Progress | None = None
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Facts and conflicts of leakage evidence: the golden rows against what each side was trained on.

    Rows to train on and rows to stop and calibrate on both count as training. A text is judged distinctive
    among the rows of both snapshots. `facts["checks"]` counts the golden rows in conflict by side and check.
    """
    rows = with_norm(golden.golden)
    checks: dict[str, dict[str, int]] = {}
    found: dict[str, pl.DataFrame] = {}
    for side, snapshot in training.items():
        if snapshot.digest not in found:
            found[snapshot.digest] = shared_with(rows, snapshot, spec, progress, beside=golden.rows)
        counts = found[snapshot.digest].get_column("check").value_counts()
        checks[str(side)] = dict.fromkeys(CHECKS, 0) | {str(name): int(n) for name, n in counts.iter_rows()}
    frames = [
        found[snapshot.digest].select("check", pl.lit(str(side)).alias("side"), "row_id", "training_row_id")
        for side, snapshot in training.items()
    ]
    facts = {
        "checks": checks,
        "rows": rows.height,
        "training_rows": {
            str(side): snapshot.train.height + snapshot.validation.height
            for side, snapshot in training.items()
        },
        "datasets": {str(side): snapshot.digest for side, snapshot in training.items()},
        "distinctive_words": spec.distinctive_words,
        "distinctive_under": spec.distinctive_under,
        "near_at": spec.near_at,
    }
    empty = pl.DataFrame(schema=_PAIRS).select("check", pl.lit("").alias("side"), "row_id", "training_row_id")
    return facts, pl.concat([empty.clear(), *frames]).sort("side", "check", "row_id")


def shared_with(
    rows: pl.DataFrame,
    training: Snapshot,
    spec: DataSpec,
    progress: Progress | None = None,
    beside: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The conflicts of `rows` with what was trained and calibrated on in `training`.

    Which texts are distinctive is counted over `rows`, all rows of `training`, and those of `beside`.
    """
    needed = ["row_id", "text", "conversation_id", "user_id"]
    more = [] if beside is None else [beside.select(needed)]
    everything = pl.concat([rows.select(needed), training.rows.select(needed), *more]).unique("row_id")
    others = with_norm(pl.concat([training.train, training.validation]))
    distinctive = distinctive_texts(with_norm(everything), spec)
    texts = shared_texts(with_norm(rows), others, distinctive, spec.near_at, progress)
    return pl.concat([shared_groups(rows, others), texts])


def nearness(rows: pl.DataFrame, training_rows: pl.DataFrame, spec: DataSpec) -> pl.DataFrame:
    """`row_id, seen, near` in the order of `rows`: whether a text, stock phrases included, is in training.

    `seen`: the same text once normalised; `near`: seen, or one of similarity `near_at` or more.
    """
    left = with_norm(rows).select("row_id", "norm")
    known = with_norm(training_rows).get_column("norm").unique().sort()
    unseen = left.filter(~pl.col("norm").is_in(known.implode())).get_column("norm").unique().sort()
    near = nearest(unseen.to_list(), known.to_list(), spec.near_at).get_column("left")
    seen = pl.col("norm").is_in(known.implode())
    return left.select("row_id", seen=seen, near=seen | pl.col("norm").is_in(near.implode()))


def _first_shared(rows: pl.DataFrame, others: pl.DataFrame, key: str, check: str) -> pl.DataFrame:
    first = others.drop_nulls(key).group_by(key).agg(training_row_id=pl.col("row_id").min())
    joined = rows.drop_nulls(key).join(first, on=key, how="inner", maintain_order="left")
    return joined.select(pl.lit(check).alias("check"), "row_id", "training_row_id")


def _texts(rows: pl.DataFrame) -> list[str]:
    texts: list[str] = rows.get_column("norm").unique().sort().to_list()
    return texts
