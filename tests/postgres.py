"""A real PostgreSQL server for tests: in a folder of its own, on a UNIX socket only, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADMIN = "mangaops"


def find_programs() -> Path | None:
    """The folder that holds initdb and pg_ctl, or None where no server is installed."""
    on_path = shutil.which("initdb")
    if on_path is not None and shutil.which("pg_ctl") is not None:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


def reason_to_skip() -> str | None:
    """Why no server can be started here; None where one can."""
    if find_programs() is None:
        return "no PostgreSQL server is installed: initdb and pg_ctl are not found"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL refuses to run as root, and setpriv is not found"
    return None


@contextmanager
def server(*, fsync: bool = False) -> Iterator[Path]:
    """A running server; yields the folder of its socket. Without `fsync` it is quick, not durable."""
    folder = Path(tempfile.mkdtemp(prefix="mpg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
    options += f" -c fsync={'on' if fsync else 'off'} -c full_page_writes={'on' if fsync else 'off'}"
    (folder / "options").write_text(options)
    try:
        _run(folder, "initdb", "--no-sync", "-A", "trust", "-U", ADMIN, "-D", folder / "data")
        start(folder)
        try:
            yield folder
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                stop(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> None:
    """The server of that folder runs, and takes connections."""
    options = (folder / "options").read_text()
    _run(folder, "pg_ctl", "-w", "-D", folder / "data", "-l", folder / "log", "-o", options, "start")


def stop(folder: Path) -> None:
    """The server of that folder does not run; its connections broke."""
    _run(folder, "pg_ctl", "-w", "-D", folder / "data", "-m", "immediate", "stop")


def url(folder: Path, database: str) -> str:
    """The SQLAlchemy URL of a database of the server."""
    return f"postgresql+psycopg://{ADMIN}@/{database}?host={folder}"


def create_database(folder: Path, database: str) -> str:
    """A new, empty database; returns its URL."""
    import psycopg

    with psycopg.connect(host=str(folder), user=ADMIN, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    return url(folder, database)


def _run(folder: Path, program: str, *arguments: object) -> None:
    programs = find_programs()
    assert programs is not None
    words = [str(programs / program), *map(str, arguments)]
    if os.geteuid() == 0:
        words = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]
    with (folder / "output").open("ab") as output:
        done = subprocess.run(words, cwd=folder, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise RuntimeError((folder / "output").read_text(errors="replace"))
