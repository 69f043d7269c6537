"""What items and ids change of a catalogue, by its log, its newest version, and what serves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from mangaops.datasets.search_data import items_by_id
from mangaops.errors import InputError, IntegrityError, SetupError
from mangaops.inference.catalogue import Catalogue, Item, read_catalogue
from mangaops.pipeline.search_data_run import newest_search_version
from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import state
from mangaops.store import CatalogueLog
from mangaops.vocabulary import Digest, Part

_Words = Mapping[str, Item | None]
"""The log's last word on each id that it names; None: the item is gone."""


@dataclass(frozen=True)
class Change:
    """What a delta is to hold, decided when delta `after` was the newest of the log.

    `same`: items that are as they were given; `gone`: ids that were gone already. `unchecked` says what could
    not be asked of the store, and why.
    """

    after: int
    added: Mapping[str, Item]
    removed: tuple[str, ...]
    same: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unchecked: str | None = None


def changed(shop: Workshop, log: CatalogueLog, added: Mapping[str, Item], removed: Sequence[str]) -> Change:
    """Of the items and ids those that are otherwise than the catalogue has them.

    Log and newest version of the data are asked first, and what serves where these call something unchanged
    or do not know it. A store that cannot be read holds up nothing: what it would be asked stays unchecked,
    and counts as a change.

    Raises:
        InputError: an id was never an item, or no item would be left.
    """
    deltas, words = log.read(), dict[str, Item | None]()
    for delta in deltas:
        words |= dict.fromkeys(delta.removed) | dict(delta.added)
    stock, same, gone, unchecked = _Stock(shop, log), set[str](), set[str](), None
    try:
        same, gone = _unchanged(stock, words, added, removed)
        if going := set(removed) - gone:
            _removable(stock, words, added, going)
    except (SetupError, IntegrityError) as error:
        unchecked = f"what the catalogue has, and whether an item is left, was not checked: {error.message}"
    return Change(
        after=deltas[-1].number if deltas else 0,
        added={each: item for each, item in added.items() if each not in same},
        removed=tuple(each for each in removed if each not in gone),
        same=tuple(sorted(same)),
        gone=tuple(sorted(gone)),
        unchecked=unchecked,
    )


@dataclass(frozen=True)
class _Stock:
    """What the store has of a catalogue, read when it is first asked for."""

    shop: Workshop
    log: CatalogueLog

    @cached_property
    def newest(self) -> pl.DataFrame | None:
        """The items of the newest version of the data; None where there is none."""
        version = newest_search_version(self.shop, self.log.catalogue)
        return None if version is None else version.items

    @cached_property
    def ids(self) -> set[str]:
        """The ids of the newest version."""
        return set() if self.newest is None else set(self.newest["item_id"])

    @cached_property
    def served(self) -> list[Catalogue]:
        """Each sealed catalogue that deltas change now."""
        indexes = sorted(_indexes(self.shop, self.log.catalogue))
        return [read_catalogue(self.shop.desk.artifacts.open(each)) for each in indexes]


def _unchanged(
    stock: _Stock, words: _Words, added: Mapping[str, Item], removed: Sequence[str]
) -> tuple[set[str], set[str]]:
    """The ids of the items that are just so already, and of those that are gone already.

    None, where the log is behind what serves: its last words are not the last.
    """
    gone = {each for each in removed if each in words and words[each] is None}
    same = {each for each, item in added.items() if words.get(each) == item}
    unnamed = _as_newest(stock, {each: item for each, item in added.items() if each not in words})
    if not (gone or same or unnamed) or log_is_behind(stock.log, stock.served):
        return set(), set()
    return same | served_so(stock.served, unnamed), gone


def _as_newest(stock: _Stock, items: Mapping[str, Item]) -> dict[str, Item]:
    """Those that are just so in the newest version."""
    if not items or stock.newest is None or stock.ids.isdisjoint(items):
        return {}
    newest = items_by_id(stock.newest.filter(pl.col("item_id").is_in(list(items))))
    return {each: item for each, item in newest.items() if item == items[each]}


def log_is_behind(log: CatalogueLog, served: Sequence[Catalogue]) -> bool:
    """Whether the log lacks a delta that one of these was sealed with, or has another there.

    So it is after an older backup was restored: what was lost is to be appended anew.
    """
    for sealed in served:
        there = log.hash_of(sealed.generation)
        if sealed.generation and (there is None or sealed.hash not in (None, there)):
            return True
    return False


def served_so(served: Sequence[Catalogue], items: Mapping[str, Item]) -> set[str]:
    """The ids of the items that each of these sealed catalogues has just so."""
    return {each for each, item in items.items() if all(held.items.get(each) == item for held in served)}


def _removable(stock: _Stock, words: _Words, added: Mapping[str, Item], going: set[str]) -> None:
    """Nothing happens where each id is an item, and another is left.

    What serves is asked only where log and newest version do not know: of that alone hangs whether searches
    find something, unless the log has an item that is left.
    """
    after = {**words, **dict.fromkeys(going), **added}
    left = any(item is not None for item in after.values())
    if left and going <= {*words, *stock.ids}:
        return
    catalogues: list[Collection[str]] = [each.items.keys() for each in stock.served] or [stock.ids]
    if any(catalogues):
        known = {*words, *stock.ids}.union(*catalogues)
        _check(stock.log.catalogue, going, known, any(_emptied(each, after) for each in catalogues))


def _emptied(items: Collection[str], after: _Words) -> bool:
    return all(after.get(each, each) is None for each in {*items, *after})


def _check(catalogue: str, going: set[str], known: set[str], emptied: bool) -> None:
    unknown = sorted(going - known)
    if unknown:
        raise InputError(
            f"a delta of the catalogue {catalogue} was refused: it removes what was never an item",
            found=f"{', '.join(unknown[:5])}: {len(unknown):,} of {len(going):,} ids",
            accepted="ids of the catalogue that serves, of the newest version, or of the log",
            next_step="mend these ids, or leave them out",
        )
    if emptied:
        raise InputError(
            f"a delta of the catalogue {catalogue} was refused: every search would find nothing",
            found=f"{len(going):,} ids removed, and no item left",
            accepted="a catalogue with an item",
            next_step="append what is sold now together with it, by --items",
        )


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
