"""`audit verify|log`."""

from __future__ import annotations

from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

group = typer.Typer(help="The ledger: is it whole, and what does it say.", no_args_is_help=True)
Witness = Annotated[
    list[str],
    typer.Option("--witness", help="A head seen outside: STREAM:REVISION:HASH, as reports print it."),
]
Stream = Annotated[str | None, typer.Argument(help="A stream, for example router; default: all.")]


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command(epilog="Example: mangaops audit verify --witness router:42:sha256:9f...")(verify)
    group.command(epilog="Example: mangaops audit log router")(log)
    app.add_typer(group, name="audit")


@shared
def verify(call: Call, witness: Witness = []) -> None:  # noqa: B006 - typer copies it
    """Check every row's hash and chain; with a witness also a cut tail or a rewrite. Exit 4 when broken."""
    from mangaops.pipeline import views

    audit = views.audit(call.workshop(), tuple(witness))

    def render() -> None:
        for problem in audit["problems"]:
            screen.say(f"✗ {problem}", style="red")
        screen.say(audit["says"], style="bold")
        for head in audit["heads"]:
            screen.say(f"  head {head}")

    call.finish(audit, render, code=4 if audit["problems"] else 0)


@shared
def log(call: Call, stream: Stream = None) -> None:
    """Every event with its actor and reason."""
    from mangaops.pipeline import views

    events = views.log(call.workshop(), stream)
    columns = ("stream", "revision", "at", "actor", "kind", "reason")
    call.finish({"events": events}, lambda: screen.records("Ledger", columns, events))
