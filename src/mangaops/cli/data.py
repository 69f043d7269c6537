"""`data validate|snapshot|show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Columns, GrowGolden, Logs, Query, Reason, shared, source

if TYPE_CHECKING:
    from mangaops.pipeline.search_data_run import SearchSources

group = typer.Typer(help="Logs in, dataset versions out.", no_args_is_help=True)
Name = Annotated[str | None, typer.Option("--data", help="A dataset of stack.yaml; default: the only one.")]
Catalogue = Annotated[
    list[str], typer.Option("--catalogue", help="For data of kind search: the items, from files or SQL.")
]
Judgments = Annotated[
    list[str], typer.Option("--judgments", help="For data of kind search: graded items of queries.")
]
Searches = Annotated[
    list[str],
    typer.Option("--searches", help="For data of kind search: logs of shown items, if there are any."),
]
Queries = Annotated[
    list[str],
    typer.Option(
        "--sql",
        help="With a SQLAlchemy URL: WHICH=SELECT, as in catalogue='SELECT * FROM items'. Repeatable.",
    ),
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

    name, searched = chosen_data(call.settings, data)
    given = _Given(logs, query, column, catalogue, judgments, searches, sql)
    with call.progress() as progress:
        if searched:
            report = validate_search_data(call.settings, name, given.of_search(name), progress)
        else:
            given.of_logs(name)
            report = validate_logs(call.settings, name, source(logs, query, column), progress)
    if out:
        out.write_text(report.to_markdown(), encoding="utf-8")
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

    name, searched = chosen_data(call.settings, data)
    given = _Given(logs, query, column, catalogue, judgments, searches, sql)
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
            given.of_logs(name)
            shop = call.workshop(new=True)
            rows = accepted(gather(shop, name, source(logs, query, column), progress))
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


class _Given:
    """The locations that a command was given, for either kind of dataset."""

    def __init__(
        self,
        logs: Sequence[str],
        query: str | None,
        column: Sequence[str],
        catalogue: Sequence[str],
        judgments: Sequence[str],
        searches: Sequence[str],
        sql: Sequence[str],
    ) -> None:
        self.labelled = {"--logs": logs, "--query": query, "--column": column}
        self.searched = {
            "--catalogue": catalogue,
            "--judgments": judgments,
            "--searches": searches,
            "--sql": sql,
        }

    def of_logs(self, name: str) -> None:
        """Nothing, where the options are those of labelled logs."""
        self._refuse(name, "labels", self.searched, {"--logs": self.labelled["--logs"]}, "--logs FILE")

    def of_search(self, name: str) -> SearchSources:
        """The sources of search data.

        Raises:
            UsageError: options of labelled logs, or the catalogue or judgments are missing.
        """
        from mangaops.datasets.source import Source
        from mangaops.pipeline.search_data_run import SearchSources

        needed = {key: self.searched[key] for key in ("--catalogue", "--judgments")}
        self._refuse(
            name, "search", self.labelled, needed, "--catalogue FILE --judgments FILE [--searches FILE]"
        )
        sql = _queries(self.searched["--sql"])
        for which in sql:
            self._refuse(name, "search", {}, {f"--{which}": self.searched[f"--{which}"]}, f"--{which} URL")
        catalogue, judgments, searches = (
            Source(tuple(self.searched[f"--{which}"]), sql.get(which)) for which in _WHICH
        )
        return SearchSources(catalogue, judgments, searches if searches.locations else None)

    def _refuse(
        self, name: str, kind: str, wrong: dict[str, Any], needed: dict[str, Any], accepted: str
    ) -> None:
        from mangaops.errors import UsageError

        strange = [option for option, value in wrong.items() if value]
        missing = [option for option, value in needed.items() if not value]
        if strange or missing:
            found = [
                *(f"{each} is for the other kind" for each in strange),
                *(f"no {each}" for each in missing),
            ]
            raise UsageError(
                f"the options were refused: {name} is data of kind {kind}",
                found=", ".join(found),
                accepted=accepted,
                next_step="give those, or another dataset with --data",
            )


_WHICH = ("catalogue", "judgments", "searches")


def _queries(given: Sequence[str]) -> dict[str, str]:
    from mangaops.errors import UsageError

    found: dict[str, str] = {}
    for pair in given:
        which, separator, query = pair.partition("=")
        if which not in _WHICH or not separator or not query.strip() or which in found:
            raise UsageError(
                "--sql was refused",
                found=f"{pair[:80]!r}{', a second one' if which in found else ''}",
                accepted=f"WHICH=SELECT, each once: {', '.join(_WHICH)}",
                next_step='--sql "catalogue=SELECT * FROM items"',
            )
        found[which] = query
    return found


def _finish(call: Call, name: str, digest: str, manifest: dict[str, Any]) -> None:
    rows = [(key, screen.short(value)) for key, value in manifest.items()]
    call.finish(
        {"name": name, "digest": digest, "manifest": manifest},
        lambda: screen.table(f"{name}  {digest[:19]}", ("what", "value"), rows),
    )
