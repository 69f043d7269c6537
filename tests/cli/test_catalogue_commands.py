"""`catalogue append|show`: what serves follows it, and what is no delta is refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from mangaops.inference.catalogue import Catalogue
from mangaops.pipeline.catalogue_change import log_is_behind, served_so
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


def test_what_changes_nothing_is_left_out_and_counted(shop: Path, tmp_path: Path, mangaops) -> None:
    words = ("catalogue", "append", "shop", "--stack", shop)
    items = ("--items", tmp_path / "items.parquet")
    assert "left out" not in mangaops(*words, *items).out
    again = mangaops(*words, *items, "--removed", "i9", "--json")
    told = json.loads(again.out)
    assert (told["number"], told["added"], told["removed"], told["unchanged"]) == (2, 0, 1, 2)
    nothing = mangaops(*words, *items, "--removed", "i9")
    assert nothing.code == 0
    assert "no delta of shop was written, as nothing changes: 2 as they are, 1 gone already" in nothing.out
    told = json.loads(mangaops(*words, *items, "--json").out)
    assert (told["number"], told["added"], told["unchanged"], told["gone_already"]) == (None, 0, 2, 0)
    dearer = {"sku": ["i1", "i2", "i9"], "title": ["Red Garden", "Iron Storm", "Back"], "price": [500, 7, 1]}
    pl.DataFrame(dearer).write_parquet(tmp_path / "items.parquet")
    ended = mangaops(*words, *items)
    assert "delta 3 of shop: 2 added or changed, 0 removed; left out: 1 as they are" in ended.out
    assert [sorted(each.added) for each in log_of(shop).read()] == [["i1", "i2"], [], ["i2", "i9"]]


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_delta_without_a_reason_is_refused(shop: Path, tmp_path: Path, mangaops, blank: str) -> None:
    ended = mangaops("catalogue", "append", "shop", "--stack", shop, "--removed", "i1", "--reason", blank)
    assert (ended.code, "no reason" in ended.err) == (2, True)
    assert "--reason TEXT" in ended.err
    assert log_of(shop).last() == 0


@pytest.mark.parametrize(
    ("generation", "held", "behind"),
    [(0, None, False), (1, None, False), (1, "its own", False), (1, "another", True), (2, None, True)],
)
def test_a_log_is_behind_where_it_lacks_what_a_catalogue_was_sealed_with(
    shop: Path, generation: int, held: str | None, behind: bool
) -> None:
    log = log_of(shop)
    log.append({"z": {"title": "z"}})
    sealed = log.hash_of(1) if held == "its own" else held
    whole, other = (
        Catalogue("shop", f"sha256:{n}", at, {}, by) for n, at, by in ((1, 0, None), (2, generation, sealed))
    )
    assert log_is_behind(log, [whole, other]) is behind


def test_an_item_is_as_it_is_where_all_that_serves_has_it() -> None:
    items = {"a": {"title": "a"}, "b": {"title": "b"}}
    one = Catalogue("shop", "sha256:1", 0, items)
    other = Catalogue("shop", "sha256:2", 0, {"a": {"title": "a"}, "b": {"title": "c"}})
    assert served_so([one, other], items) == {"a"}


def test_a_catalogue_without_deltas_says_so(shop: Path, mangaops) -> None:
    ended = mangaops("catalogue", "show", "shop", "--stack", shop)
    assert (ended.code, "no delta yet" in ended.out) == (0, True)


def test_an_item_without_a_title_is_told_when_it_comes(shop: Path, tmp_path: Path, mangaops) -> None:
    words = ("catalogue", "append", "shop", "--stack", shop, "--items")
    assert mangaops(*words, tmp_path / "items.parquet").err == ""
    bare = {"sku": ["i3", "i4"], "title": [None, "Blue Gate"]}
    pl.DataFrame(bare).write_parquet(tmp_path / "bare.parquet")
    ended = mangaops(*words, tmp_path / "bare.parquet")
    assert (ended.code, "1 item has no title, the first is i3" in ended.err) == (0, True)


def test_an_audit_reads_the_deltas_of_each_catalogue_too(shop: Path, tmp_path: Path, mangaops) -> None:
    mangaops(
        "catalogue",
        "append",
        "shop",
        "--stack",
        shop,
        "--items",
        tmp_path / "items.parquet",
        "--reason",
        "17",
    )
    audit = ("audit", "verify", "--stack", shop)
    assert mangaops(*audit).code == 0
    with sqlite3.connect(shop.parent / ".mangaops" / "ledger.db") as ledger:
        ledger.execute("update catalogue_deltas set body = replace(body, 'Iron', 'Lead')")
    ended = mangaops(*audit)
    assert ended.code == 4
    assert "delta 1 of the catalogue shop" in ended.out


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
