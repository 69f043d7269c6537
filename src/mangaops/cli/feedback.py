"""`feedback list|review|export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

group = typer.Typer(help="What users said of answers, before it may teach anything.", no_args_is_help=True)
Gateway = Annotated[str, typer.Option("--gateway", help="The gateway that took the feedback, by its name.")]


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command("list", epilog="Example: mangaops feedback list")(list_feedback)
    example = "mangaops feedback review REQUEST --label promotion --reason 'asked for the spring sale'"
    group.command(epilog=f"Example: {example}")(review)
    group.command(epilog="Example: mangaops feedback export --out feedback.parquet")(export)
    app.add_typer(group, name="feedback")


@shared
def list_feedback(
    call: Call,
    gateway: Gateway = "gateway",
    every: Annotated[bool, typer.Option("--all", help="Also what was reviewed.")] = False,
) -> None:
    """Feedback that waits for people, oldest first: what was asked, answered and told."""
    from mangaops.pipeline import feedback_run

    listed = feedback_run.listed(call.workshop(), call.settings.home, gateway=gateway, every=every)
    columns = ["request_id", "at", "unit", "release", "outcome", "label", "text", "answer"]
    columns += ["true_label", "reviewer", "reason"] if every else []
    call.finish(
        {"feedback": listed}, lambda: screen.records(f"Feedback of gateway {gateway}", columns, listed)
    )


@shared
def review(
    call: Call,
    requests: Annotated[list[str], typer.Argument(help="Requests whose feedback you looked at.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the book.")],
    label: Annotated[
        str | None, typer.Option(help="The true label; default: the one that the user told.")
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="It teaches nothing.")] = False,
    gateway: Gateway = "gateway",
) -> None:
    """Say what feedback is worth: its true label, or that it teaches nothing. Said once, it stands."""
    from mangaops.pipeline import feedback_run

    done = feedback_run.review(
        call.workshop(),
        call.settings.home,
        requests,
        gateway=gateway,
        label=label,
        reject=reject,
        reason=reason,
    )
    call.finish(done, lambda: screen.say(done["says"]))


@shared
def export(
    call: Call,
    out: Annotated[Path, typer.Option("--out", help="The file to write: .parquet, .csv or .jsonl.")],
    unit: Annotated[str | None, typer.Option(help="Feedback on this unit; default: the only one.")] = None,
    gateway: Gateway = "gateway",
) -> None:
    """Write reviewed labels with the texts of the logs, as rows that `data snapshot` reads."""
    from mangaops.pipeline import feedback_run

    wrote = feedback_run.export(call.workshop(), call.settings.home, out, gateway=gateway, unit=unit)
    call.finish(wrote, lambda: screen.say(wrote["says"]))
