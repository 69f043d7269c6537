"""A shelf: the index as it stands, with the texts of its items, for the search that everybody runs."""

from __future__ import annotations

import numpy as np
import pytest

from mangaops.errors import UsageError
from mangaops.inference.index import build
from mangaops.inference.live_index import Delta, LiveIndex
from mangaops.inference.search import Search
from mangaops.inference.shelf import IndexShelf
from mangaops.inference.vectors import Vectors

ADAPTER, CATALOGUE = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXTS = {f"i{n}": f"text {n}" for n in range(8)}


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class Degrees:
    """An encoder of texts that are angles."""

    def vectors(self, texts: list[str]) -> np.ndarray:
        return circle(*map(float, texts))


def live() -> LiveIndex:
    ids = tuple(f"i{n}" for n in range(6))
    return LiveIndex(build(Vectors(ids, circle(0, 10, 20, 30, 40, 50), ADAPTER, CATALOGUE)), generation=4)


def test_a_search_finds_what_stands_and_names_its_generation() -> None:
    index = live()
    search = Search("pair", Degrees(), lambda: IndexShelf(index.now, TEXTS), None, depth=3)
    before = search.search("21", 2)
    assert ([hit.item_id for hit in before.hits], before.generation) == (["i2", "i3"], 4)
    index.apply(Delta(5, ADAPTER, ["i7"], circle(21), removed=["i2"]))
    after = search.search("21", 2)
    assert ([hit.item_id for hit in after.hits], after.generation) == (["i7", "i3"], 5)
    left = {each: text for each, text in TEXTS.items() if each != "i2"}
    assert IndexShelf(index.now, left).nearest(circle(21)[0], 1, None)[0][0] == "i7", "i2 is gone"
    assert [hit.item_id for hit in search.search("21", 2, lambda each: each != "i7").hits] == ["i3", "i1"]


def test_an_index_alone_is_a_shelf_too() -> None:
    shelf = IndexShelf.of(live().now.base, TEXTS, generation=2)
    assert (shelf.generation, shelf.text("i3")) == (2, "text 3")
    assert [item for item, _ in shelf.nearest(circle(50)[0], 2, None)] == ["i5", "i4"]


def test_an_item_without_a_text_is_refused_before_it_can_be_found() -> None:
    with pytest.raises(UsageError, match="have no text") as refused:
        IndexShelf(live().now, {each: text for each, text in TEXTS.items() if each != "i3"})
    assert "'i3'" in refused.value.found
