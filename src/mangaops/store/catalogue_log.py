"""The numbered delta log of a catalogue: what came, what changed and what went since a snapshot.

Deltas are numbered from 1 without a gap. Each is a row of an ordinary table of the ledger's database, whose
key is the number: of writers that take the same one, the later waits for the first, finds it taken and takes
the next. So number n is never visible before n - 1, and the database's own log throws away what a killed
writer left half-written. Hashes chain: that of a delta says which deltas came before it, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select

from mangaops.errors import InputError, IntegrityError, RevisionConflict
from mangaops.registry import GENESIS, canonical
from mangaops.store.announcing import announce
from mangaops.store.ledger import Ledger
from mangaops.store.tables import CATALOGUE_DELTAS
from mangaops.vocabulary import Digest

_NEXT: Final = "restore the database from its backup, or build an index of a new catalogue snapshot"


@dataclass(frozen=True)
class CatalogueDelta:
    """`added`: the new or changed items by id, as JSON values. `removed`: the ids of those that are gone.

    `actor` and `reason`: who appended it and why, empty where that was not said. `hash`: of all deltas up to
    this one, where it was read from a log.
    """

    number: int
    added: Mapping[str, Any]
    removed: tuple[str, ...]
    actor: str = ""
    reason: str = ""
    hash: Digest = field(default="", compare=False)


class Newest(NamedTuple):
    """The newest delta of a log: its number, 0 where there is none, and its hash."""

    number: int
    hash: Digest | None


class CatalogueLog:
    """The deltas of one catalogue. Threads may share it; each process opens its own."""

    def __init__(self, ledger: Ledger, catalogue: str) -> None:
        self._database = ledger.database
        self.catalogue = catalogue

    def append(
        self,
        added: Mapping[str, Any],
        removed: Collection[str] = (),
        *,
        actor: str = "",
        reason: str = "",
        expect: int | None = None,
    ) -> int:
        """The delta is on disk, under the number that is returned: one more than the newest before it.

        `expect` is the number of the newest delta that a decision had read, where it read the log.

        Raises:
            InputError: it says nothing, an id is empty, or it adds and removes the same item.
            RevisionConflict: another delta came after the expected one.
            UsageError: an item is not JSON.
            SetupError: the database cannot be written.
        """
        self.check(added, removed)
        said = {name: word for name, word in (("actor", actor), ("reason", reason)) if word}
        body = canonical({"added": dict(added), "removed": sorted(set(removed)), **said})
        while True:
            with self._database.writing() as connection:
                last = self._last(connection)
                if expect not in (None, last):
                    raise self._moved(expect, last)
                number, held = last + 1, self._hash(connection, last) or GENESIS
                row = {"catalogue": self.catalogue, "number": number, "body": body}
                row["hash"] = _chained(held, body)
                insert = self._database.insert_new(CATALOGUE_DELTAS).returning(CATALOGUE_DELTAS.c.number)
                if connection.execute(insert, row).scalar() == number:
                    announce(self._database, connection, {f"catalogue/{self.catalogue}"})
                    return number

    def check(self, added: Collection[str], removed: Collection[str]) -> None:
        """Nothing happens where these are a delta.

        Raises:
            InputError: they say nothing, an id is empty, or one is on both sides.
        """
        both = sorted(set(added) & set(removed))
        if both or not (added or removed) or "" in added or "" in removed:
            raise InputError(
                f"a delta of the catalogue {self.catalogue} was refused",
                found=f"added and removed: {', '.join(both[:5])}"
                if both
                else "no item, or one without an id",
                accepted="at least one item, each with an id, and each on one side",
                next_step="name what came with --items, or what went with --removed",
            )

    def read(self, after: int = 0, most: int | None = None) -> list[CatalogueDelta]:
        """The deltas of greater number, oldest first; at most so many.

        Raises:
            IntegrityError: one of them is missing, was edited, or is no delta.
        """
        table = CATALOGUE_DELTAS
        query = (
            select(table.c.number, table.c.body, table.c.hash)
            .where(table.c.catalogue == self.catalogue, table.c.number > after)
            .order_by(table.c.number)
            .limit(most)
        )
        with self._database.reading() as connection:
            held = self._hash(connection, after) if after else GENESIS
            rows = connection.execute(query).all()
        deltas: list[CatalogueDelta] = []
        for due, row in enumerate(rows, after + 1):
            if held is None or row.number != due:
                raise self._gap(due if held else after, row.number)
            held = _chained(held, row.body)
            if row.hash != held:
                raise self._edited(row.number, row.hash, held)
            deltas.append(self._delta(row.number, row.body, held))
        return deltas

    def newest(self) -> Newest:
        """Number and hash of the newest delta, by one query."""
        table = CATALOGUE_DELTAS
        query = (
            select(table.c.number, table.c.hash)
            .where(table.c.catalogue == self.catalogue)
            .order_by(table.c.number.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return Newest(row.number, row.hash) if row else Newest(0, None)

    def last(self) -> int:
        """The number of the newest delta; 0 where there is none."""
        with self._database.reading() as connection:
            return self._last(connection)

    def hash_of(self, number: int) -> Digest | None:
        """The hash of that delta, None where there is none: of equal hashes all before are equal, too."""
        with self._database.reading() as connection:
            return self._hash(connection, number)

    def _hash(self, connection: Connection, number: int) -> Digest | None:
        table = CATALOGUE_DELTAS
        query = select(table.c.hash).where(table.c.catalogue == self.catalogue, table.c.number == number)
        found: Digest | None = connection.execute(query).scalar()
        return found

    def _last(self, connection: Connection) -> int:
        newest = func.max(CATALOGUE_DELTAS.c.number)
        query = select(newest).where(CATALOGUE_DELTAS.c.catalogue == self.catalogue)
        return connection.execute(query).scalar() or 0

    def _delta(self, number: int, text: str, held: Digest) -> CatalogueDelta:
        """What a row says; one that was broken before rows had hashes has a hash that fits."""
        try:
            body = json.loads(text)
            who, why = str(body.get("actor", "")), str(body.get("reason", ""))
            added, removed = dict(body["added"]), tuple(map(str, body["removed"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"delta {number} of the catalogue {self.catalogue} was refused: it cannot be read",
                found=f"{type(error).__name__}: {error}",
                accepted="an object with what was added and what was removed",
                next_step=_NEXT,
            ) from error
        return CatalogueDelta(number, added, removed, who, why, held)

    def _edited(self, number: int, found: Digest, accepted: Digest) -> IntegrityError:
        return IntegrityError(
            f"delta {number} of the catalogue {self.catalogue} was refused: it is not what was appended",
            found=f"hash {found}",
            accepted=f"{accepted}, of its body and what came before",
            next_step=_NEXT,
        )

    def _moved(self, expected: int | None, found: int) -> RevisionConflict:
        return RevisionConflict(
            f"a delta of the catalogue {self.catalogue} was refused: another one came first",
            found=f"delta {found} is the newest",
            accepted=f"delta {expected}, which was the newest when this one was decided",
            next_step="run the same command again: it reads the newer log",
        )

    def _gap(self, due: int, found: int) -> IntegrityError:
        return IntegrityError(
            f"the log of the catalogue {self.catalogue} was refused: a delta is missing",
            found=f"delta {found} where {due} is due",
            accepted="numbers from 1 without a gap",
            next_step=_NEXT,
        )


def _chained(before: Digest, body: str) -> Digest:
    return "sha256:" + hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()
