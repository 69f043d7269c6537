"""What a review calls the items of two lists: one title an item, whichever side shows it.

An item that has a title on one side alone would tell which side that is, and the review were not blind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from mangaops.datasets.search_data import items_by_id
from mangaops.evidence import Evidence
from mangaops.inference.catalogue import Item, read_catalogue
from mangaops.release.desk import Desk, state, unit_spec
from mangaops.release.listed import items_of
from mangaops.store import CatalogueLog
from mangaops.vocabulary import Part


def titles(desk: Desk, unit: str, queue: Evidence, golden: pl.DataFrame) -> pl.DataFrame:
    """The titles of the items that the queue shows: item_id, title; of one without a title, its id.

    They are read from what both releases of the shadow were sealed with, from the `golden` items, and from
    the deltas of the catalogue's log. What none of these has is left out.

    Raises:
        SetupError: the store cannot be read.
        IntegrityError: a sealed catalogue is not there, or it or the log was edited.
    """
    shown, found = _shown(queue.tables["items"]), dict[str, str]()
    if shown:  # else no store is asked
        for items in _catalogues(desk, unit, queue, golden.filter(pl.col("item_id").is_in(sorted(shown)))):
            found |= {each: str(items[each].get("title") or each) for each in shown & items.keys()}
    schema = {"item_id": pl.String, "title": pl.String}
    return pl.DataFrame(sorted(found.items()), schema=schema, orient="row")


def _shown(asked: pl.DataFrame) -> set[str]:
    return {
        item for listed in (*asked["baseline_label"], *asked["release_label"]) for item in items_of(listed)
    }


def _catalogues(desk: Desk, unit: str, queue: Evidence, golden: pl.DataFrame) -> Iterable[Mapping[str, Item]]:
    """Items by id: sealed ones, golden ones, those of each delta; what comes later has the word."""
    yield from _sealed(desk, unit, queue)
    yield items_by_id(golden)
    data = desk.stack.models[unit_spec(desk, unit).models[0]].data
    yield from (delta.added for delta in CatalogueLog(desk.ledger, data).read())


def _sealed(desk: Desk, unit: str, queue: Evidence) -> Iterable[Mapping[str, Item]]:
    """The items that the releases of the shadow were sealed with, those that have an index."""
    sides = (queue.binding.baseline, queue.binding.release)
    for each in state(desk, unit).releases.values():
        if each.digest in sides and Part.INDEX in each.parts:
            yield read_catalogue(desk.artifacts.open(each.parts[Part.INDEX])).items
