"""Which delta a catalogue holds: what a release seals, and from where on its slots apply deltas again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mangaops.pipeline.pair_run import last_held
from mangaops.store import CatalogueLog, Ledger


@pytest.fixture
def log(tmp_path: Path) -> CatalogueLog:
    return CatalogueLog(Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True), "shop")


def titled(**titles: str) -> dict[str, Any]:
    return {item: {"title": title} for item, title in titles.items()}


def test_without_a_delta_nothing_is_held(log: CatalogueLog) -> None:
    assert last_held(log, titled(a="A")) == 0


def test_a_catalogue_that_holds_the_last_word_on_every_item_holds_every_delta(log: CatalogueLog) -> None:
    log.append(titled(a="A", b="B"))
    log.append(titled(b="B, mended"), ["a"])
    assert last_held(log, titled(b="B, mended", z="Z")) == 2


@pytest.mark.parametrize(
    ("catalogue", "held"),
    [
        (titled(z="Z"), 1),
        (titled(b="B", z="Z"), 1),
        (titled(b="B, mended", c="C", z="Z"), 2),
        (titled(b="B, mended", a="A", c="C"), 1),
    ],
    ids=[
        "what was added is not there",
        "an old text",
        "a removal was missed later",
        "what was removed is there again",
    ],
)
def test_from_the_first_last_word_that_is_not_held_deltas_apply_again(
    log: CatalogueLog, catalogue: dict[str, Any], held: int
) -> None:
    log.append(titled(b="B"))
    log.append(titled(b="B, mended"), ["a"])
    log.append({}, ["c"])
    assert last_held(log, catalogue) == held


def test_a_word_that_a_later_one_took_back_need_not_be_held(log: CatalogueLog) -> None:
    log.append(titled(a="A", b="B"))
    log.append({}, ["a"])
    assert last_held(log, titled(b="B")) == 2


def test_an_item_that_lost_a_column_by_a_delta_is_held_only_without_it(log: CatalogueLog) -> None:
    log.append(titled(a="A"))
    assert last_held(log, {"a": {"title": "A", "synopsis": "withdrawn"}}) == 0
    assert last_held(log, titled(a="A")) == 1
