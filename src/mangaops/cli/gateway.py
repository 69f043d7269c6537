"""`gateway list|prune`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

group = typer.Typer(help="Who serves, and what.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command("list", epilog="Example: mangaops gateway list")(list_members)
    group.command(epilog="Example: mangaops gateway prune --older-than 90 --dry-run")(prune)
    app.add_typer(group, name="gateway")


@shared
def list_members(call: Call) -> None:
    """Every living worker of every gateway: what it serves, and how far it follows the ledger."""
    from mangaops.pipeline import views

    members = views.gateway_members(call.workshop())
    call.finish({"members": members}, lambda: _render(members))


@shared
def prune(
    call: Call,
    name: Annotated[
        str | None, typer.Option(help="Local copies of this gateway alone; default: of all in the home.")
    ] = None,
    older_than: Annotated[
        int | None, typer.Option(min=1, help="Days; also remove rolled logs that are older, of all gateways.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, and leave it.")] = False,
) -> None:
    """Remove local copies of artifacts that no release needs any more, and old logs; never a journal."""
    from mangaops.pipeline.pruning import prune as pruned

    told = pruned(call.workshop(), call.settings.home, name=name, older_than=older_than, dry_run=dry_run)
    call.finish(told, lambda: _render_pruned(told))


def _render_pruned(told: dict[str, Any]) -> None:
    gone = "would go" if told["dry_run"] else "gone"
    for each in told["copies"]:
        screen.say(f"  {gone}: the copy of {each['artifact']} of gateway {each['gateway']}")
    for each in told["logs"]:
        screen.say(f"  {gone}: {each}")
    logs = f", {len(told['logs'])} log files from before {told['logs_before']}" if told["logs_before"] else ""
    screen.say(f"{gone}: {len(told['copies'])} copies of artifacts{logs}", style="bold")
    if told["kept_for"]:
        screen.say(f"older logs stay for {told['kept_for']}")


def _render(members: list[dict[str, Any]]) -> None:
    if not members:
        screen.say("no gateway serves: no worker of one lives")
        return
    columns = ("member", "host", "pid", "unit", "serves", "generation", "behind", "slots")
    shown = [{**each, "slots": ", ".join(f"{r} {s}" for r, s in each["slots"].items())} for each in members]
    screen.records("Gateway workers", columns, shown)
