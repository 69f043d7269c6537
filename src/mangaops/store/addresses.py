"""Addresses as people may see them, and as they are remembered: never with a credential."""

from __future__ import annotations

import re

_USER = re.compile(r"://(?:[^/:@]*:(?!:).*@|[^/]*@)", re.DOTALL)
"""`user:password@`, whose password may hold anything, and `user@`; chained URLs (`::`) are no password."""
_OPTIONS = re.compile(r"\?[^/]*=.*$", re.DOTALL)
"""A query string; a `?` without a `=` in its part of the path is one of a pattern."""
_WEB_OPTIONS = re.compile(r"(https?://[^?]*)\?.*$", re.DOTALL | re.IGNORECASE)
"""On the web a `?` always begins a query string."""
_SQL_URL = re.compile(r"^(sqlite|postgresql|postgres|mysql|mariadb|oracle|mssql)(\+\w+)?:", re.IGNORECASE)


def is_sql(location: str) -> bool:
    """Whether a location is an SQLAlchemy URL rather than a file."""
    return bool(_SQL_URL.match(location))


def without_credentials(location: str) -> str:
    """The location without user, password and query string, chained URLs too; a plain path stays as it is.

    Where it is unclear what belongs to a password (an `@` in the path after one), too much is left out.
    """
    if is_sql(location):
        return _sql_without_credentials(location)
    if "://" not in location:
        return location
    return _stripped(location)


def _stripped(location: str) -> str:
    return _OPTIONS.sub("", _WEB_OPTIONS.sub(r"\1", _USER.sub("://", location)))


def _sql_without_credentials(location: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        return _stripped(location)
    database, port = url.database or "", f":{url.port}" if url.port else ""
    if url.host and "@" in database:  # the password held an `@`, and was read as host and database
        return f"{url.get_backend_name()}://{database.rpartition('@')[2]}"
    return f"{url.get_backend_name()}://{url.host or ''}{port}/{database}"
