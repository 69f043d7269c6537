"""A small real server that answers as a gateway does, or misbehaves as it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answering = Callable[[Request], Awaitable[Response]]


def answer(intent: str = "faq.1", release: str | None = "router-1", generation: int = 1) -> Response:
    said = {"intent": intent, "confidence": 0.9, "action": "route", "request_id": "r1"}
    return Response(json.dumps({**said, "release": release, "generation": generation}))


@contextmanager
def serving(answering: Answering, path: str = "/v1/route", **gets: Answering) -> Iterator[str]:
    """The URL of a server on loopback, in a thread of its own; `gets` are answered to GET /NAME."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        routes = [Route(f"/{name}", each) for name, each in gets.items()]
        app = Starlette(routes=[Route(path, answering, methods=["POST"]), *routes])
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def speaking(words: bytes) -> Iterator[str]:
    """The URL of a server that reads a request, says these bytes whatever was asked, and closes."""

    async def serve(ready: threading.Event, stop: asyncio.Event, found: list[int]) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(words)
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            found.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    loop, ready, found = asyncio.new_event_loop(), threading.Event(), list[int]()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(ready, stop, found)))
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{found[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
