"""Connections that say nothing, or say it slowly, end; too many are told so."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from starlette.responses import Response

from mangaops.gateway.connections import Connection
from mangaops.gateway.refusals import BodyLimit, json_response

ASK = b"POST /ask HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n"


class Hasty(Connection):
    """Limits that a test can await."""

    most = 2
    arrives = 0.6


class Server(uvicorn.Server):
    """A server that nobody interrupts."""

    def capture_signals(self) -> ExitStack:  # type: ignore[override]
        return ExitStack()


@pytest.fixture(scope="module")
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Opens connections to a server that echoes bodies."""

    async def echo(body: bytes) -> Response:
        return json_response(body.decode())

    app = BodyLimit(None, 100, {"/ask": echo}, seconds=0.3)  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as opened:
        server = Server(uvicorn.Config(app, http=Hasty, lifespan="off", log_level="critical"))
        running = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        running.start()
        yield lambda: opened.enter_context(socket.create_connection(listening.getsockname(), timeout=10))
        server.should_exit = True
        running.join()


def heard(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def answered(connection: socket.socket) -> bool:
    connection.sendall(ASK + b"text")
    said = b""
    while not said.endswith(b'"text"') and (part := connection.recv(65_536)):
        said += part
    return said.startswith(b"HTTP/1.1 200")


def test_a_body_that_does_not_come_is_408_and_the_connection_ends(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(ASK + b"te")
    said = heard(connection)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in said.lower()
    assert b'"found":"2 bytes and no end after 0.3 s"' in said
    assert b'"next":"send the whole body at once"' in said


@pytest.mark.parametrize("begun", [b"", ASK[:30]])
def test_a_connection_that_says_nothing_or_half_a_request_ends(
    connect: Callable[[], socket.socket], begun: bytes
) -> None:
    connection = connect()
    connection.sendall(begun)
    assert heard(connection) == b""


def test_a_refused_body_is_not_waited_for_either(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(ASK.replace(b"4", b"400"))
    assert heard(connection).startswith(b"HTTP/1.1 413")


def test_a_connection_that_asks_now_and_then_stays(connect: Callable[[], socket.socket]) -> None:
    connection, begun = connect(), time.monotonic()
    assert answered(connection)
    connection.settimeout(0.8)
    with pytest.raises(TimeoutError):
        connection.recv(1)  # idle for longer than a request may take
    connection.settimeout(10)
    assert answered(connection)
    assert time.monotonic() - begun > 0.8
    connection.close()


def test_too_many_connections_are_told_and_those_that_were_there_go_on(
    connect: Callable[[], socket.socket],
) -> None:
    there = [connect(), connect()]
    assert all(answered(each) for each in there)
    late = connect()
    late.sendall(ASK + b"text")
    said = heard(late).lower()
    assert said.startswith(b"http/1.1 503")
    assert b"retry-after: 1\r\n" in said
    assert all(answered(each) for each in there)
    there.pop().close()
    for _ in range(100):  # the server hears of it a moment later
        again = connect()
        if answered(again):
            break
        again.close()
    else:
        raise AssertionError("the place that became free was not given")
