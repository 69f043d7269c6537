"""Which disagreements people are asked about: a sample with known probabilities, and known items in it."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import polars as pl

from mangaops.stack import ReviewSpec

ITEMS: Final = {
    "item_id": pl.String,
    "request_id": pl.String,
    "seq": pl.Int64,
    "group": pl.String,
    "text": pl.String,
    "probability": pl.Float64,
    "baseline_label": pl.String,
    "release_label": pl.String,
    "release_is_a": pl.Boolean,
    "answer": pl.String,
    "planted": pl.Boolean,
    "known": pl.String,
}
NO_SEQ: Final = -1
"""The `seq` of a planted item: it was no request."""


def build(
    answers: pl.DataFrame, outcomes: pl.DataFrame, spec: ReviewSpec, *, review: str, rng: np.random.Generator
) -> pl.DataFrame:
    """The queue in the order in which it is shown: columns `ITEMS`, every `answer` null.

    `answers` and `outcomes` are the tables of shadow and evaluation evidence. Where no label differs the
    queue is empty.
    """
    disagreements = answers.filter(pl.col("baseline_label") != pl.col("release_label"))
    drawn = draw(disagreements, spec.budget, rng)
    planted = plant(outcomes, spec.planted if drawn.height else 0, rng)
    queue = pl.concat([drawn, planted])
    queue = queue[rng.permutation(queue.height).tolist()]
    ids = [_item_id(review, request) for request in queue["request_id"]]
    sides = rng.random(queue.height) < 0.5
    named: pl.DataFrame = queue.with_columns(
        pl.Series("item_id", ids, dtype=pl.String),
        pl.Series("release_is_a", sides.tolist(), dtype=pl.Boolean),
        pl.lit(None, dtype=pl.String).alias("answer"),
    ).select(*ITEMS)
    return named


def draw(disagreements: pl.DataFrame, budget: int, rng: np.random.Generator) -> pl.DataFrame:
    """All of them where they fit the budget; else exactly `budget`, each as likely to be drawn as any other.

    Source: Särndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, section 3.3.
    """
    asked = min(budget, disagreements.height)
    places = np.sort(rng.choice(disagreements.height, size=asked, replace=False)).tolist()
    drawn: pl.DataFrame = disagreements[places].select(
        "request_id",
        "seq",
        "group",
        "text",
        pl.lit(asked / max(1, disagreements.height)).alias("probability"),
        "baseline_label",
        "release_label",
        pl.lit(False).alias("planted"),
        pl.lit(None, dtype=pl.String).alias("known"),
    )
    return drawn


def plant(outcomes: pl.DataFrame, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Up to `count` golden rows whose truth is known, each offered with the truth and one wrong label.

    Rows on which the sides disagree and one is right come first, since they look like the rest of the
    queue; then rows that either side answers wrong; then right ones beside the label that their truth is
    most often taken for.
    """
    disagrees = pl.col("baseline_label") != pl.col("release_label")
    one_right = (pl.col("baseline_label") == pl.col("truth")) | (pl.col("release_label") == pl.col("truth"))
    ranked = (
        outcomes.filter(pl.col("truth").is_not_null())
        .with_columns(
            rank=pl.when(disagrees & one_right).then(0).when(~one_right).then(1).otherwise(2),
            luck=pl.Series(rng.random(outcomes.height)),
        )
        .sort("rank", "luck")
    )
    wrong = _taken_for(outcomes)
    rows: list[tuple[object, ...]] = []
    for row in ranked.iter_rows(named=True):
        if len(rows) >= count:
            break
        offered = _offered(row["truth"], row["baseline_label"], row["release_label"], wrong)
        if offered is not None:
            rows.append(
                (
                    f"golden:{row['row_id']}",
                    NO_SEQ,
                    row["group"],
                    row["text"],
                    1.0,
                    *offered,
                    True,
                    row["truth"],
                )
            )
    names = [
        "request_id",
        "seq",
        "group",
        "text",
        "probability",
        "baseline_label",
        "release_label",
        "planted",
        "known",
    ]
    return pl.DataFrame(rows, schema={name: ITEMS[name] for name in names}, orient="row")


def _offered(truth: str, baseline: str, release: str, wrong: dict[str, str]) -> tuple[str, str] | None:
    """The pair of labels that a planted item shows: the truth on one side, another on the other."""
    if baseline != release and truth in (baseline, release):
        return baseline, release
    if baseline != truth:
        return baseline, truth
    other = wrong.get(truth)
    return (truth, other) if other is not None else None


def _taken_for(outcomes: pl.DataFrame) -> dict[str, str]:
    """For each true label the wrong one that both sides together answer most; else any other label."""
    labels = sorted(set(outcomes["truth"]))
    pairs = pl.concat(
        [outcomes.select("truth", answer=f"{side}_label") for side in ("baseline", "release")]
    ).filter(pl.col("truth") != pl.col("answer"))
    counts = pairs.group_by("truth", "answer").len().sort("len", "answer", descending=[True, False])
    taken = {
        label: other
        for label, other in zip(labels, [*labels[1:], *labels[:1]], strict=True)
        if label != other
    }
    seen: set[str] = set()
    for truth, answer, _ in counts.iter_rows():
        if truth not in seen:
            taken[truth] = answer
            seen.add(truth)
    return taken


def _item_id(review: str, request: str) -> str:
    """An id that says nothing: neither which request it was nor whether it is planted."""
    return hashlib.sha256(f"{review}\0{request}".encode()).hexdigest()[:12]
