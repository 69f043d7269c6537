"""Catalogues that change while releases serve: every slot embeds each delta of its catalogue for itself.

    delta log ─▶ embed for each slot, off the serving path ─▶ all slots of a unit show it at one moment

Rule 1: what answers never goes back a generation of its catalogue by a cutover. A new slot has embedded all
that the log holds before it is healthy, or at least all that serves, and slots of one unit show a delta
together, on the event loop, where cutovers are made too.

Rule 2: a delta that cannot be read or embedded costs no answer. Slots go on with the catalogue that they
have, health and metrics tell how far that is behind, and it is tried again.

Rule 3: a slot goes on only from the log that it embedded. A log that ends before that, or whose deltas up to
there are others, was restored from an older backup: that is told, and nothing of it is embedded on top.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from mangaops.errors import IntegrityError, MangaopsError, SetupError
from mangaops.gateway import gauges
from mangaops.gateway.link import Link
from mangaops.gateway.slots import WARM, Slots
from mangaops.inference.families import FollowsCatalogue, Servable
from mangaops.store.catalogue_log import CatalogueDelta, CatalogueLog, Newest
from mangaops.vocabulary import Digest

_LOG: Final = logging.getLogger("mangaops.gateway")

MOST: Final = 64
"""Deltas that are read and embedded at a time."""

RETRY: Final = 1.0
"""Seconds after which what could not be read or embedded is tried again."""

MANY: Final = 20_000
"""Later items from which on a release of a newer snapshot is due: each search looks at all of them."""

OnLoop = Callable[[Callable[[], None]], Any]
"""Makes a call on the event loop, and is done when it was made."""


@dataclass
class Standing:
    """How far a unit's catalogue is: `newest` in the log, `shown` by what serves; why that stays behind.

    `later`: items that came or changed since the snapshot of the release that serves.
    """

    newest: int = 0
    shown: int = 0
    later: int = 0
    trouble: str | None = None

    @property
    def behind(self) -> int:
        """Deltas that are in the log and not yet in answers."""
        return max(0, self.newest - self.shown)


@dataclass(frozen=True)
class Look:
    """What a look at the logs found: the newest delta's number, None where none was read; what was wrong."""

    newest: int | None
    wrong: tuple[Exception, ...] = ()

    @property
    def trouble(self) -> str | None:
        """Why not all could be embedded, in one line."""
        return _why(self.wrong[0]) if self.wrong else None


@dataclass
class Reader:
    """Reads the log for what follows a catalogue, and remembers how each unit stands. Threads take turns."""

    link: Link
    standings: dict[str, Standing] = field(default_factory=dict)
    hashes: WeakKeyDictionary[FollowsCatalogue, Digest | None] = field(default_factory=WeakKeyDictionary)
    """Of the last delta that each has embedded; None where nobody knows it any more."""

    def catch_up(self, unit: str, following: Sequence[FollowsCatalogue]) -> None:
        """Each has embedded all that its log holds, or as much as can be: `standings` says why not more."""
        look, standing = self.look(unit, following), self.standings.setdefault(unit, Standing())
        standing.newest = standing.newest if look.newest is None else look.newest
        if look.trouble is not None and look.trouble != standing.trouble:
            _LOG.error("%s does not follow its catalogue: %s", unit, look.trouble)
        standing.trouble = look.trouble

    def look(self, unit: str, following: Sequence[FollowsCatalogue]) -> Look:
        """Each has embedded all that its log holds, or as much as can be, and nobody is told."""
        newest: dict[str, Newest] = {}
        wrong: list[Exception] = []
        for each in following:
            name = each.catalogue.name
            try:
                log = self.link.deltas(name)
                if name not in newest:
                    newest[name] = log.newest()
                self._go_on(log, newest[name], each)
                while each.embedded < newest[name].number and (deltas := _read(log, each.embedded)):
                    self._embed(each, deltas)
            except Exception as error:  # noqa: BLE001 - whatever a delta holds, serving goes on without it
                wrong.append(error)
                gauges.CATALOGUE_REFUSED.labels(unit, type(error).__name__).inc()
        return Look(max((each.number for each in newest.values()), default=None), tuple(wrong))

    def _go_on(self, log: CatalogueLog, newest: Newest, follows: FollowsCatalogue) -> None:
        """Nothing happens where the log goes on from what is embedded: the hashes of that are equal.

        The first look takes the hash that the release sealed. Where it sealed none it takes that of the log,
        and where that ends too soon, the hash stays unknown and no log is followed: any may be another.

        Raises:
            IntegrityError: it ends before that, or holds other deltas up to there, or nobody can say.
        """
        if not (embedded := follows.embedded):
            return
        there = newest.hash if newest.number == embedded else log.hash_of(embedded)
        if there is None and newest.number > embedded:
            return  # a gap, which is refused when it is read
        known = self.hashes.setdefault(follows, _sealed(follows) or there)
        if newest.number < embedded:
            found = f"delta {newest.number} is its last, and {embedded} is embedded"
        elif known is None:
            found = f"it ended before delta {embedded} for a while, and the release sealed no hash of that"
        elif there != known:
            found = f"its deltas up to {embedded} are others than were embedded"
        else:
            return
        raise _restored(log, follows, found)

    def _embed(self, follows: FollowsCatalogue, deltas: Sequence[CatalogueDelta]) -> None:
        """The deltas are embedded; where one is refused, those before it are."""
        try:
            follows.embed(deltas)
            self.hashes[follows] = deltas[-1].hash
        except Exception:
            if len(deltas) == 1:
                raise
            for delta in deltas:
                self._embed(follows, [delta])


def _why(error: Exception) -> str:
    """What was refused, what was found and what to do, in one line."""
    if not isinstance(error, MangaopsError):
        return f"{type(error).__name__}: {error}"
    said = (("found", error.found), ("next", error.next_step))
    return "; ".join([error.refused, *(f"{name}: {text}" for name, text in said if text)])


def _read(log: CatalogueLog, after: int) -> list[CatalogueDelta]:
    """The next deltas: many at a time, or where one of them is broken those before it, one by one."""
    try:
        return log.read(after, MOST)
    except IntegrityError:
        return log.read(after, 1)


def _sealed(follows: FollowsCatalogue) -> Digest | None:
    """The hash of what it has embedded, where that is what its release sealed and the hash was sealed too."""
    return follows.catalogue.hash if follows.embedded == follows.catalogue.generation else None


def _restored(log: CatalogueLog, follows: FollowsCatalogue, found: str) -> IntegrityError:
    """A slot that embedded since it started comes back by another start; a release keeps what it sealed."""
    anew = (
        "and start the gateway again"
        if follows.embedded > follows.catalogue.generation
        else f"up to delta {follows.embedded} at least, and release a newer snapshot"
    )
    return IntegrityError(
        f"following the log of the catalogue {log.catalogue} was refused: it is not what was embedded",
        found=found,
        accepted=f"the log up to delta {follows.embedded} as it was embedded, and what follows",
        next_step=f"restore the newer log; or append anew what was lost, {anew}",
    )


class Catalogues:
    """Keeps the slots of one worker at their catalogues, in a thread of its own that follows the log."""

    def __init__(self, units: Mapping[str, Slots], link: Link, on_loop: OnLoop) -> None:
        self._units, self._reader, self._on_loop = units, Reader(link), on_loop
        self._moving = threading.Lock()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="catalogues", daemon=True)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """How the catalogue of each unit that has one stands."""
        return dict(self._reader.standings)

    def start(self) -> None:
        """The logs are followed from now on."""
        self._thread.start()

    def wake(self) -> None:
        """There may be news in a log."""
        self._woken.set()

    def close(self, patience: float) -> None:
        """Nothing is followed any more."""
        self._ended.set()
        self._woken.set()
        self._thread.join(timeout=patience)

    def bring_in(self, unit: str, predictor: Servable, ready: Callable[[], None]) -> None:
        """The predictor has embedded and shows what the log holds, and its slot is `ready` at that moment.

        How the unit stands is told of slots that could answer, and so not of this one before that moment.

        Raises:
            SetupError: it stayed behind the catalogue that serves.
        """
        if not isinstance(predictor, FollowsCatalogue):
            self._on_loop(ready)
            return
        follows: FollowsCatalogue = predictor
        self._reader.look(unit, [follows])  # may take long; others follow meanwhile

        def shown() -> None:
            follows.show()
            ready()

        with self._moving:
            look = self._reader.look(unit, [follows])
            self._not_behind(unit, predictor.name, follows, look)
            self._on_loop(shown)
            first = Standing(look.newest or 0, follows.generation, follows.later, look.trouble)
            self._reader.standings.setdefault(unit, first)
        self.wake()

    def _not_behind(self, unit: str, name: str, follows: FollowsCatalogue, look: Look) -> None:
        served = _served(self._units[unit])
        if served is None or follows.embedded >= served.generation:
            return
        mend = "mend that" if look.trouble else "restore the newer log; or append anew what was lost"
        why = look.trouble or f"its log ends at delta {look.newest}"
        raise SetupError(
            f"{name} was not made ready: it is behind the catalogue that serves",
            found=f"delta {follows.embedded}: {why}",
            accepted=f"delta {served.generation}, from which answers come now",
            next_step=f"{mend}, up to delta {served.generation} at least; it is tried again",
        )

    def _follow(self) -> None:
        while not self._ended.is_set():
            self._woken.wait()
            self._woken.clear()
            for unit, slots in self._units.items():
                try:
                    self._keep_up(unit, slots)
                except Exception:  # noqa: BLE001 - a thread that ends would never follow again
                    if not self._ended.is_set():
                        _LOG.exception("the catalogue of %s was not followed; it goes on", unit)
            if any(each.trouble for each in self.standings.values()):
                self._ended.wait(RETRY)

    def _keep_up(self, unit: str, slots: Slots) -> None:
        """Every warm slot of the unit shows what the log holds."""
        with self._moving:
            following = _following(slots)
            if not following:
                return
            self._reader.catch_up(unit, following)
            if any(each.embedded != each.generation for each in following):
                self._on_loop(lambda: _show(following))
        if (served := _served(slots)) is not None:
            standing = self._reader.standings[unit]
            standing.shown, standing.later = served.generation, served.later


def _served(slots: Slots) -> FollowsCatalogue | None:
    """What answers for the unit, where it follows a catalogue."""
    predictor = slots.served.slot.predictor if slots.served.slot else None
    return predictor if isinstance(predictor, FollowsCatalogue) else None


def _following(slots: Slots) -> list[FollowsCatalogue]:
    """The predictors that follow a catalogue, of slots that could answer now."""
    held = [slot.predictor for slot in list(slots.held.values()) if slot.state in WARM and slot.predictor]
    return [each for each in held if isinstance(each, FollowsCatalogue)]


def _show(following: Iterable[FollowsCatalogue]) -> None:
    for each in following:
        each.show()
