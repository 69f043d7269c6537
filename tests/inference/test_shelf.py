"""A shelf: the index as it stands, with its items, for the search that everybody runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from mangaops.errors import UsageError
from mangaops.inference.catalogue import Item
from mangaops.inference.index import Index, build
from mangaops.inference.live_index import Delta, LiveIndex
from mangaops.inference.search import Search
from mangaops.inference.shelf import IndexShelf
from mangaops.inference.vectors import Vectors

ADAPTER, CATALOGUE = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ITEMS = {f"i{n}": {"title": f"title {n}", "tags": "a, b"} for n in range(6)}


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class Degrees:
    """An encoder of texts that are angles."""

    def vectors(self, texts: list[str]) -> np.ndarray:
        return circle(*map(float, texts))


@dataclass(frozen=True)
class Came:
    number: int
    added: dict[str, Item] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    hash: str = ""


def index() -> Index:
    return build(Vectors(tuple(ITEMS), circle(0, 10, 20, 30, 40, 50), ADAPTER, CATALOGUE))


def test_a_search_finds_what_stands_and_names_its_generation() -> None:
    live = LiveIndex(index(), generation=4)
    first = IndexShelf.of(live.now.base, ITEMS, 4, "sha256:4")
    live.apply(Delta(5, ADAPTER, ["i7"], circle(21), removed=["i2"]))
    second = first.after(live.now, [Came(5, {"i7": {"title": "came"}}, ("i2",), "sha256:5")])
    assert (first.hash, second.hash) == ("sha256:4", "sha256:5")
    assert first.after(live.now, [Came(5, {"i7": {}})]).hash is None, "nobody knows it"
    for shelf, found in ((first, ["i2", "i3"]), (second, ["i7", "i3"]), (first, ["i2", "i3"])):
        answer = Search("pair", Degrees(), lambda: shelf, None, depth=3).search("21", 2)  # noqa: B023
        assert ([hit.item_id for hit in answer.hits], answer.generation) == (found, shelf.generation)
    assert (first.generation, second.generation) == (4, 5)
    filtered = second.nearest(circle(21)[0], 2, lambda each: each != "i7")
    assert [item for item, _ in filtered] == ["i3", "i1"], "i2 is gone"


def test_an_item_reads_as_it_was_at_the_moment_of_its_shelf() -> None:
    """Changed, removed, back again: each shelf goes on with what it saw."""
    live = LiveIndex(index())
    shelves, numbers = [IndexShelf.of(live.now.base, ITEMS)], range(1, 5)
    for number, (added, removed) in zip(
        numbers,
        [
            ({"i3": "other"}, ()),
            ({}, ("i3", "never there")),
            ({"i3": "back", "new": "new"}, ()),
            ({}, ("new",)),
        ],
        strict=True,
    ):
        rows = circle(*range(60, 60 + len(added))) if added else None
        live.apply(Delta(number, ADAPTER, tuple(added), rows, removed))
        items = {each: {"title": title} for each, title in added.items()}
        shelves.append(shelves[-1].after(live.now, [Came(number, items, removed)]))
    found = [dict(shelf.nearest(circle(0)[0], 10, None)) for shelf in shelves]
    texts = [shelf.text("i3") if "i3" in ids else None for shelf, ids in zip(shelves, found, strict=True)]
    assert texts == ["title 3. a, b", "other", None, "back", "back"]
    assert ["new" in ids for ids in found] == [False, False, False, True, False]
    assert [shelf.generation for shelf in shelves] == [0, *numbers]
    assert all(ids.keys() - {"i3", "new"} == ITEMS.keys() - {"i3"} for ids in found)
    assert shelves[3].item("i5") is ITEMS["i5"]


def test_an_index_alone_is_a_shelf_too() -> None:
    shelf = IndexShelf.of(index(), ITEMS, generation=2)
    assert (shelf.generation, shelf.text("i3")) == (2, "title 3. a, b")
    assert [item for item, _ in shelf.nearest(circle(50)[0], 2, None)] == ["i5", "i4"]


def test_what_no_catalogue_holds_is_refused_before_it_can_be_found() -> None:
    with pytest.raises(UsageError, match="not in the catalogue") as refused:
        IndexShelf.of(index(), {each: item for each, item in ITEMS.items() if each != "i3"})
    assert "'i3'" in refused.value.found
    live = LiveIndex(index())
    live.apply(Delta(1, ADAPTER, ["i7"], circle(21)))
    with pytest.raises(UsageError, match="not in the catalogue") as refused:
        IndexShelf.of(live.now.base, ITEMS).after(live.now, [Came(1, {"i8": {"title": "another"}})])
    assert "'i7'" in refused.value.found
