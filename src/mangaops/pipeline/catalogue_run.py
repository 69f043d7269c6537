"""Items that came, changed or went, to a delta of their catalogue's log."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mangaops.datasets.search_data import collect_items, items_by_id
from mangaops.datasets.source import Source
from mangaops.errors import InputError, UsageError
from mangaops.inference.catalogue import Item
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.stack import SearchDataSpec
from mangaops.store import CatalogueDelta, CatalogueLog


def append_delta(
    shop: Workshop,
    data: str,
    source: Source | None,
    removed: Sequence[str],
    *,
    reason: str,
    progress: Progress,
) -> CatalogueDelta:
    """The items of the source and the ids of those that went are the next delta of the data's catalogue.

    Every release that serves it embeds them for itself from now on.

    Raises:
        UsageError: the stack declares no such data of kind search.
        InputError: the items cannot be read, an item stands twice, or there is neither item nor id.
    """
    spec = searched(shop, data)
    added = read_items(source, spec, progress) if source is not None else {}
    log, gone = CatalogueLog(shop.desk.ledger, data), tuple(sorted(set(removed)))
    number = log.append(added, gone, actor=shop.desk.actor, reason=reason)
    return CatalogueDelta(number, added, gone, shop.desk.actor, reason)


def deltas(shop: Workshop, data: str) -> list[CatalogueDelta]:
    """All deltas of the data's catalogue, oldest first.

    Raises:
        UsageError: the stack declares no such data of kind search.
        IntegrityError: one is missing or broken.
    """
    searched(shop, data)
    return CatalogueLog(shop.desk.ledger, data).read()


def searched(shop: Workshop, data: str) -> SearchDataSpec:
    """What the stack says of data of kind search."""
    known = shop.desk.stack.search_data
    if data not in known:
        raise UsageError(
            f"the catalogue of {data!r} was refused: the stack has no data of kind search of that name",
            accepted=", ".join(known) or "nothing: no data of this stack has a catalogue",
            next_step="name one of these, or add it under `data:` in stack.yaml",
        )
    return known[data]


def read_items(source: Source, spec: SearchDataSpec, progress: Progress) -> dict[str, Item]:
    """The items of a source by id, as catalogues and their deltas hold them.

    Raises:
        InputError: a file, column or cell that cannot be read, with its place; or an item that stands twice.
    """
    rows = collect_items(source, spec, progress).rows
    twice = rows.filter(pl.col("item_id").is_duplicated())
    if twice.height:
        raise InputError(
            f"{twice['place'][-1]} was refused: its item stands more than once",
            found=str(twice["item_id"][-1]),
            accepted="each item once",
            next_step="keep the row that holds today",
        )
    return items_by_id(rows)
