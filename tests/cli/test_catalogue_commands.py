"""`catalogue append|show`: what serves follows it, and what is no delta is refused."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from mangaops.store import CatalogueLog, Ledger


@pytest.fixture
def shop(stack: Path, tmp_path: Path, mangaops) -> Path:
    """The stack with data `shop` whose catalogue calls its ids otherwise; and a ledger beside it."""
    text = stack.read_text()
    spec = "\ndata:\n  shop: {kind: search, catalogue: {item_id: sku}}\n"
    stack.write_text(text.replace("\ndata:\n", spec, 1))
    items = {"sku": ["i1", "i2"], "title": ["Red Garden", "Iron Storm"], "price": [500.0, None]}
    pl.DataFrame(items).write_parquet(tmp_path / "items.parquet")
    (stack.parent / ".mangaops").mkdir(exist_ok=True)
    Ledger(f"sqlite:///{stack.parent / '.mangaops' / 'ledger.db'}").close()
    return stack


def log_of(stack: Path) -> CatalogueLog:
    return CatalogueLog(Ledger(f"sqlite:///{stack.parent / '.mangaops' / 'ledger.db'}"), "shop")


def test_items_of_a_file_and_ids_that_went_are_the_next_delta(shop: Path, tmp_path: Path, mangaops) -> None:
    words = ("catalogue", "append", "shop", "--stack", shop, "--actor", "kim")
    ended = mangaops(*words, "--items", tmp_path / "items.parquet", "--removed", "i9", "--reason", "week 17")
    assert ended.code == 0, ended.err
    assert "delta 1 of shop: 2 added or changed, 1 removed" in ended.out
    assert mangaops(*words, "--removed", "i1", "--json").code == 0
    first, second = log_of(shop).read()
    assert first.added == {"i1": {"title": "Red Garden", "price": 500}, "i2": {"title": "Iron Storm"}}
    assert (first.removed, first.actor, first.reason) == (("i9",), "kim", "week 17")
    assert (second.added, second.removed) == ({}, ("i1",))
    shown = mangaops("catalogue", "show", "shop", "--stack", shop, "--json")
    told = json.loads(shown.out)
    assert told["last"] == 2
    assert told["deltas"][0] == {"number": 1, "added": 2, "removed": 1, "actor": "kim", "reason": "week 17"}
    assert "week 17" in mangaops("catalogue", "show", "shop", "--stack", shop).out


def test_a_catalogue_without_deltas_says_so(shop: Path, mangaops) -> None:
    ended = mangaops("catalogue", "show", "shop", "--stack", shop)
    assert (ended.code, "no delta yet" in ended.out) == (0, True)


@pytest.mark.parametrize("command", ["append", "show"])
def test_data_of_another_kind_has_no_catalogue(shop: Path, mangaops, command: str) -> None:
    ended = mangaops("catalogue", command, "intent-data", "--stack", shop)
    assert ended.code == 2
    assert "shop" in ended.err


def test_what_is_no_delta_is_refused_and_takes_no_number(shop: Path, tmp_path: Path, mangaops) -> None:
    words = ("catalogue", "append", "shop", "--stack", shop)
    assert mangaops(*words).code == 4
    twice = pl.DataFrame({"sku": ["i1", "i1"], "title": ["a", "b"]})
    twice.write_parquet(tmp_path / "twice.parquet")
    refused = mangaops(*words, "--items", tmp_path / "twice.parquet")
    assert (refused.code, "stands more than once" in refused.err) == (4, True)
    both = mangaops(*words, "--items", tmp_path / "items.parquet", "--removed", "i1")
    assert (both.code, "added and removed" in both.err) == (4, True)
    assert log_of(shop).last() == 0
