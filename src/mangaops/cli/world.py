"""`quickstart`, `simulate traffic` and `simulate searches`: the simulated world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared
from mangaops.cli.release import announcer, render_result

simulate = typer.Typer(
    help="Simulated MangaAssist logs: everything in them is invented.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    example = "mangaops quickstart --stack examples/quickstart/stack.yaml --folder quickstart-world"
    app.command(epilog=f"Example: {example}")(quickstart)
    simulate.command(epilog="Example: mangaops simulate traffic --out world --weeks 4 --seed 7")(traffic)
    simulate.command(epilog="Example: mangaops simulate searches --out shop --weeks 4 --seed 7")(searches)
    simulate.callback()(_group)
    app.add_typer(simulate, name="simulate")


def _group() -> None:
    """Simulated MangaAssist logs: everything in them is invented."""


@shared
def quickstart(
    call: Call,
    folder: Annotated[Path, typer.Option(help="A folder for the world, the ledger and the reports.")] = Path(
        "quickstart-world"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated world.")] = 7,
) -> None:
    """Watch weekly releases happen on simulated traffic: promote, refuse, roll back, audit."""
    from mangaops.pipeline.quickstart import Teller
    from mangaops.wiring import run_quickstart

    quiet = call.as_json
    with call.progress() as progress:
        teller = Teller(
            line=(lambda _text: None) if quiet else screen.say,
            result=(lambda _result: None) if quiet else render_result,
            announce=announcer(quiet),
            progress=progress,
        )
        story = run_quickstart(call.settings, folder, seed=seed, teller=teller)
    further = f"--stack {call.settings.stack} --home {folder}/home"
    call.finish(story, lambda: screen.say(f"\nEverything lies in {folder}; go on with {further}"))


@shared
def traffic(
    call: Call,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    weeks: Annotated[int, typer.Option(min=1, help="Labelled weeks; the traffic is the week after.")] = 4,
    conversations: Annotated[int, typer.Option(min=10, help="Conversations a week.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds write equal worlds.")] = 7,
    form: Annotated[str, typer.Option("--format", help="parquet, csv or jsonl.")] = "parquet",
) -> None:
    """Write labelled logs, a window of traffic, and the hidden truth, each to a file of its own."""
    from mangaops.simulation import write_traffic

    with call.progress() as progress:
        wrote = write_traffic(
            out, seed=seed, weeks=weeks, conversations=conversations, format=form, progress=progress
        )
    rows = [(name, screen.short(value)) for name, value in wrote.items()]
    call.finish(wrote, lambda: screen.table("Simulated traffic", ("what", "value"), rows))


@shared
def searches(
    call: Call,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    weeks: Annotated[int, typer.Option(min=1, help="Weeks of searches.")] = 4,
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions a week, of one to four searches each.")
    ] = 2000,
    titles: Annotated[int, typer.Option(min=100, max=10_000, help="Titles of the shop.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds write equal worlds.")] = 7,
    form: Annotated[str, typer.Option("--format", help="parquet, csv or jsonl.")] = "parquet",
) -> None:
    """Write a catalogue, queries, graded judgments and search logs with clicks, a file each."""
    from mangaops.simulation import write_searches

    with call.progress() as progress:
        wrote = write_searches(
            out, seed=seed, weeks=weeks, sessions=sessions, titles=titles, format=form, progress=progress
        )
    rows = [(name, screen.short(value)) for name, value in wrote.items()]
    call.finish(wrote, lambda: screen.table("Simulated searches", ("what", "value"), rows))
