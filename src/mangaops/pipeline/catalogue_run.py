"""Items that came, changed or went, to a delta of their catalogue's log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mangaops.datasets.search_data import collect_items, items_by_id
from mangaops.datasets.source import Source
from mangaops.errors import InputError, IntegrityError, SetupError, UsageError
from mangaops.inference.catalogue import Item, read_catalogue
from mangaops.pipeline.search_data_run import newest_search_version
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release.desk import state
from mangaops.stack import SearchDataSpec, guess
from mangaops.store import CatalogueDelta, CatalogueLog
from mangaops.vocabulary import Digest, Part


@dataclass(frozen=True)
class Appended:
    """A delta that is in the log; `unchecked` says what could not be asked about its removals, and why."""

    delta: CatalogueDelta
    unchecked: str | None = None


def append_delta(
    shop: Workshop,
    data: str,
    source: Source | None,
    removed: Sequence[str],
    *,
    reason: str,
    progress: Progress,
) -> Appended:
    """The items of the source and the ids of those that went are the next delta of the data's catalogue.

    Every release that serves it embeds them for itself from now on. A store that cannot be read holds up no
    removal: what it would be asked stays unchecked.

    Raises:
        UsageError: the stack declares no such data of kind search.
        InputError: the items cannot be read, an item stands twice, there is neither item nor id, an id was
            never an item, or no item would be left.
    """
    spec = searched(shop, data)
    added = read_items(source, spec, progress) if source is not None else {}
    log, gone = CatalogueLog(shop.desk.ledger, data), tuple(sorted(set(removed)))
    unchecked = _removable(shop, log, added, gone) if gone else None
    number = log.append(added, gone, actor=shop.desk.actor, reason=reason)
    return Appended(CatalogueDelta(number, added, gone, shop.desk.actor, reason), unchecked)


def deltas(shop: Workshop, data: str) -> list[CatalogueDelta]:
    """All deltas of the data's catalogue, oldest first.

    Raises:
        UsageError: the stack declares no such data of kind search.
        IntegrityError: one is missing or broken.
    """
    searched(shop, data)
    return CatalogueLog(shop.desk.ledger, data).read()


_Ids = Collection[str]


def _removable(shop: Workshop, log: CatalogueLog, added: Mapping[str, Item], gone: _Ids) -> str | None:
    """None where each id is or was an item, and another is left; else why the store could not be asked.

    The log is asked first, then the newest version of the data, and what serves only where these do not know:
    of that alone hangs whether searches find something, unless the log has an item that is left.

    Raises:
        InputError: an id was never one, or none is left.
    """
    stands = dict[str, bool]()
    for delta in log.read():
        stands |= dict.fromkeys(delta.removed, False) | dict.fromkeys(delta.added, True)
    after = stands | dict.fromkeys(gone, False) | dict.fromkeys(added, True)
    left = any(after.values())
    if left and stands.keys() >= set(gone):
        return None
    try:
        newest = _newest(shop, log.catalogue)
        known = {*stands, *newest}
        if left and known.issuperset(gone):
            return None
        served = _served(shop, log.catalogue)
    except (SetupError, IntegrityError) as error:
        return f"whether each of these ids was an item, and one is left, was not checked: {error.message}"
    catalogues = served or [newest]
    if any(catalogues):
        _check(log.catalogue, gone, known.union(*served), any(_emptied(each, after) for each in catalogues))
    return None


def _emptied(items: _Ids, after: Mapping[str, bool]) -> bool:
    return not any(after.get(each, True) for each in {*items, *after})


def _check(catalogue: str, gone: _Ids, known: set[str], emptied: bool) -> None:
    unknown = sorted(set(gone) - known)
    if unknown:
        raise InputError(
            f"a delta of the catalogue {catalogue} was refused: it removes what was never an item",
            found=f"{', '.join(unknown[:5])}: {len(unknown):,} of {len(gone):,} ids",
            accepted="ids of the catalogue that serves, of the newest version, or of the log",
            next_step="mend these ids, or leave them out",
        )
    if emptied:
        raise InputError(
            f"a delta of the catalogue {catalogue} was refused: every search would find nothing",
            found=f"{len(gone):,} ids removed, and no item left",
            accepted="a catalogue with an item",
            next_step="append what is sold now together with it, by --items",
        )


def _newest(shop: Workshop, data: str) -> _Ids:
    """The ids of the newest version of the data; none where there is none."""
    version = newest_search_version(shop, data)
    return version.items.get_column("item_id").to_list() if version is not None else []


def _served(shop: Workshop, data: str) -> list[_Ids]:
    """The ids of each sealed catalogue that deltas change now."""
    opened = (shop.desk.artifacts.open(each) for each in sorted(_indexes(shop, data)))
    return [read_catalogue(folder).items.keys() for folder in opened]


def _indexes(shop: Workshop, data: str) -> set[Digest]:
    """The indexes that deltas change now: of champion, way back and challenger."""
    desk, found = shop.desk, set[Digest]()
    for unit, spec in desk.stack.units.items():
        if any(desk.stack.models[model].data == data for model in spec.models):
            current = state(desk, unit)
            held = (current.champion, *current.rollback[-1:], current.challenger)
            releases = [current.releases[name] for name in held if name and name in current.releases]
            found |= {each.parts[Part.INDEX] for each in releases if Part.INDEX in each.parts}
    return found


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
