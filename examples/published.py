"""What the `prepare.py` of every example does alike: read a published Parquet file, write four, say so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

Columns = Mapping[str, pl.DataType]


class Refused(Exception):
    """The source cannot be used; the message is one line."""


def read(source: Path, needed: Columns) -> pl.DataFrame:
    """The columns of `needed`, each of its type.

    Raises:
        Refused: no such file, no whole Parquet file, a column that is missing or of another kind.
    """
    if not source.is_file():
        raise refused(source, needed, "a folder" if source.is_dir() else "no such file")
    try:
        rows = pl.read_parquet(source, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise refused(source, needed, f"no whole Parquet file ({_first_line(error)})") from error
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise refused(source, needed, f"no column {', '.join(missing)}, only {', '.join(rows.columns)}")
    try:
        return rows.select(list(needed)).cast(dict(needed))
    except pl.exceptions.PolarsError as error:
        raise refused(source, needed, f"a column of another kind ({_first_line(error)})") from error


def refused(source: Path, needed: Columns, found: str) -> Refused:
    """The error of a source in which `found` was found."""
    columns = ", ".join(f"{name} ({kind})" for name, kind in needed.items())
    return Refused(
        f"{source} was refused: found {found}; needed: a Parquet file with the columns {columns}; "
        f"next: {Path(sys.argv[0]).with_name('README.md')} says how it is made"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]


def write(out: Path, prepare: Callable[[], dict[str, pl.DataFrame]]) -> None:
    """Each frame of `prepare` becomes a Parquet file in `out`; exit code 4 where the source is refused."""
    try:
        frames = prepare()
    except Refused as error:
        sys.stderr.write(f"prepare.py: {error}\n")
        sys.exit(4)
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(out / f"{name}.parquet")
        sys.stdout.write(f"{out / name}.parquet: {frame.height:,} rows\n")
