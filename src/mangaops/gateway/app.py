"""The HTTP interface of one worker: each handler parses, calls one thing, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mangaops import __version__
from mangaops.errors import MangaopsError
from mangaops.gateway import gauges, open_inference
from mangaops.gateway.bodies import Accepted, Feedback, Inference, Inferred, Refusal, reply_model
from mangaops.gateway.feedback import FeedbackDesk
from mangaops.gateway.health import measured, readiness
from mangaops.gateway.open_inference import metadata, served_as
from mangaops.gateway.refusals import RETRY_AFTER, BodyLimit, TooLarge, json_response, parsed, refusal
from mangaops.gateway.service import Caller, Service
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.units import Unit

_WORDS: Final = {
    400: "The request is none that this interface knows",
    404: "No such unit, release or request id",
    405: "Another method is accepted",
    408: "The body did not arrive in time",
    409: "This was told before",
    413: "The body or the text is too large",
    422: "The body cannot be used",
    429: "More than the accepted rate",
    503: "No answer now: try again after the seconds of Retry-After",
}


def make_app(service: Service, settings: GatewaySettings, desk: FeedbackDesk) -> Any:
    """The application that uvicorn runs."""
    app = FastAPI(title="The gateway of mangaops", version=__version__, docs_url=None, redoc_url=None)
    app.add_exception_handler(MangaopsError, _told)
    app.add_exception_handler(HTTPException, _unknown)
    direct = {}
    for unit in service.units.values():
        path, ask = f"/v1/{unit.serving.path}", _asking(service, unit, settings.text_limit)
        _add_unit(app, unit, path, ask)
        direct[path] = ask
    _add_feedback(app, desk)
    _add_protocol(app, service, settings.text_limit)
    _add_health(app, service)
    return BodyLimit(app, settings.body_limit, direct)


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MangaopsError)
    return refusal(error)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.url.path[:200], dict(error.headers or {})
    meant = f"{headers['Allow']} {path}" if "Allow" in headers else ""
    body = {
        "error": f"{request.method} {path} was refused",
        "kind": "UnknownPath" if error.status_code == 404 else "BadRequest",
        "found": str(error.detail),
        "accepted": meant or "the paths of /openapi.json",
        "next": f"{meant}, as /openapi.json says" if meant else "GET /openapi.json",
    }
    return json_response(body, error.status_code, headers or None)


def _documented(body: type[Any] | None, *statuses: int) -> dict[str, Any]:
    """What OpenAPI shows of a handler that reads its body itself, which is the fast way."""
    told: dict[str, Any] = {
        "responses": {status: {"model": Refusal, "description": _WORDS[status]} for status in statuses}
    }
    if body is not None:
        schema = _inlined(body.model_json_schema())
        content = {"application/json": {"schema": schema}}
        told["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return told


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references: a document of its own inside the OpenAPI document."""
    inner = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(inner[node["$ref"].rsplit("/", 1)[1]])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(each) for each in node] if isinstance(node, list) else node

    plain: dict[str, Any] = resolved(schema)
    return plain


def _asking(service: Service, unit: Unit, text_limit: int) -> Callable[[bytes], Awaitable[Response]]:
    """A function from a body to the unit's answer."""

    async def ask(body: bytes) -> Response:
        asking = parsed(unit.serving.asking, body)
        if len(asking.words) > text_limit:
            raise TooLarge(
                f"the request was refused: its {asking.words_in} is too long, and none of it was read",
                found=f"{len(asking.words)} characters",
                accepted=f"at most {text_limit}",
                next_step=f"{asking.shorter}; --text-limit raises the limit",
            )
        caller = Caller(asking.conversation_id, asking.user_id, asking.options())
        (reply,) = await service.answer(unit, [asking.words], caller)
        return json_response(reply.as_dict())

    return ask


def _add_unit(app: FastAPI, unit: Unit, path: str, ask: Callable[[bytes], Awaitable[Response]]) -> None:
    async def asked(request: Request) -> Response:
        return await ask(await request.body())

    documented = _documented(unit.serving.asking, 408, 413, 422, 503)
    summary, reply = f"What {unit.name} says about a text", reply_model(unit)
    app.post(path, summary=summary, response_model=reply, **documented)(asked)


def _add_feedback(app: FastAPI, desk: FeedbackDesk) -> None:
    async def tell(request: Request) -> Response:
        return json_response(await desk.take(parsed(Feedback, await request.body())), 202)

    app.post(
        "/v1/feedback",
        status_code=202,
        summary="What became of a request, once; counts for nothing before it is reviewed",
        response_model=Accepted,
        **_documented(Feedback, 404, 408, 409, 413, 422, 429, 503),
    )(tell)


def _add_protocol(app: FastAPI, service: Service, text_limit: int) -> None:
    @app.get("/v2", summary="The server")
    async def server() -> Response:
        told = {"name": "mangaops", "version": __version__, "extensions": ["binary_tensor_data"]}
        return json_response(told)

    _add_probes(app, service, "/v2/health")

    def model(name: str, version: str | None = None) -> Response:
        unit, served = served_as(service, name, version)
        return json_response(metadata(unit, served.release))

    def model_ready(name: str, version: str | None = None) -> Response:
        _, served = served_as(service, name, version)
        return json_response({"name": name, "version": served.release, "ready": True})

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        header = request.headers.get("inference-header-content-length")
        return await open_inference.infer(service, name, version, await request.body(), header, text_limit)

    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        _add_model(app, place, model, model_ready, infer)


def _add_model(
    app: FastAPI,
    place: str,
    model: Callable[..., Response],
    ready: Callable[..., Response],
    infer: Callable[..., Awaitable[Response]],
) -> None:
    """The three paths of a model, or of one version of it."""

    def named(call: Callable[..., Any]) -> Callable[..., Any]:
        if "{version}" in place:

            async def of_version(request: Request, name: str, version: str) -> Response:
                return await _given(call, request, name, version)

            return of_version

        async def of_model(request: Request, name: str) -> Response:
            return await _given(call, request, name, None)

        return of_model

    app.get(place, summary="Inputs, outputs, version", **_documented(None, 404, 422))(named(model))
    app.get(f"{place}/ready", summary="Whether it serves", **_documented(None, 404, 422))(named(ready))
    app.post(
        f"{place}/infer",
        summary="Outputs for BYTES texts",
        response_model=Inferred,
        **_documented(Inference, 404, 408, 413, 422, 503),
    )(named(infer))


async def _given(call: Callable[..., Any], request: Request, name: str, version: str | None) -> Response:
    found = call(name, version) if request.method == "GET" else await call(request, name, version)
    assert isinstance(found, Response)
    return found


def _add_probes(app: FastAPI, service: Service, place: str) -> None:
    """Alive and ready, to GET and to HEAD: load balancers ask with either."""

    async def live() -> Response:
        return json_response({"live": True})

    async def ready() -> Response:
        good, body = readiness(service)
        return json_response(body, 200 if good else 503, None if good else {"Retry-After": RETRY_AFTER})

    for add, only in ((app.get, ""), (app.head, ", by the status alone")):
        add(f"{place}/live", summary=f"The process runs{only}")(live)
        told = _documented(None, 503)
        add(f"{place}/ready", summary=f"Whether to send traffic, and why not{only}", **told)(ready)


def _add_health(app: FastAPI, service: Service) -> None:
    _add_probes(app, service, "/health")

    @app.get("/metrics", summary="Counts for Prometheus")
    async def metrics() -> Response:
        measured(service)
        page = await asyncio.to_thread(gauges.page)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")
