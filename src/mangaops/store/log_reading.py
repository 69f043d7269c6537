"""What was logged, read again from the Parquet files that the roller made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from mangaops.store.foreign import file_errors
from mangaops.store.log_form import COLUMNS, Kind
from mangaops.store.objects import not_parquet, open_objects
from mangaops.store.roll import LOGS


def read_log(
    root: str | Path,
    kind: Kind,
    *,
    unit: str,
    since: datetime | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The rows of a unit from a moment on, in order of time, writer and number.

    `root` is the folder or fsspec URL of all files. No rows where nothing was logged.

    Raises:
        SetupError: disk or store cannot be read.
        IntegrityError: a file is damaged.
    """
    return LogReader(root, kind, unit=unit, since=since, columns=columns).read()


class LogReader:
    """The log of a unit, or of all, read again and again while it grows: no file is read twice."""

    def __init__(
        self,
        root: str | Path,
        kind: Kind,
        *,
        unit: str | None,
        since: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        """`unit`: None for all of them. `columns`: those that are wanted; None for all."""
        self._objects = open_objects(root)
        self._folder = f"{LOGS}/{kind}"
        self._unit, self._since = unit, since.astimezone(UTC) if since else None
        self._schema = pl.Schema(COLUMNS[kind])
        self._wanted = list(columns or COLUMNS[kind])
        self._seen: set[str] = set()
        self._rows = pl.DataFrame(schema={name: self._schema[name] for name in (*_ORDER, *self._wanted)})

    def read(self) -> pl.DataFrame:
        """Every row that is rolled by now, in order of time, writer and number."""
        fresh = [name for name in self._listed() if name not in self._seen]
        if fresh:
            self._rows = pl.concat([self._rows, self._read(fresh)]).sort(*_ORDER)
            self._seen.update(fresh)
        return self._rows.select(self._wanted)

    def _listed(self) -> list[str]:
        """The files that may hold rows: a file lies in the folder of its last row's day."""
        day = f"{self._since:%Y-%m-%d}" if self._since else ""
        with file_errors("listing the logs was refused"):
            return [n for n in self._objects.names(self._folder, ".parquet") if n.split("/")[-2] >= day]

    def _read(self, names: Sequence[str]) -> pl.DataFrame:
        wanted = pl.lit(True) if self._unit is None else pl.col("unit") == self._unit
        if self._since:
            wanted &= pl.col("at") >= self._since
        whole = self._schema
        try:
            with file_errors("reading the logs was refused"):
                rows = [
                    frame.match_to_schema(whole, missing_columns="insert", extra_columns="ignore")
                    .filter(wanted)
                    .select(self._rows.columns)
                    for frame in self._objects.frames(names)
                ]
                return pl.concat(rows).collect()
        except pl.exceptions.PolarsError as problem:
            raise not_parquet(names, problem) from problem


_ORDER = ("at", "writer", "seq")
