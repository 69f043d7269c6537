"""Named examples of which none may be answered wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from mangaops.datasets.files import json_objects
from mangaops.errors import InputError
from mangaops.stack import ModelSpec


def critical_examples(model: ModelSpec, folder: Path | None = None) -> pl.DataFrame | None:
    """The model's critical examples as text and label, None where stack.yaml names no file.

    The file has one JSON object a line with the keys text and label; a relative path counts from `folder`.

    Raises:
        InputError: the file is missing, or a line is no such object; it names the line.
    """
    if model.critical_examples is None:
        return None
    path = (folder or Path()) / model.critical_examples
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error
    found = json_objects(content, f"the file of critical examples {path.name}")
    rows = [_row(path, number, body) for number, body in found]
    return pl.DataFrame(rows, schema={"text": pl.String, "label": pl.String}, orient="row")


def _row(path: Path, number: int, body: Mapping[str, Any]) -> tuple[str, str]:
    text, label = body.get("text"), body.get("label")
    if not (isinstance(text, str) and isinstance(label, str) and text.strip() and label):
        raise _refused(path, f"line {number}: text or label is missing or no text")
    return text, label


def _refused(path: Path, found: str) -> InputError:
    return InputError(
        f"the critical examples in {path.name} were refused",
        found=found,
        accepted='one object a line, as in {"text": "I want a person", "label": "escalation"}',
        next_step="mend the file, or take `critical_examples` out of stack.yaml",
    )
