"""`review open|export|import|list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Reason, Release, shared

group = typer.Typer(help="People look at disagreements, blind to which side is which.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command("open", epilog="Example: mangaops review open router-2 --seed 7")(open_review)
    group.command("export", epilog="Example: mangaops review export router-2 --out queue.csv")(export)
    group.command("import", epilog="Example: mangaops review import router-2 answered.csv")(import_answers)
    group.command("list", epilog="Example: mangaops review list router-2")(list_reviews)
    app.add_typer(group, name="review")


Wanted = Annotated[
    str | None,
    typer.Option(
        "--review",
        help="A review of the release; default: the newest that waits for answers, else the newest.",
    ),
]


@shared
def open_review(
    call: Call,
    release: Release,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample and of the blind order.")] = 7,
    reason: Reason = "disagreements wait for people",
) -> None:
    """Sample disagreements with known probabilities, plant known items among them, open the queue."""
    from mangaops.pipeline import verbs

    opened = verbs.open_review(call.workshop(), release, seed=seed, reason=reason)
    call.finish(opened, lambda: screen.say(opened["says"]))


@shared
def export(
    call: Call,
    release: Release,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="The CSV file to write for the reviewers; one that ends in .html is a page to look at.",
        ),
    ],
    bom: Annotated[
        bool, typer.Option("--bom", help="Begin with a byte order mark, as Excel wants it.")
    ] = False,
    wanted: Wanted = None,
) -> None:
    """Write the open queue as CSV: text, the two answers in random order, a column for yours."""
    from mangaops.pipeline import verbs

    wrote = verbs.export_review(call.workshop(), release, out, bom=bom, wanted=wanted)
    call.finish(wrote, lambda: screen.say(wrote["says"]))


@shared
def import_answers(
    call: Call,
    release: Release,
    answered: Annotated[Path, typer.Argument(help="The answered CSV.")],
    reason: Reason = "people answered",
    wanted: Wanted = None,
) -> None:
    """Take the answers in as evidence; the next run judges with them."""
    from mangaops.pipeline import verbs

    taken = verbs.import_answers(call.workshop(), release, answered, reason=reason, wanted=wanted)
    call.finish(taken, lambda: screen.say(taken["says"]))


@shared
def list_reviews(call: Call, release: Release) -> None:
    """The reviews of a release: open or answered, by whom."""
    from mangaops.pipeline import views

    listed = views.reviews(call.workshop(), release)
    columns = ("review", "state", "items", "reviewer")
    call.finish({"reviews": listed}, lambda: screen.records(f"Reviews of {release}", columns, listed))
