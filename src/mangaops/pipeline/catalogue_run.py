"""Items that came, changed or went, to a delta of their catalogue's log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from mangaops.datasets.search_data import collect_items, items_by_id
from mangaops.datasets.source import Source
from mangaops.errors import InputError, UsageError
from mangaops.inference.catalogue import Item, read_catalogue
from mangaops.pipeline.search_data_run import newest_search_version
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release.desk import state
from mangaops.stack import SearchDataSpec
from mangaops.store import CatalogueDelta, CatalogueLog
from mangaops.vocabulary import Digest, Part


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
        InputError: the items cannot be read, an item stands twice, there is neither item nor id, an id was
            never an item, or no item would be left.
    """
    spec = searched(shop, data)
    added = read_items(source, spec, progress) if source is not None else {}
    log, gone = CatalogueLog(shop.desk.ledger, data), tuple(sorted(set(removed)))
    if gone:
        _removable(shop, log, added, gone)
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


def _removable(shop: Workshop, log: CatalogueLog, added: Mapping[str, Item], gone: Collection[str]) -> None:
    """Nothing happens where each id is or was an item, and another item is left; or nobody can say.

    Raises:
        InputError: an id was never one, or none is left.
    """
    catalogues, stands = _catalogues(shop, log.catalogue), dict[str, bool]()
    for delta in log.read():
        stands |= dict.fromkeys(delta.removed, False) | dict.fromkeys(delta.added, True)
    unknown = sorted(set(gone).difference(stands, *catalogues))
    if catalogues and unknown:
        raise InputError(
            f"a delta of the catalogue {log.catalogue} was refused: it removes what was never an item",
            found=f"{', '.join(unknown[:5])}: {len(unknown):,} of {len(gone):,} ids",
            accepted="ids of the catalogue that serves, or of its log",
            next_step="mend these ids, or leave them out",
        )
    stands |= dict.fromkeys(gone, False) | dict.fromkeys(added, True)
    if any(not any(stands.get(each, True) for each in {*items, *stands}) for items in catalogues):
        raise InputError(
            f"a delta of the catalogue {log.catalogue} was refused: every search would find nothing",
            found=f"{len(gone):,} ids removed, and no item left",
            accepted="a catalogue with an item",
            next_step="append what is sold now together with it, by --items",
        )


def _catalogues(shop: Workshop, data: str) -> list[Collection[str]]:
    """The ids of each sealed catalogue that deltas change now: of champion, way back and challenger.

    Of the newest version of the data where there is none; empty where there is no version either.
    """
    desk, found = shop.desk, set[Digest]()
    for unit, spec in desk.stack.units.items():
        if any(desk.stack.models[model].data == data for model in spec.models):
            current = state(desk, unit)
            held = (current.champion, *current.rollback[-1:], current.challenger)
            releases = [current.releases[name] for name in held if name and name in current.releases]
            found |= {each.parts[Part.INDEX] for each in releases if Part.INDEX in each.parts}
    if found:
        return [read_catalogue(desk.artifacts.open(each)).items.keys() for each in sorted(found)]
    newest = newest_search_version(shop, data)
    return [newest.items.get_column("item_id").to_list()] if newest is not None else []


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
