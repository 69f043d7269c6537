"""The one place where an error becomes an HTTP answer, and the limits on bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.responses import Response

from mangaops.errors import InputError, MangaopsError, RefusedError, SetupError
from mangaops.stack import told

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Body = TypeVar("Body", bound=BaseModel)

RETRY_AFTER: Final = "1"

BODY_SECONDS: Final = 10.0
"""Seconds for a body to arrive; then 408."""


class TooLarge(InputError):
    """A body or a text over the limit."""

    http_status = 413


class TooSlow(InputError):
    """A body that did not arrive in time."""

    http_status = 408


class NotServed(InputError):
    """No such unit, release or request here."""

    http_status = 404


class TooOften(RefusedError):
    """More than the rate that is accepted."""

    http_status = 429


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The body as JSON; lone surrogates are escaped, so that any text can be told."""
    return Response(
        json.dumps(body, separators=(",", ":")), status, headers=headers, media_type="application/json"
    )


def refusal(error: MangaopsError) -> Response:
    """The error with its status; where trying again helps, with Retry-After."""
    again = isinstance(error, SetupError | TooOften)
    body = {
        "error": error.refused,
        "kind": type(error).__name__,
        "found": error.found,
        "accepted": error.accepted,
        "next": error.next_step,
    }
    return json_response(body, error.http_status, {"Retry-After": RETRY_AFTER} if again else None)


def parsed(kind: type[Body], raw: bytes) -> Body:
    """The body as its model.

    Raises:
        InputError: it is no JSON, or not of that form; what was sent is not repeated.
    """
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise InputError(
            "the request was refused: its body cannot be used",
            found=told(error, kind),
            accepted=_accepted(kind),
            next_step="see /openapi.json",
        ) from error


def _accepted(kind: type[BaseModel]) -> str:
    """The fields of a body: with their range, and with the fields that are inside them."""
    return ", ".join(name + _inside(field) for name, field in kind.model_fields.items())


def _inside(field: FieldInfo) -> str:
    bounds = [getattr(each, end) for end in ("ge", "le") for each in field.metadata if hasattr(each, end)]
    if len(bounds) == 2:
        return f" ({bounds[0]} to {bounds[1]})"
    held = (field.annotation, *get_args(field.annotation))
    inner = [each for each in held if isinstance(each, type) and issubclass(each, BaseModel)]
    return f" ({_accepted(inner[0])})" if inner else ""


class BodyLimit:
    """Bodies over the limit are refused with 413, whether or not they say their length; slow ones with 408.

    A path of `direct` is answered here, from its body alone, and the framework is not asked: it would take as
    long as everything else that is not the model.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        limit: int,
        direct: Mapping[str, Callable[[bytes], Awaitable[Response]]],
        seconds: float = BODY_SECONDS,
    ) -> None:
        self._app, self._limit, self._direct, self._seconds = app, limit, direct, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request, with a body that ends at the limit."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                whole = await self._read(scope, receive, body)
        except TimeoutError:
            await self._too_slow(len(body))(scope, receive, send)
            return
        if whole is None:
            return
        direct = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
        if isinstance(whole, TooLarge):
            await refusal(whole)(scope, receive, send)
        elif direct is None:
            await self._app(scope, _whole(whole, receive), send)
        else:
            await (await _answered(direct, whole))(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> bytes | TooLarge | None:
        """The whole body, read into `body`; None where the client left before it had sent all of it."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if length.isdigit() and int(length) > self._limit:
            return self._too_large(f"{int(length)} bytes")
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                return self._too_large(f"more than {self._limit} bytes")
        return bytes(body)

    def _too_slow(self, bytes_: int) -> Response:
        """The refusal, after which the connection ends: the rest of the body is not waited for."""
        answer = refusal(
            TooSlow(
                "the request was refused: its body did not arrive in time",
                found=f"{bytes_} bytes and no end after {self._seconds:g} s",
                accepted=f"a body within {self._seconds:g} s",
                next_step="send the whole body at once",
            )
        )
        answer.headers["Connection"] = "close"
        return answer

    def _too_large(self, found: str) -> TooLarge:
        return TooLarge(
            "the request was refused: its body is too large",
            found=found,
            accepted=f"at most {self._limit} bytes",
            next_step="send shorter texts; mangaops serve --body-limit raises the limit",
        )


async def _answered(direct: Callable[[bytes], Awaitable[Response]], body: bytes) -> Response:
    try:
        return await direct(body)
    except MangaopsError as error:
        return refusal(error)


def _whole(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, which was read already, and then what the client does next."""
    handed = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
