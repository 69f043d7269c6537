"""`serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    app.command(epilog="Example: mangaops serve --port 8000 --workers 2")(serve)


@shared
def serve(
    call: Call,
    unit: Annotated[list[str], typer.Option("--unit", help="Serve this unit alone. Repeatable.")] = [],  # noqa: B006 - typer copies it
    host: Annotated[
        str, typer.Option(help="Where to listen; other machines reach no loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
    name: Annotated[str, typer.Option(help="This gateway, as members and logs name it.")] = "gateway",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Threads that answer, a worker; 0: cores shared by workers.")
    ] = 0,
    queue: Annotated[int, typer.Option(min=1, help="Texts that may wait, a worker; then 503.")] = 512,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Texts answered together under load.")] = 4,
    time_limit: Annotated[float, typer.Option(min=0.01, help="Seconds for one answer; then 503.")] = 2.0,
    body_limit: Annotated[int, typer.Option(min=256, help="Bytes of a body; then 413.")] = 65_536,
    text_limit: Annotated[int, typer.Option(min=16, help="Characters of a text; then 413.")] = 8_192,
    drain: Annotated[float, typer.Option(min=1, help="Seconds for what has begun, at the end.")] = 10.0,
    roll: Annotated[
        float, typer.Option(min=0.5, max=60, help="Seconds after which logs become Parquet; at most 60.")
    ] = 30.0,
) -> None:
    """Answer requests with the releases that the ledger names; follows every cutover and rollback."""
    from mangaops.wiring import serve_stack

    def ready(address: str) -> None:
        with screen.patience():
            if call.as_json:
                typer.echo(screen.json_line({"address": address, "name": name}))
            else:
                typer.echo(
                    f"{name} listens on {address}; ready when {address}/health/ready says so; Ctrl-C ends it"
                )

    options = {
        "host": host,
        "port": port,
        "name": name,
        "workers": workers,
        "threads": threads,
        "queue": queue,
        "batch": batch,
        "time_limit": time_limit,
        "body_limit": body_limit,
        "text_limit": text_limit,
        "drain": drain,
        "roll_seconds": roll,
    }
    serve_stack(call.settings, unit, options, ready)
