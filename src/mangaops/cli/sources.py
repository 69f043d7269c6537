"""The options that say where data is, for either kind of dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mangaops.cli.options import source

if TYPE_CHECKING:
    from mangaops.datasets import Source
    from mangaops.pipeline.search_data_run import SearchSources

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


class Given:
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
        self._labelled = (logs, query, column)
        self.labelled = {"--logs": logs, "--query": query, "--column": column}
        self.searched = {
            "--catalogue": catalogue,
            "--judgments": judgments,
            "--searches": searches,
            "--sql": sql,
        }

    @property
    def for_search(self) -> bool | None:
        """Whether the locations are those of search data; None where there are none, or of either kind."""
        searched = any(self.searched.values())
        return None if searched == any(self.labelled.values()) else searched

    def of_logs(self, name: str) -> Source:
        """The source of labelled logs.

        Raises:
            UsageError: options of search data, no logs, or a column mapping that is none.
        """
        self._refuse(name, "labels", self.searched, {"--logs": self.labelled["--logs"]}, "--logs FILE")
        return source(*self._labelled)

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
