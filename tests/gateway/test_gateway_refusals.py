"""Every refusal that the gateway writes says what was found, what would be accepted, and what to do next."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_room import Reply, lacks

import mangaops.gateway
from mangaops import errors
from mangaops.gateway import refusals
from mangaops.gateway.service import Unavailable

ROOM = Path(mangaops.gateway.__file__).parent
SPEAK = ("app", "bodies", "connections", "feedback", "open_inference", "refusals", "service", "units")
"""The modules whose errors reach a client, or whoever starts a gateway."""

KINDS = {
    name
    for module in (refusals, errors)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, errors.MangaopsError)
} | {Unavailable.__name__}
WANTED = {"found", "accepted", "next_step"}


def unsaid(code: str) -> Iterator[str]:
    """The errors that a source makes without all their parts."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            given = {each.arg for each in node.keywords}
            if missing := WANTED - given:
                yield f"line {node.lineno}: {node.func.id} without {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", SPEAK)
def test_every_refusal_has_all_its_parts(name: str) -> None:
    assert list(unsaid((ROOM / f"{name}.py").read_text(encoding="utf-8"))) == []


def test_the_check_of_refusals_fires() -> None:
    assert list(unsaid('raise TooLarge("no", found="9", accepted="8")')) == [
        "line 1: TooLarge without next_step"
    ]
    assert list(unsaid('raise TooLarge("no", found="9", accepted="8", next_step="less")')) == []


def test_the_check_of_answers_fires() -> None:
    said = {"error": "no", "kind": "TooLarge", "found": "", "accepted": "8", "next": "less"}
    assert lacks(Reply(413, {}, json.dumps(said).encode())) == ["found"]
    assert lacks(Reply(413, {}, json.dumps({**said, "found": "9"}).encode())) == []
