"""The stack.yaml that `mangaops init` writes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mangaops.errors import UsageError
from mangaops.stack import differences


def write_stack(out: Path) -> None:
    """A commented stack.yaml is written; an existing file stays as it is.

    Raises:
        UsageError: the file is there already.
    """
    if out.exists():
        raise UsageError(
            f"{out} was not written: it is there already",
            accepted="a path that is free",
            next_step="mangaops init --out another.yaml",
        )
    out.write_text(init_text(), encoding="utf-8")


def init_text() -> str:
    """The stack.yaml that `mangaops init` writes."""
    return (files("mangaops.pipeline") / "templates" / "stack.yaml").read_text(encoding="utf-8")


def beside_init(text: str) -> str:
    """How many values a stack.yaml sets otherwise than `mangaops init` does, and where the reasons are."""
    count = len(differences(init_text(), text))
    if not count:
        return "says what `mangaops init` writes"
    return f"sets {count} values otherwise than `mangaops init` writes; the comment beside each says why"
