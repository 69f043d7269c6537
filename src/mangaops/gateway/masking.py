"""What the logs keep of a text and its ids: as it came, with personal data masked, or as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from mangaops.datasets.personal import mask
from mangaops.gateway.units import Unit

Rows = list[dict[str, Any]]

_SAID: Final = ("text", "conversation_id", "user_id")


def prepared(units: Mapping[str, Unit]) -> Callable[[Rows], Rows]:
    """A function that makes rows as the log policy of their unit wants them; it runs in the log's thread."""

    def prepare(rows: Rows) -> Rows:
        return [_kept(row, units[row["unit"]].log.text) for row in rows]

    return prepare


def _kept(row: dict[str, Any], policy: str) -> dict[str, Any]:
    if policy == "hash":
        return {**row, **{name: _hash(row[name]) for name in _SAID}}
    said = {name: _writable(row[name]) for name in _SAID}
    if policy == "mask" and said["text"] is not None:
        said["text"] = mask(said["text"])
    return {**row, **said}


def _writable(value: str | None) -> str | None:
    """The value without lone surrogates, which no log can hold."""
    return None if value is None else value.encode("utf-8", "replace").decode()


def _hash(value: str | None) -> str | None:
    if value is None:
        return None
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
