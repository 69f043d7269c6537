"""Every refusal that the gateway writes says what was found, what would be accepted, and what to do next."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from serving_room import Reply, lacks

import mangaops.gateway
from foreign_words import FOREIGN, SHAPES
from mangaops import errors
from mangaops.gateway import refusals
from mangaops.gateway.bodies import Feedback, Inference
from mangaops.gateway.refusals import parsed
from mangaops.gateway.service import Unavailable
from mangaops.inference.bodies import SearchAsked, TextAsked

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


VALID: dict[type[BaseModel], dict[str, Any]] = {
    TextAsked: {"text": "hello", "conversation_id": "c"},
    SearchAsked: {"query": "x", "k": 3, "filters": {"in_stock": True, "price_at_most": 9, "genres": ["a"]}},
    Feedback: {"request_id": "r", "outcome": "helped", "label": "a"},
    Inference: {"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES"}], "outputs": [{"name": "b"}]},
}


def refused(kind: type[BaseModel], body: object) -> errors.InputError | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        parsed(kind, raw)
    except errors.InputError as error:
        return error
    return None


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_a_wrong_shape_in_a_body_is_told_in_our_words_and_is_not_repeated(kind: type[BaseModel]) -> None:
    body, told = VALID[kind], 0
    filters = body.get("filters", {})
    bodies = [{**body, name: shape} for name in [*body, "other"] for shape in SHAPES]
    bodies += [{**body, "filters": {**filters, name: shape}} for name in filters for shape in SHAPES]
    assert refused(kind, body) is None
    for wrong in [*bodies, *SHAPES, b"{nope", b"", b"\xff"]:
        if (error := refused(kind, wrong)) is not None:
            assert not FOREIGN.search(error.found), error.found
            assert "exact" not in error.found
            assert all((error.found, error.accepted, error.next_step))
            told += 1
    assert told > 20


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"query": "x", "filters": {"in_stock": False}}, "filters.in_stock: must be true, or left out"),
        ({"query": "x", "filters": {"genres": "drama"}}, "filters.genres: must be a list, and is a text"),
        ({"query": "x", "filters": {"genres": []}}, "filters.genres: must be a list of at least 1"),
        ({"query": "x", "filters": {"colour": "red"}}, "filters.colour: is unknown"),
        ({"query": "x", "k": 0}, "k: must be greater than or equal to 1"),
        ({"query": "x", "k": "3"}, "k: must be a whole number, and is a text"),
        ({"k": 3}, "query: is missing"),
        (
            [1, 2],
            "the whole: must be a mapping of conversation_id, user_id, query, k, filters, and is a list of 2",
        ),
    ],
)
def test_what_is_wrong_with_a_search_is_said(body: object, found: str) -> None:
    error = refused(SearchAsked, body)
    assert error is not None
    assert error.found == found
