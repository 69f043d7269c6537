"""`registry show|list`."""

from __future__ import annotations

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared
from mangaops.cli.train import Version

group = typer.Typer(help="The registry: the only way to production.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command(epilog="Example: mangaops registry show intent-classifier@v2")(show)
    group.command("list", epilog="Example: mangaops registry list")(list_records)
    app.add_typer(group, name="registry")


@shared
def show(call: Call, version: Version) -> None:
    """The record of a model version, field for field."""
    from mangaops.pipeline import views

    record = views.find_record(call.workshop(), version)
    rows = [(key, screen.short(value)) for key, value in record.items()]
    call.finish(record, lambda: screen.table(version, ("field", "value"), rows))


@shared
def list_records(call: Call) -> None:
    """Every model version with its record."""
    from mangaops.pipeline import views

    records = views.records(call.workshop())
    columns = ("model_name", "version", "dataset_version", "status", "metrics")
    call.finish({"records": records}, lambda: screen.records("Registry", columns, records))
