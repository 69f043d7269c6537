"""What answers of a family look like in evidence, and which two differ: one table, and no other place asks.

A new form of answers is one entry of `FORMS`; shadow, review and pages take what they need from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.errors import SetupError
from mangaops.metrics import TOP, change
from mangaops.release import review_lists, review_queue
from mangaops.release.desk import Desk, model_spec
from mangaops.release.evaluate import answer_columns
from mangaops.release.listed import PLACES, as_list, items_of
from mangaops.stats import bernoulli_sequence
from mangaops.vocabulary import EvidenceKind, Family

LEVEL: Final = 0.95
_PARTS: Final = ("label", "action", "confidence")
_MEAN: Final = ("mean", "low", "high")

Tables = Mapping[str, pl.DataFrame]
Columns = list[pl.Series]


@dataclass(frozen=True)
class AnswerForm:
    """How answers stand in evidence: as columns `<side>_label`, `<side>_action` and `<side>_confidence`.

    `columns` makes them of answers, `of_log` of a struct of what `logged` says that a log holds. `differs`
    compares two sides, `facts` sums the table up. The rows of `golden` evidence are planted in a review, by
    `plant`, beside drawn items with such options. `listed`: an answer is a ranked list.
    """

    columns: Callable[[Any, str], Columns]
    logged: pl.Struct
    of_log: Callable[[pl.Series, str], Columns]
    differs: Callable[[str, str], pl.Expr]
    facts: Callable[[pl.DataFrame], dict[str, Any]]
    golden: EvidenceKind
    plant: Callable[[Tables, int, np.random.Generator, Sequence[str | None]], pl.DataFrame]
    listed: bool

    @property
    def log_fields(self) -> list[str]:
        """What the JSON of an answer must have in a log."""
        return [field.name for field in self.logged.fields]


def form_of(desk: Desk, unit: str) -> AnswerForm:
    """The form of the unit's answers: that of its first model's family.

    Raises:
        SetupError: this version of mangaops compares no answers of that family.
    """
    family = model_spec(desk, unit).family
    if family not in FORMS:
        raise SetupError(
            f"comparing answers of {unit} was refused: this version cannot compare those of a {family}",
            accepted=", ".join(FORMS),
            next_step="leave the unit out, or install a newer mangaops",
        )
    return FORMS[family]


def _logged_labels(told: pl.Series, side: str) -> Columns:
    return [told.struct.field(name).rename(f"{side}_{name}") for name in _PARTS]


def _other_answer(one: str, other: str) -> pl.Expr:
    """Whether two sides gave another label or another action; null where one gave no answer."""
    labels = pl.col(f"{one}_label") != pl.col(f"{other}_label")
    return labels | (pl.col(f"{one}_action") != pl.col(f"{other}_action"))


def _list_columns(given: Sequence[Any], side: str) -> Columns:
    return _of_lists([answer.items for answer in given], side)


def _logged_lists(told: pl.Series, side: str) -> Columns:
    return _of_lists(told.struct.field("items").to_list(), side)


def _of_lists(lists: Sequence[Sequence[str] | None], side: str) -> Columns:
    """Lists in the place of labels; action and confidence are null, for there is neither."""
    label, action, confidence = (f"{side}_{part}" for part in _PARTS)
    return [
        pl.Series(label, [None if each is None else as_list(each) for each in lists], dtype=pl.String),
        pl.Series(action, [None] * len(lists), dtype=pl.String),
        pl.Series(confidence, [None] * len(lists), dtype=pl.Float64),
    ]


def _other_top(one: str, other: str) -> pl.Expr:
    """Whether two lists hold another set of items in the first `TOP` places; null where one is missing."""
    first, second = (
        pl.col(f"{side}_label").str.json_decode(pl.List(pl.String)).list.head(TOP) for side in (one, other)
    )
    return first.list.set_symmetric_difference(second).list.len() > 0


def _list_facts(table: pl.DataFrame) -> dict[str, Any]:
    """How far apart the lists are, each as a mean over requests with a confidence sequence at `LEVEL`."""
    both = table.select("baseline_label", "release_label", "group").drop_nulls()
    if both.is_empty():
        return {"lists": {}}
    apart = [change(items_of(first), items_of(second)) for first, second, _ in both.iter_rows()]
    wide = [change(items_of(first), items_of(second), k=PLACES) for first, second, _ in both.iter_rows()]
    numbers = {
        f"other_top{TOP}": [float(each.other_top) for each in apart],
        "top1_changed": [float(each.other_first) for each in apart],
        f"overlap@{PLACES}": [each.overlap for each in wide],
        "rbo": [each.alike for each in apart],
    }
    groups = both["group"].to_list()
    return {"lists": {name: _mean(values, groups) for name, values in numbers.items()}}


def _mean(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    inside = np.clip(np.asarray(values, dtype=np.float64), 0.0, 1.0)
    mean, bounds = bernoulli_sequence(inside, groups, LEVEL)
    return {
        name: round(number, 6) for name, number in zip(_MEAN, (mean, bounds.low, bounds.high), strict=True)
    }


LABELS: Final = AnswerForm(
    columns=answer_columns,
    logged=pl.Struct({"label": pl.String, "action": pl.String, "confidence": pl.Float64}),
    of_log=_logged_labels,
    differs=_other_answer,
    facts=lambda _table: {},
    golden=EvidenceKind.EVALUATION,
    plant=lambda tables, count, rng, _asked: review_queue.plant(tables["outcomes"], count, rng),
    listed=False,
)
LISTS: Final = AnswerForm(
    columns=_list_columns,
    logged=pl.Struct({"items": pl.List(pl.String)}),
    of_log=_logged_lists,
    differs=_other_top,
    facts=_list_facts,
    golden=EvidenceKind.RANKING,
    plant=review_lists.plant,
    listed=True,
)
FORMS: Final[Mapping[Family, AnswerForm]] = {
    Family.INTENT_CLASSIFIER: LABELS,
    Family.SENTIMENT_DETECTOR: LABELS,
    Family.EMBEDDING_ADAPTER: LISTS,
}
"""One entry a unit whose answers are compared, by the family of its first model."""
