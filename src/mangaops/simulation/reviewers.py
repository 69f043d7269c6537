"""A simulated reviewer, who reads the truth file, errs, and is at times not sure."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from mangaops.errors import InputError, UsageError
from mangaops.simulation.labels import LABELS
from mangaops.vocabulary import NEITHER, UNCLEAR

SIMULATED_REVIEWER: Final = "simulated-reviewer"
"""The actor that the ledger shows for answers of this room."""


def answer_review(
    items: pl.DataFrame,
    truth: pl.DataFrame,
    *,
    error_rate: float,
    unclear_rate: float,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Each item is answered, in its order: columns `item_id, answer`. Simulated: no person looked.

    An item is found in `truth` by `request_id`, or by `seq` where the items have no request id. Columns
    whose names begin with `option` hold what the reviewer may choose from: the true label when it is among
    them, "neither" when it is not. Without such columns the answer is the true label. With probability
    `unclear_rate` the answer is "unclear"; otherwise with `error_rate` it is another of the choices. No
    items give no rows.

    Raises:
        UsageError: a rate is outside [0, 1].
        InputError: a column is missing, or an item is not in `truth`.
    """
    for name, rate in (("error_rate", error_rate), ("unclear_rate", unclear_rate)):
        if not 0.0 <= rate <= 1.0:
            raise UsageError(
                f"{name} was refused", found=str(rate), accepted="a share from 0 to 1", next_step="mend it"
            )
    labels = _true_labels(items, truth)
    options = [name for name in items.columns if name.startswith("option")]
    choices = items.select(options).rows() if options else [()] * items.height
    answers = [
        _answer(label, offered, error_rate, unclear_rate, rng)
        for label, offered in zip(labels, choices, strict=True)
    ]
    return pl.DataFrame(
        {
            "item_id": items.get_column("item_id").cast(pl.String),
            "answer": pl.Series(answers, dtype=pl.String),
        }
    )


def _true_labels(items: pl.DataFrame, truth: pl.DataFrame) -> list[str]:
    key = next(
        (name for name in ("request_id", "seq") if {name} <= {*items.columns} & {*truth.columns}), None
    )
    if key is None or "item_id" not in items.columns or "label" not in truth.columns:
        raise InputError(
            "a simulated review was refused: items and truth do not fit",
            found=f"items: {', '.join(items.columns)}; truth: {', '.join(truth.columns)}",
            accepted="items with item_id and request_id (or seq), truth with the same and label",
            next_step="give the truth file of the same traffic",
        )
    known = dict(truth.select(key, "label").iter_rows())
    missing = [str(each) for each in items.get_column(key) if each not in known]
    if missing:
        raise InputError(
            f"a simulated review was refused: {len(missing)} items have no true label",
            found=f"{key} " + ", ".join(missing[:5]),
            accepted="a truth file that holds every reviewed request",
            next_step="give the truth file that was written with this traffic",
        )
    return [known[each] for each in items.get_column(key)]


def _answer(
    label: str,
    offered: tuple[str | None, ...],
    error_rate: float,
    unclear_rate: float,
    rng: np.random.Generator,
) -> str:
    if rng.random() < unclear_rate:
        return UNCLEAR
    choices = [*dict.fromkeys(each for each in offered if each)]
    right = label if not choices or label in choices else NEITHER
    if rng.random() >= error_rate:
        return right
    wrong = [each for each in ([*choices, NEITHER] if choices else LABELS) if each != right]
    return wrong[int(rng.random() * len(wrong))]
