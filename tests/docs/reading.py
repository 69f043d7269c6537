"""Pages as tests read them: sections, rows of tables, links, and the command lines that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer.main

from mangaops.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
Command = Any

_HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
_TICKS = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@cache
def root() -> Command:
    """The command line."""
    return typer.main.get_command(app)


@cache
def page(name: str) -> str:
    """The text of a page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """The text under each heading, up to the next heading of any level; backticks are taken off headings."""
    found = list(_HEADING.finditer(_FENCE.sub(lambda fence: fence[0].replace("\n#", "\n "), text)))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        match[1].replace("`", ""): text[match.end() : end] for match, end in zip(found, ends, strict=True)
    }


def rows(text: str) -> dict[str, list[str]]:
    """Rows of all tables in the text by the first backticked word of their first cell; the other cells."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        words = _TICKS.findall(cells[0]) if line.lstrip().startswith("|") else []
        if words:
            found[words[0]] = cells[1:]
    return found


def ticked(text: str) -> set[str]:
    """Every word in backticks."""
    return set(_TICKS.findall(text))


def commands(command: Command | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    """Every command of the command line by its words, without the groups."""
    command = command or root()
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def shown_lines(text: str) -> Iterator[str]:
    """Command lines that stand on a line of their own in a code block, without prompt, comment or `\\`."""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if line[:4] == "    " or line.startswith(("mangaops ", "$ ", ".venv/bin/mangaops ")):
            yield from [stripped] if stripped.startswith("mangaops ") else []


def named_lines(text: str) -> Iterator[str]:
    """Command lines within a sentence, in backticks."""
    yield from (words for words in _TICKS.findall(text) if words.startswith("mangaops "))


def parse(line: str) -> None:
    """Nothing, once the command line would be accepted.

    Raises:
        typer.exceptions.TyperException, ValueError: with what is wrong with it.
    """
    command, words = _find(shlex.split(line, comments=True)[1:])
    if words != ["--help"] and words != ["--version"]:
        command.make_context(command.name, list(words))


def parse_named(line: str) -> None:
    """As `parse`, but a command may be named without its arguments, and a group without its command.

    Raises:
        typer.exceptions.TyperException, ValueError: with what is wrong with it.
    """
    if "COMMAND" in line:
        return
    command, words = _find(shlex.split(line, comments=True)[1:])
    if words and words != ["--version"]:
        command.make_context(command.name, list(words))


def _find(words: list[str]) -> tuple[Command, list[str]]:
    command = root()
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        raise ValueError(f"no such command: {words[0]}")
    return command, words
