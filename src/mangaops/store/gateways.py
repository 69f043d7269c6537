"""Who serves: the workers of gateways, whether they live, and what they acknowledged.

A member beats. It is gone when it did not beat for `ttl` seconds by the clock that all members share, and
at once when its process is known to be dead. A member that was only slow stands again with its next beat, and
what it acknowledged before is kept for that.

That clock is the server's with PostgreSQL. With SQLite, whose users are all on one host, it is the monotonic
clock of that host: a jump of the wall clock makes nobody look dead, and lets no promotion through.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select

from mangaops.store.ledger import Ledger
from mangaops.store.processes import Process, is_dead, this_process
from mangaops.store.tables import ACKNOWLEDGEMENTS, MEMBERS
from mangaops.vocabulary import Acknowledged, SlotState

REASON_LENGTH: Final = 300
"""So many characters of a refusal's reason are kept."""

KEPT_SECONDS: Final = 3600.0
"""So long an acknowledgement is kept: far longer than any cutover waits."""

WARM: Final = frozenset({SlotState.HEALTHY, SlotState.ACTIVE, SlotState.DRAINING})
"""The states of a slot that holds a loaded release."""


@dataclass(frozen=True)
class Member:
    """One worker of a gateway since one start. `beat` is in seconds of the clock that all members share.

    `doing` is what it said last: `{"units": {unit: {"active", "generation", "revision", "slots"}}, ...}`.
    """

    member: str
    gateway: str
    worker: int
    host: str
    pid: int
    started: str
    beat: float
    doing: Mapping[str, Any]

    @property
    def host_name(self) -> str:
        """The host's name, without what makes it unique."""
        return self._process.host_name

    @property
    def _process(self) -> Process:
        return Process(self.host, self.pid, self.started)

    def serves(self, unit: str) -> bool:
        """Whether it answers for the unit; one that has not said which units it serves may."""
        units = self.doing.get("units")
        return not units or unit in units

    def holds(self, unit: str, release: str) -> bool:
        """Whether it says that the release is loaded in one of its slots."""
        said = self.doing.get("units", {}).get(unit, {})
        return said.get("slots", {}).get(release) in WARM


@dataclass(frozen=True)
class Acknowledgement:
    """What a member said of a cutover. `milliseconds` is what it took there, None where it did not say."""

    member: str
    word: Acknowledged
    reason: str
    milliseconds: float | None
    at: float


class Gateways:
    """The members of all gateways of a ledger."""

    def __init__(self, ledger: Ledger, ttl: float = 5.0) -> None:
        """`ttl` in seconds is how long a member of another host may be silent before it counts as gone."""
        self._database = ledger.database
        self.ttl = ttl

    def join(self, gateway: str, worker: int, doing: Mapping[str, Any]) -> str:
        """The calling process stands as a member, by the name that is returned."""
        member = f"{gateway}/{worker}/{secrets.token_hex(6)}"
        self.beat(member, doing)
        return member

    def beat(self, member: str, doing: Mapping[str, Any]) -> None:
        """The member lives and does this; one that was taken for gone stands again."""
        gateway, worker, _ = member.rsplit("/", 2)
        me = this_process()
        row: dict[str, Any] = {"member": member, "gateway": gateway, "worker": int(worker)}
        row |= {"host": me.host, "pid": me.pid, "started": me.started, "doing": json.dumps(doing)}
        with self._database.writing() as connection:
            row["beat"] = self._now(connection)
            connection.execute(self._database.replace(MEMBERS, row))

    def leave(self, member: str) -> None:
        """The member is gone, and nothing that it acknowledged is left."""
        with self._database.writing() as connection:
            for table in (MEMBERS, ACKNOWLEDGEMENTS):
                connection.execute(delete(table).where(table.c.member == member))

    def members(self, unit: str | None = None) -> list[Member]:
        """The living, sorted by name: all, or those that serve the unit. Rows of the dead are gone then."""
        with self._database.reading() as connection:
            living, dead = self._told(connection)
        if dead:
            with self._database.writing() as connection:
                for each in dead:
                    same = (MEMBERS.c.member == each.member, MEMBERS.c.beat == each.beat)
                    connection.execute(delete(MEMBERS).where(*same))
        return [each for each in living if unit is None or each.serves(unit)]

    def acknowledge(
        self,
        member: str,
        unit: str,
        revision: int,
        word: Acknowledged,
        *,
        reason: str = "",
        milliseconds: float | None = None,
    ) -> None:
        """It is the member's newest word on that event of the unit; words of an hour ago are gone."""
        row: dict[str, Any] = {"member": member, "unit": unit, "revision": revision, "word": str(word)}
        row |= {"reason": " ".join(reason.split())[:REASON_LENGTH], "milliseconds": milliseconds}
        with self._database.writing() as connection:
            row["at"] = now = self._now(connection)
            connection.execute(self._database.replace(ACKNOWLEDGEMENTS, row))
            recent = ACKNOWLEDGEMENTS.c.at.between(now - KEPT_SECONDS, now + KEPT_SECONDS)
            connection.execute(delete(ACKNOWLEDGEMENTS).where(~recent))

    def acknowledgements(self, unit: str, revision: int) -> dict[str, Acknowledgement]:
        """The newest word of each member on that event of the unit."""
        with self._database.reading() as connection:
            return _words(connection, unit, revision)

    def lacking(self, connection: Connection, unit: str, revision: int, word: Acknowledged) -> list[str]:
        """Living members that serve the unit and whose newest word on that event is another one.

        As the transaction sees it.
        """
        living, _ = self._told(connection)
        words = _words(connection, unit, revision)
        serving = [each.member for each in living if each.serves(unit)]
        return [name for name in serving if name not in words or words[name].word != word]

    def _told(self, connection: Connection) -> tuple[list[Member], list[Member]]:
        """The living and the dead."""
        now = self._now(connection)
        told = [_member(row) for row in connection.execute(select(MEMBERS).order_by(MEMBERS.c.member))]
        dead = [each for each in told if self._silent(each, now) or is_dead(each._process)]
        return [each for each in told if each not in dead], dead

    def _silent(self, member: Member, now: float) -> bool:
        """Whether it beat too long ago; a monotonic clock that it is ahead of is one of a later boot."""
        ahead = self._database.is_sqlite and member.beat > now + self.ttl
        return ahead or now - member.beat > self.ttl

    def _now(self, connection: Connection) -> float:
        """Seconds of the clock that all members share."""
        return time.monotonic() if self._database.is_sqlite else self._database.now(connection)


def _member(row: Row[Any]) -> Member:
    fields = {**row._mapping, "doing": json.loads(row.doing)}
    return Member(**fields)


def _words(connection: Connection, unit: str, revision: int) -> dict[str, Acknowledgement]:
    table = ACKNOWLEDGEMENTS
    query = select(table.c.member, table.c.word, table.c.reason, table.c.milliseconds, table.c.at).where(
        table.c.unit == unit, table.c.revision == revision
    )
    rows = connection.execute(query)
    return {
        row.member: Acknowledgement(row.member, Acknowledged(row.word), row.reason, row.milliseconds, row.at)
        for row in rows
    }
