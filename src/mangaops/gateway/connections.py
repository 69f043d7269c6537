"""Connections to a worker: how many it holds, and how long a request may take to arrive.

uvicorn bounds neither: who connects and says nothing, or says it byte by byte, would hold a connection
for ever. Its own bound on connections refuses everybody once it is reached, also those who were there before,
and without Retry-After; here those who are there go on, and who comes is told to try again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mangaops.gateway.refusals import BODY_SECONDS, Receive, Scope, Send, refusal
from mangaops.gateway.service import Unavailable

MOST: Final = 512
"""Connections that a worker serves: half of the 1,024 open files that a process commonly may have."""

_TOLD: Final = 256
"""So many more are told to try again; further ones are closed without a word."""

ARRIVES: Final = 2 * BODY_SECONDS
"""Seconds for a request to arrive; the first one is awaited from the connection on."""


class Connection(HttpToolsProtocol):
    """One connection, which ends where a request does not arrive in time."""

    most = MOST
    arrives = ARRIVES
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is served, or told that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most + _TOLD:
            transport.abort()
        elif len(self.connections) > self.most:
            self.app = _full
        self._await_request()

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        self._await_request()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is here."""
        self._rest()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._rest()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(self.arrives, self._late)

    def _rest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._due = None
        self.transport.close()


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    """503 with Retry-After, and the connection ends: another one may have become free by then."""
    answer: Response = refusal(
        Unavailable(
            "no answer now: too many are connected",
            found=f"more than {MOST} connections",
            accepted=f"{MOST} connections to a worker",
            next_step="try again in a second; keep connections open for many requests; more --workers",
        )
    )
    answer.headers["Connection"] = "close"
    told: Any = send
    await answer(scope, receive, told)
