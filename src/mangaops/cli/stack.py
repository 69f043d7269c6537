"""`init` and `stack check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

group = typer.Typer(help="The stack file: what it declares and what its gates will do.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    app.command(epilog="Example: mangaops init --out stack.yaml")(init)
    group.command("check", epilog="Example: mangaops stack check --unit router --weeks 200")(check)
    group.callback()(_group)
    app.add_typer(group, name="stack")


def _group() -> None:
    """The stack file: what it declares and what its gates will do."""


@shared
def init(
    call: Call, out: Annotated[Path, typer.Option("--out", help="Where to write it.")] = Path("stack.yaml")
) -> None:
    """Write a commented stack.yaml for the MangaAssist router; an existing file is never overwritten."""
    from mangaops.pipeline.first_stack import write_stack

    write_stack(out)
    call.finish(
        {"wrote": str(out)}, lambda: screen.say(f"wrote {out}; next: mangaops stack check --stack {out}")
    )


@shared
def check(
    call: Call,
    unit: Annotated[str | None, typer.Option(help="One unit; default: the first.")] = None,
    weeks: Annotated[
        int, typer.Option(min=20, help="Simulated weeks for each kind of challenger, 20 or more.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal tables.")] = 7,
) -> None:
    """Parse stack.yaml, then simulate what its gates promote and reject, through the real judge."""
    from mangaops.wiring import check_stack

    with call.progress() as progress:
        report = check_stack(call.settings, unit=unit, weeks=weeks, seed=seed, progress=progress)
    call.finish(report.as_dict(), lambda: screen.say(report.text()))
