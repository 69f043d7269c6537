"""Which disagreements people are asked about: a sample with known probabilities, and known items in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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
    "baseline_action": pl.String,
    "release_action": pl.String,
    "by_action": pl.Boolean,
    "release_is_a": pl.Boolean,
    "answer": pl.String,
    "planted": pl.Boolean,
    "known": pl.String,
    "options": pl.String,
}
DRAWN: Final = [name for name in ITEMS if name not in ("item_id", "release_is_a", "answer")]

Plant = Callable[[int, np.random.Generator, Sequence[str | None]], pl.DataFrame]
"""Up to so many known items among drawn ones with such options, with the columns `DRAWN`."""

_WITH_ACTION: Final = "{} ({})"

NO_SEQ: Final = -1
"""The `seq` of a planted item: it was no request."""


def build(
    answers: pl.DataFrame, plant: Plant, spec: ReviewSpec, *, review: str, rng: np.random.Generator
) -> pl.DataFrame:
    """The queue in the order in which it is shown: columns `ITEMS`, every `answer` null.

    `answers` is the table of shadow evidence, `plant` makes so many known items. Up to a tenth of the budget
    asks about requests with the same label and another action (`by_action`: both labels are shown, and
    stored, with their actions), the rest about other labels (docs/adr/0063). Where nothing differs the
    queue is empty.
    """
    if "options" not in answers.columns:  # a replay has none, as evidence of older versions
        answers = answers.with_columns(options=pl.lit(None, dtype=pl.String))
    other_label = pl.col("baseline_label") != pl.col("release_label")
    acted = answers.filter("disagrees", ~other_label).with_columns(
        _with_action("baseline"), _with_action("release")
    )
    actions = min(acted.height, -(-spec.budget // 10), spec.budget - 1)
    labels = draw(answers.filter("disagrees", other_label), spec.budget - actions, rng)
    drawn = pl.concat(
        [labels.with_columns(by_action=False), draw(acted, actions, rng).with_columns(by_action=True)]
    ).select(DRAWN)
    planted = plant(spec.planted if drawn.height else 0, rng, drawn["options"].to_list())
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


def with_action(label: str, action: str) -> str:
    """An answer whose label alone does not tell it from the other side's: `faq (clarify)`."""
    return _WITH_ACTION.format(label, action)


def _with_action(side: str) -> pl.Expr:
    return pl.format(_WITH_ACTION, f"{side}_label", f"{side}_action").alias(f"{side}_label")


def draw(disagreements: pl.DataFrame, budget: int, rng: np.random.Generator) -> pl.DataFrame:
    """All of them where they fit the budget; else exactly `budget`, each as likely to be drawn as any other.

    Source: Särndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, section 3.3.
    """
    asked = min(budget, disagreements.height)
    places = np.sort(rng.choice(disagreements.height, size=asked, replace=False)).tolist()
    drawn: pl.DataFrame = disagreements[places].with_columns(
        probability=pl.lit(asked / max(1, disagreements.height)),
        planted=pl.lit(False),
        known=pl.lit(None, dtype=pl.String),
    )
    return drawn


def plant(outcomes: pl.DataFrame, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Up to `count` golden rows whose truth is known, each offered with the truth and one wrong label.

    Rows that both sides answer as they are labelled come first, beside the label that their truth is most
    often taken for: three voices agree, so that a careful reviewer agrees too (docs/adr/0065).
    """
    wrong = _taken_for(outcomes)
    rows: list[tuple[object, ...]] = []
    for row in _surest_first(outcomes, rng).iter_rows(named=True):
        offered = _offered(row["truth"], row["baseline_label"], row["release_label"], wrong)
        if offered is not None and len(rows) < count:
            known = (
                NO_SEQ,
                row["group"],
                row["text"],
                1.0,
                *offered,
                None,
                None,
                False,
                True,
                row["truth"],
                None,
            )
            rows.append((f"golden:{row['row_id']}", *known))
    return pl.DataFrame(rows, schema={name: ITEMS[name] for name in DRAWN}, orient="row")


def _surest_first(outcomes: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    baseline, release = (pl.col(f"{side}_label") == pl.col("truth") for side in ("baseline", "release"))
    return outcomes.with_columns(
        doubt=2 - baseline.cast(pl.Int8) - release.cast(pl.Int8),
        luck=pl.Series(rng.random(outcomes.height)),
    ).sort("doubt", "luck")


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
    """An id that says nothing: neither which request it was nor whether it is planted.

    It begins with a word: spreadsheets round bare digits, and take `12345e678901` for a number too.
    """
    return "item-" + hashlib.sha256(f"{review}\0{request}".encode()).hexdigest()[:12]
