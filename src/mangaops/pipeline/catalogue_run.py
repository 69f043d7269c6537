"""Items that came, changed or went, to a delta of their catalogue's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mangaops.datasets.search_data import collect_items, items_by_id
from mangaops.datasets.source import Source
from mangaops.errors import InputError, RevisionConflict, UsageError
from mangaops.inference.catalogue import Item
from mangaops.pipeline.catalogue_change import Change, changed
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import require_reason
from mangaops.stack import SearchDataSpec, guess
from mangaops.store import CatalogueDelta, CatalogueLog


@dataclass(frozen=True)
class Appended:
    """What an append came to: the delta that is in the log, None where nothing of the catalogue changes."""

    delta: CatalogueDelta | None
    change: Change


def append_delta(
    shop: Workshop,
    data: str,
    source: Source | None,
    removed: Sequence[str],
    *,
    reason: str,
    progress: Progress,
) -> Appended:
    """What the items of the source and the ids of those that went change is the next delta of the catalogue.

    Every release that serves it embeds the delta for itself from now on. Where another delta comes first,
    what that changed counts: this one is decided anew.

    Raises:
        UsageError: the stack declares no such data of kind search, or the reason says nothing.
        InputError: the items cannot be read, an item stands twice, there is neither item nor id, an id was
            never an item, or no item would be left.
    """
    spec, actor = searched(shop, data), shop.desk.actor
    require_reason(f"a delta of the catalogue {data}", reason)
    added = read_items(source, spec, progress) if source is not None else {}
    log = CatalogueLog(shop.desk.ledger, data)
    log.check(added, removed)
    while True:
        change = changed(shop, log, added, sorted(set(removed)))
        if not change.added and not change.removed:
            return Appended(None, change)
        try:
            number = log.append(change.added, change.removed, actor=actor, reason=reason, expect=change.after)
        except RevisionConflict:
            continue
        return Appended(CatalogueDelta(number, change.added, change.removed, actor, reason), change)


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
            f"the catalogue of {data!r} was refused: the stack has no data of kind search of that name"
            f"{guess(data, known)}",
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
