"""One worker's service behind a real uvicorn on loopback, in a thread, and a plain way to ask it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from mangaops.gateway.app import make_app
from mangaops.gateway.connections import Connection
from mangaops.gateway.feedback import FeedbackDesk
from mangaops.gateway.service import Service
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.units import units_of
from mangaops.gateway.worker import Place, _service
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.stack import Stack
from mangaops.store import FeedbackBook


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def lacks(reply: Reply) -> list[str]:
    """The parts that a refusal leaves empty; none where it is no refusal of ours."""
    if reply.status < 400 or b'"kind"' not in reply.body:
        return []
    return [part for part in ("error", "kind", "found", "accepted", "next") if not reply.json[part]]


@dataclass
class Server:
    port: int
    service: Service
    desk: FeedbackDesk
    loop: asyncio.AbstractEventLoop
    settings: GatewaySettings

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer; `body` is JSON, bytes as they are, or an iterable of chunks."""
        sent = body if body is None or isinstance(body, bytes | Iterator) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, sent, dict(headers or {}))
            answer = connection.getresponse()
            reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()
        assert not lacks(reply), lacks(reply)
        return reply

    def route(self, text: str, **more: Any) -> Reply:
        return self.ask("POST", "/v1/route", {"text": text, **more})


def settings_of(world: GatewayWorld, folder: Path, options: Mapping[str, Any]) -> GatewaySettings:
    given = {"poll": 0.02, "text_limit": 1000, "body_limit": 8192, "threads": 1, "queue": 128, **options}
    return GatewaySettings(
        stack=world.stack,
        home=folder,
        ledger_url=f"sqlite:///{world.home / 'ledger.db'}",
        files_root=str(world.home),
        **given,
    )


def pinning(stack: Stack) -> Stack:
    """The stack, whose conversations keep their release for an hour."""
    units = {name: spec.model_copy(update={"pin_seconds": 3600}) for name, spec in stack.units.items()}
    return replace(stack, units=units)


@contextmanager
def serving(
    world: GatewayWorld, folder: Path, stack: Stack | None = None, **options: Any
) -> Iterator[Server]:
    """A server that answers as the world's ledger says; it is settled."""
    settings = settings_of(world, folder, options)
    started: list[Any] = []
    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        with (
            tempfile.TemporaryDirectory(prefix="m") as short,
            socket.create_server(("127.0.0.1", 0)) as open_,
        ):
            settings.folder.mkdir(parents=True)
            units = units_of(stack or world.shop.desk.stack)
            service = _service(units, settings, 0, Place(open_, f"{short}/s"))
            book = FeedbackBook(settings.folder / "feedback.db")
            desk = FeedbackDesk(service, book, rate=1e6)
            service.follower.link.start()
            service.follower.start()
            service.mirror.start()
            assert await asyncio.to_thread(service.follower.settled.wait, 30)
            config = uvicorn.Config(
                make_app(service, settings, desk), http=Connection, lifespan="off", log_level="critical"
            )
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[open_]))
            started.append(
                Server(open_.getsockname()[1], service, desk, asyncio.get_running_loop(), settings)
            )
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task
            await service.mirror.close()
            await asyncio.to_thread(service.follower.close)
            await asyncio.to_thread(service.follower.link.close)
            service.lane.close()
            await asyncio.to_thread(service.log.close)
            book.close()

    def thread() -> None:
        try:
            asyncio.run(run())
        finally:
            ready.set()

    running = threading.Thread(target=thread, daemon=True)
    running.start()
    ready.wait()
    try:
        assert started, "the server did not start"
        yield started[0]
    finally:
        stop.set()
        running.join()
