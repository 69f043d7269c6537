"""One worker process: it follows the ledger, loads what that says, and answers until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import uvicorn

from mangaops.datasets.logged import kept
from mangaops.errors import MangaopsError
from mangaops.gateway import gauges
from mangaops.gateway.app import make_app
from mangaops.gateway.connections import Connection
from mangaops.gateway.feedback import FeedbackDesk
from mangaops.gateway.follower import Follower
from mangaops.gateway.health import measured
from mangaops.gateway.lane import Lane
from mangaops.gateway.lineage import end_with_supervisor
from mangaops.gateway.link import Link
from mangaops.gateway.mirror import Mirror
from mangaops.gateway.pace import Pace
from mangaops.gateway.pins import Pins
from mangaops.gateway.releases import WARMED_TOGETHER, Releases
from mangaops.gateway.service import Clock, Service
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.slots import Slot, Slots
from mangaops.gateway.tickets import Tickets, ticket_key
from mangaops.gateway.units import Unit
from mangaops.store import Artifacts, FeedbackBook, Ledger, LogWriter

_START: Final = 60.0
"""Seconds after which a worker answers without being settled, and says what it lacks."""

_TICK: Final = 0.5

_KEEP_ALIVE: Final = 75
"""Seconds for which an idle connection stays open: longer than with proxies, so that they close first."""

_SWITCH: Final = 0.0005
"""Seconds after which a thread that computes in Python makes way for the event loop."""


@dataclass(frozen=True)
class Place:
    """What every worker of one gateway shares: the listening socket, and the path of the shadow's."""

    listening: socket.socket
    shadow: str


class Server(uvicorn.Server):
    """uvicorn, which says first that it drains."""

    service: Service

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - the names are uvicorn's
        """No new traffic is wanted; what has begun is finished."""
        # uvicorn's own handler raises the signal again at its end: no log would be whole, no member gone.
        self.service.draining = True
        self.should_exit = True


def run_worker(
    units: Mapping[str, Unit], settings: GatewaySettings, number: int, place: Place, beat: Any
) -> None:
    """The worker answers until SIGTERM, then finishes what it has begun, and its log is whole.

    `beat.value` changes twice a second from when it serves to its end.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(units, settings, number, place, beat))


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _serve(
    units: Mapping[str, Unit], settings: GatewaySettings, number: int, place: Place, beat: Any
) -> None:
    gauges.begin(units)
    service = _service(units, settings, number, place)
    link = service.follower.link
    book = FeedbackBook(settings.folder / "feedback.db")
    link.start()
    service.follower.start()
    service.mirror.start()
    ticking = asyncio.create_task(_tick(service, settings.workers))
    await asyncio.to_thread(service.follower.settled.wait, _START)
    gc.collect()
    gc.freeze()  # what stays for good is not looked through again and again while users wait
    sys.setswitchinterval(_SWITCH)
    app = make_app(service, settings, FeedbackDesk(service, book))
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        date_header=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.drain)),  # 0 or None would be no limit
    )
    server = Server(config)
    server.service = service
    end_with_supervisor()
    beating = asyncio.create_task(_beat(beat))
    try:
        await server.serve(sockets=[place.listening])
    finally:
        ticking.cancel()
        await service.mirror.close()
        await asyncio.to_thread(service.follower.close)
        await asyncio.to_thread(link.close)
        service.lane.close()
        await asyncio.to_thread(service.log.close)
        book.close()
        beating.cancel()


def _service(units: Mapping[str, Unit], settings: GatewaySettings, number: int, place: Place) -> Service:
    slots = {name: Slots.of(name, unit.fallback) for name, unit in units.items()}
    writer = f"{settings.name}/{number}/{os.getpid()}-{time.time_ns():x}"
    link = Link(
        lambda: Ledger(settings.ledger_url, create=False),
        gateway=settings.name,
        worker=number,
        copies=settings.folder / "chain",
        poll=settings.poll,
        doing=lambda: _doing(slots, follower),
    )
    releases = Releases(
        settings.folder,
        lambda: Artifacts(f"{settings.files_root}/artifacts"),
        {name: unit.family for name, unit in units.items()},
    )
    follower = Follower(
        slots,
        releases,
        link,
        asyncio.get_running_loop(),
        _told,
        alone=settings.workers == 1,
        together={
            name: min(settings.batch, WARMED_TOGETHER)
            for name, unit in units.items()
            if unit.serving.together
        },
    )
    lane = Lane(
        settings.lanes,
        capacity=settings.queue,
        batch=settings.batch,
        time_limit=settings.time_limit,
        rested=lambda slot: _rest(slots, slot),
    )
    return Service(
        units=units,
        slots=slots,
        follower=follower,
        lane=lane,
        tickets=Tickets(ticket_key(settings.folder)),
        pins=Pins(settings.folder / "pins.bin"),
        log=LogWriter(
            settings.folder / "journal",
            "requests",
            writer,
            segment_seconds=settings.roll_seconds,
            prepare=kept({name: unit.log for name, unit in units.items()}),
        ),
        mirror=Mirror(place.shadow, lane, workers=settings.workers),
        writer=writer,
        clock=Clock(),
    )


def _doing(slots: Mapping[str, Slots], follower: Follower) -> dict[str, Any]:
    """What this worker says with each heartbeat."""
    chains = {unit: each.chain for unit, each in follower.wanted.items()}
    return {
        "units": {
            unit: {**each.doing(), "revision": chains[unit].state.revision} for unit, each in slots.items()
        },
        "threads": threading.active_count(),
    }


def _rest(slots: Mapping[str, Slots], slot: Slot) -> None:
    for each in slots.values():
        each.rest(slot)


def _told(unit: str, _release: str, error: MangaopsError) -> None:
    gauges.LOAD_REFUSED.labels(unit, type(error).__name__).inc()


async def _beat(beat: Any) -> None:
    """The supervisor sees that the event loop turns: one that serves and is silent is killed."""
    while True:
        beat.value = time.monotonic()
        await asyncio.sleep(_TICK)


async def _tick(service: Service, workers: int) -> None:
    """Gauges and the mirror's idea of the machine's capacity are fresh, from the start and twice a second."""
    pace = Pace(service.lane)
    while True:
        measured(service)
        served = tuple(each.served.release for each in service.slots.values())
        service.mirror.capacity = workers * pace.rate(served, service.follower.seconds_a_text)
        await asyncio.sleep(_TICK)
