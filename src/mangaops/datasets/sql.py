"""A query's result as a frame: read in a transaction that is rolled back, and no credential ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mangaops.datasets.files import Piece
from mangaops.datasets.source import Origin, Progress
from mangaops.errors import InputError, SetupError, UsageError
from mangaops.store.addresses import without_credentials

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

_BATCH = 50_000
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET TRANSACTION READ ONLY",
    "mariadb": "SET TRANSACTION READ ONLY",
}


def query_piece(location: str, query: str | None, progress: Progress | None = None) -> Piece:
    """All rows of the query. Nothing is written: the session is read-only where the database can be told
    so, and the transaction is rolled back everywhere.

    Raises:
        UsageError: no query, or not an SQLAlchemy URL.
        SetupError: the database's driver is not installed.
        InputError: no connection, the query fails, or it returns no rows.
    """
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    if not query or not query.strip():
        raise UsageError(
            "an SQL source needs a query",
            next_step="add --query 'SELECT ...', or --sql catalogue='SELECT ...' for data of kind search",
        )
    try:
        url = make_url(location)
        name = without_credentials(location)
        _refuse_ambiguous(url)
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UsageError(
            "the address of the database was refused",
            found=f"not an SQLAlchemy URL ({type(error).__name__})",
            accepted="as in postgresql+psycopg://user:password@host/database, an @ in a password written %40",
        ) from error
    except ImportError as error:
        raise SetupError(
            f"{name} cannot be read: its driver {error.name} is not installed",
            next_step=f"install the package that has {error.name}",
        ) from error
    _refuse_new_file(url, name)
    try:
        with engine.connect() as connection:
            return _read(connection, query, name, progress)
    except SQLAlchemyError as error:
        raise _failure(error, url, name) from None  # the cause may hold the address with its password
    finally:
        engine.dispose()


def _refuse_ambiguous(url: URL) -> None:
    """An `@` in a password ends it, and what follows is taken for a host, which errors would show."""
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":
        raise ValueError("an @ in the password or name, which is written %40")


def _read(connection: Connection, query: str, name: str, progress: Progress | None) -> Piece:
    from sqlalchemy import text

    restrict = _READ_ONLY.get(connection.dialect.name)
    transaction = connection.begin()
    try:
        if restrict is not None:
            connection.execute(text(restrict))
        result = connection.execution_options(stream_results=True).execute(text(query.replace(":", r"\:")))
        if not result.returns_rows:
            raise InputError(f"the query on {name} returns no rows", accepted="a SELECT")
        columns = list(result.keys())
        rows: list[Any] = []
        for batch in result.partitions(_BATCH):
            rows.extend(tuple(row) for row in batch)
            if progress is not None:
                progress(f"reading {name}", len(rows), 0)
    finally:
        transaction.rollback()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = OFF")
    if not rows:
        raise InputError(f"the query on {name} found no row", next_step="run the query by hand to see why")
    table = pl.DataFrame([_column(key, [row[i] for row in rows]) for i, key in enumerate(columns)])
    return Piece(name, table, Origin(name, table.height, 0, None))


def _column(name: str, values: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)


def _refuse_new_file(url: URL, name: str) -> None:
    """SQLite would create the file that it does not find."""
    database = url.database
    if url.get_backend_name() != "sqlite" or database in (None, "", ":memory:"):
        return
    if not Path(str(database).removeprefix("file:").split("?", 1)[0]).is_file():
        raise InputError(f"{name} does not exist", accepted="an existing SQLite file")


def _failure(error: Exception, url: URL, name: str) -> InputError:
    """The database's own words, without user and password."""
    words = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
    secrets = [url.password, url.username, *(str(value) for value in url.query.values())]
    for secret in secrets:
        if secret:
            words = words.replace(str(secret), "***")
    return InputError(
        f"the query on {name} failed",
        found=words[:300],
        next_step="check the address, the rights and the query",
    )
