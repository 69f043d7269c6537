"""`data validate|snapshot|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Columns, GrowGolden, Logs, Query, Reason, shared, source

group = typer.Typer(help="Logs in, dataset versions out.", no_args_is_help=True)
Name = Annotated[str | None, typer.Option("--data", help="A dataset of stack.yaml; default: the only one.")]


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    group.command(epilog="Example: mangaops data validate --logs 'logs/*.parquet' --column text=utterance")(
        validate
    )
    group.command(epilog="Example: mangaops data snapshot --logs logs.parquet --reason 'week 17'")(snapshot)
    group.command(epilog="Example: mangaops data show intent-data-2026-04-20")(show)
    app.add_typer(group, name="data")


@shared
def validate(
    call: Call,
    logs: Logs,
    data: Name = None,
    query: Query = None,
    column: Columns = [],  # noqa: B006 - typer copies it
    out: Annotated[Path | None, typer.Option(help="Also write the report here, as Markdown.")] = None,
) -> None:
    """Read logs and report on them; nothing is stored. Exit 4 when the rows cannot be used."""
    from mangaops.wiring import validate_logs

    with call.progress() as progress:
        report = validate_logs(call.settings, data, source(logs, query, column), progress)
    if out:
        out.write_text(report.to_markdown(), encoding="utf-8")
    call.finish(
        report.as_dict(), lambda: screen.markdown(report.to_markdown()), code=4 if report.errors else 0
    )


@shared
def snapshot(
    call: Call,
    logs: Logs,
    data: Name = None,
    query: Query = None,
    column: Columns = [],  # noqa: B006 - typer copies it
    grow_golden: GrowGolden = False,
    reason: Reason = "a new dataset version",
) -> None:
    """Split by group, remove leaks from training, store the rows under their digest, record it."""
    from mangaops.pipeline.dataset_run import accepted, data_name, gather, take_snapshot

    with call.progress() as progress:
        shop = call.workshop(new=True)
        name = data_name(shop.desk.stack, data)
        rows = accepted(gather(shop, name, source(logs, query, column), progress))
        taken = take_snapshot(shop, name, rows, grow_golden=grow_golden, reason=reason, progress=progress)
    _finish(call, taken.name, taken.digest, dict(taken.manifest))


@shared
def show(call: Call, name: Annotated[str, typer.Argument(help="A dataset version, or its digest.")]) -> None:
    """The manifest of a dataset version: source, query, counts, splits, hashes."""
    from mangaops.pipeline.dataset_run import find_version

    found = find_version(call.workshop(), name)
    _finish(call, found.name, found.digest, dict(found.manifest))


def _finish(call: Call, name: str, digest: str, manifest: dict[str, Any]) -> None:
    rows = [(key, screen.short(value)) for key, value in manifest.items()]
    call.finish(
        {"name": name, "digest": digest, "manifest": manifest},
        lambda: screen.table(f"{name}  {digest[:19]}", ("what", "value"), rows),
    )
