"""What a gateway's logs keep of the people who asked, as stack.yaml says it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from mangaops.datasets.personal import mask
from mangaops.stack import LogSpec

Row = dict[str, Any]

_HASHED: Final = ("text", "conversation_id", "user_id")


def kept(logs: Mapping[str, LogSpec]) -> Callable[[list[Row]], list[Row]]:
    """A function of rows of a log, each with its `unit`: as the unit's settings keep them.

    Masked: personal data in the text is replaced by its kind. Hashed: text and ids are `sha256:` and 64 hex
    digits, so that equal ones stay equal. Words in options are kept like the text. A unit that is
    not in `logs` is masked.
    """
    unlisted = LogSpec()
    return lambda rows: [_kept(row, logs.get(row["unit"], unlisted)) for row in rows]


def _kept(row: Row, spec: LogSpec) -> Row:
    if spec.text == "hash":
        hashed = {name: _hash(row[name]) for name in _HASHED if row.get(name) is not None}
        return row | hashed | _options(row, _hash)
    text = row.get("text")
    if spec.text == "mask" and text is not None:
        return row | {"text": mask(text)} | _options(row, mask)
    return row


def _options(row: Row, hide: Callable[[str], str]) -> Row:
    """The row's options, JSON, with every word in them hidden; nothing where there are none."""

    def hidden(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: hidden(each) for name, each in value.items()}
        if isinstance(value, list):
            return [hidden(each) for each in value]
        return hide(value) if isinstance(value, str) else value

    if not row.get("options"):
        return {}
    return {"options": json.dumps(hidden(json.loads(row["options"])), separators=(",", ":"))}


def _hash(value: str) -> str:
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
