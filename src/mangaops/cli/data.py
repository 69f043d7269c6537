"""`data validate|snapshot|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Columns, GrowGolden, Logs, Query, Reason, shared
from mangaops.cli.sources import Catalogue, Given, Judgments, Queries, Searches

group = typer.Typer(help="Logs in, dataset versions out.", no_args_is_help=True)
Name = Annotated[
    str | None,
    typer.Option("--data", help="A dataset of stack.yaml; default: the only one of the kind that is given."),
]


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
    logs: Logs = [],  # noqa: B006 - typer copies it
    data: Name = None,
    query: Query = None,
    column: Columns = [],  # noqa: B006
    catalogue: Catalogue = [],  # noqa: B006
    judgments: Judgments = [],  # noqa: B006
    searches: Searches = [],  # noqa: B006
    sql: Queries = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Also write the report here, as Markdown.")] = None,
) -> None:
    """Read logs and report on them; nothing is stored. Exit 4 when the rows cannot be used."""
    from mangaops.wiring import chosen_data, validate_logs, validate_search_data

    given = Given(logs, query, column, catalogue, judgments, searches, sql)
    name, searched = chosen_data(call.settings, data, given.for_search)
    with call.progress() as progress:
        if searched:
            report = validate_search_data(call.settings, name, given.of_search(name), progress)
        else:
            report = validate_logs(call.settings, name, given.of_logs(name), progress)
    if out:
        from mangaops.pipeline.files import whole

        whole(out, report.to_markdown())
    call.finish(
        report.as_dict(), lambda: screen.markdown(report.to_markdown()), code=4 if report.errors else 0
    )


@shared
def snapshot(
    call: Call,
    logs: Logs = [],  # noqa: B006 - typer copies it
    data: Name = None,
    query: Query = None,
    column: Columns = [],  # noqa: B006
    catalogue: Catalogue = [],  # noqa: B006
    judgments: Judgments = [],  # noqa: B006
    searches: Searches = [],  # noqa: B006
    sql: Queries = [],  # noqa: B006
    grow_golden: GrowGolden = False,
    reason: Reason = "a new dataset version",
) -> None:
    """Split by group, remove leaks from training, store the rows under their digest, record it."""
    from mangaops.pipeline.dataset_run import accepted, gather, take_snapshot
    from mangaops.pipeline.search_data_run import examine_search, take_search_snapshot
    from mangaops.wiring import chosen_data

    given = Given(logs, query, column, catalogue, judgments, searches, sql)
    name, searched = chosen_data(call.settings, data, given.for_search)
    with call.progress() as progress:
        if searched:
            sources = given.of_search(name)
            shop = call.workshop(new=True)
            found = examine_search(shop.desk.stack, name, sources, progress).data
            made = take_search_snapshot(
                shop, name, found, grow_golden=grow_golden, reason=reason, progress=progress
            )
            told = (made.name, made.digest, dict(made.manifest))
        else:
            logs_given = given.of_logs(name)
            shop = call.workshop(new=True)
            rows = accepted(gather(shop, name, logs_given, progress))
            taken = take_snapshot(shop, name, rows, grow_golden=grow_golden, reason=reason, progress=progress)
            told = (taken.name, taken.digest, dict(taken.manifest))
    _finish(call, *told)


@shared
def show(
    call: Call,
    name: Annotated[str, typer.Argument(help="A dataset version, or its digest: 8 digits of it are enough.")],
) -> None:
    """The manifest of a dataset version: source, query, counts, splits, hashes."""
    from mangaops.pipeline.dataset_run import find_manifest

    digest, manifest = find_manifest(call.workshop(), name)
    _finish(call, manifest["name"], digest, manifest)


def _finish(call: Call, name: str, digest: str, manifest: dict[str, Any]) -> None:
    rows = [(key, screen.short(value)) for key, value in manifest.items()]
    call.finish(
        {"name": name, "digest": digest, "manifest": manifest},
        lambda: screen.table(f"{name}  {digest[:19]}", ("what", "value"), rows),
    )
