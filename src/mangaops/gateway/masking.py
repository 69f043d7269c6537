"""What the logs keep of a text and its ids: as it came, with personal data masked, or as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from mangaops.datasets.personal import mask
from mangaops.gateway.units import Unit

Rows = list[dict[str, Any]]


def prepared(units: Mapping[str, Unit]) -> Callable[[Rows], Rows]:
    """A function that makes rows as the log policy of their unit wants them; it runs in the log's thread."""

    def prepare(rows: Rows) -> Rows:
        return [_kept(row, units[row["unit"]].log.text) for row in rows]

    return prepare


def _kept(row: dict[str, Any], policy: str) -> dict[str, Any]:
    text = row["text"]
    if policy == "keep" or text is None:
        return {**row, "text": text and text.encode("utf-8", "replace").decode()}
    if policy == "mask":
        return {**row, "text": mask(text.encode("utf-8", "replace").decode())}
    hashed = {name: _hash(row[name]) for name in ("text", "conversation_id", "user_id")}
    return {**row, **hashed}


def _hash(value: str | None) -> str | None:
    if value is None:
        return None
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
