"""Claims over slices: a mark is made where a difference stands among all slices, and not where it is luck."""

from __future__ import annotations

import numpy as np
import polars as pl

from mangaops.metrics import Scored
from mangaops.release.slices import Slice, slices
from mangaops.stack import ModelSpec
from mangaops.stack.specs import Strict

MODEL = ModelSpec(family="intent-classifier", base="minilm-l6", data="intent-data", training=Strict())
LANGUAGES = ("en", "ja", "ja-en", "de", "fr", "ko")


def found(lost: int, gained: int = 0, rows: int = 100) -> list[Slice]:
    """Slices of a release that loses and gains so many of `rows` German rows, and differs nowhere else."""
    count = rows * len(LANGUAGES)
    german = pl.int_range(pl.len()) - rows * LANGUAGES.index("de")
    outcomes = pl.DataFrame(
        {
            "group": [str(row) for row in range(count)],
            "truth": ["faq"] * count,
            "weight": [1.0] * count,
            "language": [language for language in LANGUAGES for _ in range(rows)],
            "turn": [1 + row % 2 for row in range(count)],
            "words": [row % 20 for row in range(count)],
            "jargon": [row % 3 == 0 for row in range(count)],
            "new_user": [row % 4 == 0 for row in range(count)],
            "seen": [row % 5 == 0 for row in range(count)],
            "near": [row % 5 == 0 for row in range(count)],
        }
    ).with_columns(
        release_label=pl.when(german.is_between(0, lost - 1)).then(pl.lit("promotion")).otherwise("truth"),
        baseline_label=pl.when(german.is_between(lost, lost + gained - 1))
        .then(pl.lit("promotion"))
        .otherwise("truth"),
    )
    return slices(Scored.over(outcomes, ["faq", "promotion"], MODEL), rng=np.random.default_rng(5))


def german(lost: int, gained: int = 0) -> Slice:
    return next(each for each in found(lost, gained) if each.value == "de")


def test_a_slice_that_stands_out_among_many_is_marked() -> None:
    bad, good = german(lost=25), german(lost=0, gained=25)
    assert (bad.worse, bad.better) == (True, False)
    assert (good.worse, good.better) == (False, True)


def test_one_interval_beside_zero_among_many_slices_is_no_claim() -> None:
    """Alone it would be one: its interval excludes zero. Looked for in sixteen slices it is luck."""
    alone = german(lost=7, gained=0)
    assert alone.high < 0
    assert not alone.worse
    assert alone.p > 0.05


def test_slices_without_any_difference_carry_no_mark_and_a_p_value_of_one() -> None:
    assert {(each.worse, each.better, each.p) for each in found(lost=0)} == {(False, False, 1.0)}


def test_a_row_whose_trait_is_unknown_and_a_small_part_are_in_no_slice() -> None:
    shown = {(each.name, each.value): each.rows for each in found(lost=0)}
    assert shown["text", "seen in training"] == 120
    assert ("text", "near a training text") not in shown
    assert sum(rows for (name, _), rows in shown.items() if name == "length") == 600
