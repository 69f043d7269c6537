"""`audit verify|log`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared
from mangaops.errors import LedgerTampered

group = typer.Typer(help="The ledger: is it whole, and what does it say.", no_args_is_help=True)
Witness = Annotated[
    list[str],
    typer.Option("--witness", help="A head seen outside: STREAM:REVISION:HASH, as reports print it."),
]
Stream = Annotated[str | None, typer.Argument(help="A stream, for example router; default: all.")]

_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command(epilog=f"Example: mangaops audit verify --witness router:42:sha256:{_HASH}")(verify)
    group.command(epilog="Example: mangaops audit log router")(log)
    app.add_typer(group, name="audit")


@shared
def verify(call: Call, witness: Witness = []) -> None:  # noqa: B006 - typer copies it
    """Check every row's hash and chain; with a witness also a cut tail or a rewrite. Exit 4 when broken."""
    from mangaops.pipeline import views

    audit = views.audit(call.workshop(), tuple(witness))
    error = _broken(audit)

    def render() -> None:
        for problem in audit["problems"]:
            screen.say(f"✗ {problem}", style="red")
        screen.say(audit["says"], style="bold")
        if error:
            screen.say(f"  next: {error.next_step}")
        for head in audit["heads"]:
            screen.say(f"  head {head}")

    fields = screen.error_fields(error) if error else {}
    call.finish({**audit, **fields}, render, code=error.exit_code if error else 0)


def _broken(audit: Mapping[str, Any]) -> LedgerTampered | None:
    """What is wrong, as an error has it; nothing is raised: the heads are told all the same."""
    if not audit["problems"]:
        return None
    return LedgerTampered(
        audit["says"],
        found="; ".join(audit["problems"]),
        accepted="a chain without gaps, each row as it was hashed, that holds every witnessed head",
        next_step="stop release runs, copy the database as it is, then restore the newest backup that "
        "verifies against your newest witness (docs/on-call.md: The ledger does not verify)",
    )


@shared
def log(call: Call, stream: Stream = None) -> None:
    """Every event with its actor and reason."""
    from mangaops.pipeline import views

    events = views.log(call.workshop(), stream)
    columns = ("stream", "revision", "at", "actor", "kind", "reason")
    call.finish({"events": events}, lambda: screen.records("Ledger", columns, events))
