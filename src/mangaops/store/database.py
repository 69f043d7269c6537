"""One database, SQLite or PostgreSQL: connected, brought up to the newest tables, read and written.

SQLite: every write transaction begins with BEGIN IMMEDIATE, so that two writers never read the same head;
the journal is WAL, and synchronous=FULL makes a commit survive a power cut. PostgreSQL: READ COMMITTED with
rows locked by SELECT ... FOR UPDATE; a commit is as durable as the server's `synchronous_commit`.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, create_engine, event, exc, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.pool import PoolProxiedConnection

from mangaops.errors import NoLedger, SetupError
from mangaops.store.addresses import without_credentials
from mangaops.store.bundles import make_folder
from mangaops.store.filesystems import network_filesystem
from mangaops.store.foreign import bad_url, in_the_way, sql_errors
from mangaops.store.tables import EVENTS

NEWEST: Final = "0004"
"""The newest step in `migrations/versions`."""

BUSY_SECONDS: Final = 60
"""How long a writer waits for its turn on SQLite."""

_IMPATIENT: Final = {
    "connect_timeout": 10,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""A server that says nothing any more is noticed within seconds, and not when TCP gives up."""

_ACCEPTED: Final = "sqlite:////folder/ledger.db or postgresql://user@host/database"
_MIGRATING: Final = 4_021_776_114


class Database:
    """A connected database whose tables are the newest. Safe to share between threads, not over a fork."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Connects, and migrates the tables where that is due; with `create`, makes what is not there yet.

        Raises:
            UsageError: the URL is none of SQLite or PostgreSQL.
            NoLedger: there is no ledger, and none may be made.
            SetupError: unreachable, read-only, full, on a network folder, or of a newer mangaops.
            IntegrityError: the file is something else, or damaged.
        """
        parsed = _parse(url)
        self.shown = without_credentials(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        with sql_errors(self.shown):
            self._engine = _sqlite(parsed, self.shown, create) if self.is_sqlite else _postgres(parsed)
        self._migrate(create)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with sql_errors(self.shown), self._engine.connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that commits at its end, or leaves no trace."""
        with sql_errors(self.shown), self._engine.connect() as opened:
            connection = opened.execution_options(mangaops_writes=True)
            with connection.begin():
                yield connection

    def insert_new(self, table: Table) -> Any:
        """An INSERT that leaves rows alone whose key is taken."""
        dialect: Any = sqlite if self.is_sqlite else postgresql
        return dialect.insert(table).on_conflict_do_nothing()

    def replace(self, table: Table, row: Mapping[str, Any]) -> Any:
        """An INSERT of the row that takes the place of the one with its key."""
        dialect: Any = sqlite if self.is_sqlite else postgresql
        keys = [column.name for column in table.primary_key.columns]
        values = {name: value for name, value in row.items() if name not in keys}
        return dialect.insert(table).values(**row).on_conflict_do_update(index_elements=keys, set_=values)

    def listener(self) -> PoolProxiedConnection:
        """A connection outside the pool, whose driver commits each statement at once."""
        with sql_errors(self.shown):
            proxied = self._engine.raw_connection()
            proxied.detach()
            driver: Any = proxied.dbapi_connection
            driver.autocommit = True
            return proxied

    def now(self, connection: Connection) -> float:
        """Seconds since 1970, by the clock that all users of this database share."""
        if self.is_sqlite:
            return time.time()
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def close(self) -> None:
        """No connection is open."""
        self._engine.dispose()

    def _migrate(self, create: bool) -> None:
        with self.reading() as connection:
            if _version(connection) == NEWEST:
                return
            if not create and not _is_ours(connection):
                raise _no_ledger(self.shown, "a database without the tables of a ledger")
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
            found = _version(connection)
            if found is not None and found > NEWEST:
                raise SetupError(
                    f"the ledger {self.shown} was refused: a newer version of mangaops made it",
                    found=f"tables of step {found}",
                    accepted=f"tables up to step {NEWEST}",
                    next_step="install that version of mangaops, or a newer one",
                )
            if found != NEWEST:
                _upgrade(connection)


def _parse(url: str) -> URL:
    scheme = words[1] if (words := re.match(r"(?i)([a-z+0-9]+)://", url)) else "(a text without a scheme)"
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError):  # the cause may hold the address with its password
        raise bad_url("ledger", scheme, _ACCEPTED) from None
    if backend != "sqlite" and "@" in f"{parsed.host}{parsed.database}":
        raise bad_url(
            "ledger", f"{scheme} with an @ in its password or name, which is written %40", _ACCEPTED
        )
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    raise bad_url("ledger", without_credentials(url), _ACCEPTED)


def _sqlite(url: URL, shown: str, create: bool) -> Engine:
    path = Path(str(url.database))
    if not create and not path.exists():
        file = in_the_way(path)
        raise _no_ledger(shown, f"{file} is a file, and no folder" if file else "there is no such file")
    if path.is_dir():
        raise SetupError(
            f"the ledger {shown} cannot be used",
            found=f"a folder is where a file should be: {path}",
            accepted="a SQLite file, or a name that is free",
            next_step="move it away, or name another ledger with --ledger",
        )
    if (kind := network_filesystem(path)) is not None:
        raise SetupError(
            f"the ledger {shown} was refused: SQLite is unsafe on a network folder",
            found=f"a folder of type {kind}",
            accepted="a local disk, or a PostgreSQL URL",
            next_step="move the ledger to a local disk, or use PostgreSQL",
        )
    make_folder(path.parent)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    _leave_forks_alone(engine)
    return engine


def _postgres(url: URL) -> Engine:
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_IMPATIENT)
    except ImportError as error:
        raise SetupError(
            "a PostgreSQL ledger cannot be used", found=str(error), next_step="pip install 'psycopg[binary]'"
        ) from error
    _leave_forks_alone(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if mode != "wal":
        raise SetupError(
            "a SQLite ledger was refused: its disk has no shared memory for a write-ahead log",
            found=f"journal mode {mode}",
            accepted="a local disk, or a PostgreSQL URL",
        )


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("mangaops_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _leave_forks_alone(engine: Engine) -> None:
    """Connections of a parent process are never used by its children."""

    def connected(_connection: Any, record: Any) -> None:
        record.info["pid"] = os.getpid()

    def checked_out(_connection: Any, record: Any, proxy: Any) -> None:
        if record.info["pid"] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None
            raise exc.DisconnectionError("this connection belongs to the parent process")

    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", checked_out)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _is_ours(connection: Connection) -> bool:
    """Whether the tables of a ledger are there, be they old or damaged."""
    return any(inspect(connection).has_table(name) for name in ("alembic_version", EVENTS.name))


def _no_ledger(shown: str, found: str) -> NoLedger:
    return NoLedger(
        f"the ledger {shown} cannot be used",
        found=found,
        accepted="a ledger that is there; the first release makes one",
        next_step="name it with --home or --ledger, or begin with mangaops release bootstrap",
    )


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mangaops.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
