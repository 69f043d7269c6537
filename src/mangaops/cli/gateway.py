"""`gateway list`."""

from __future__ import annotations

from typing import Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

group = typer.Typer(help="Who serves, and what.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command("list", epilog="Example: mangaops gateway list")(list_members)
    app.add_typer(group, name="gateway")


@shared
def list_members(call: Call) -> None:
    """Every living worker of every gateway: what it serves, and how far it follows the ledger."""
    from mangaops.pipeline import views

    members = views.gateway_members(call.workshop())
    call.finish({"members": members}, lambda: _render(members))


def _render(members: list[dict[str, Any]]) -> None:
    if not members:
        screen.say("no gateway serves: no worker of one lives")
        return
    columns = ("member", "host", "pid", "unit", "serves", "generation", "behind", "slots")
    shown = [{**each, "slots": ", ".join(f"{r} {s}" for r, s in each["slots"].items())} for each in members]
    screen.records("Gateway workers", columns, shown)
