"""Whatever stands in a stack.yaml, what is wrong with it is said in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from foreign_words import FOREIGN, SHAPES
from mangaops.errors import StackError
from mangaops.gates import GATES
from mangaops.metrics import METRICS
from mangaops.stack import parse, told
from mangaops.stack.document import read
from mangaops.training import PARAMETERS

INIT = Path(__file__).parents[2] / "src" / "mangaops" / "pipeline" / "templates" / "stack.yaml"
WHOLE = read(re.sub("^# (?=  )", "", INIT.read_text(encoding="utf-8"), flags=re.MULTILINE)).values


def mistakes(tree: Any) -> tuple[str, ...]:
    gates = {name: gate.params for name, gate in GATES.items()}
    try:
        parse(json.dumps(tree), gates=gates, metrics=METRICS, families=PARAMETERS)
    except StackError as refused:
        return refused.mistakes
    return ()


def changed(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    inner = changed(tree[place[0]], place[1:], value) if place[0] in _keys(tree) else value
    if isinstance(tree, list):
        return [inner if at == place[0] else each for at, each in enumerate(tree)]
    return {**tree, place[0]: inner}


def _keys(tree: Any) -> list[Any]:
    return list(range(len(tree))) if isinstance(tree, list) else list(tree) if isinstance(tree, dict) else []


def places(tree: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in _keys(tree):
        yield (*inside, key)
        yield from places(tree[key], (*inside, key))


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_wrong_shape_anywhere_is_told_in_our_words(shape: Any) -> None:
    told = 0
    for place in [*places(WHOLE)][SHAPES.index(shape) % 6 :: 6]:
        for says in mistakes(changed(WHOLE, place, shape)):
            assert not FOREIGN.search(says), says
            told += 1
    assert told > 10


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (
            ("units", "retrieval", "index"),
            "exact",
            "units.retrieval.index: must be a mapping of exact_up_to, lists, probe, oversample"
            "; found 'exact'",
        ),
        (
            ("data", "intent-data", "labels"),
            5,
            "data.intent-data.labels: must be a list or 'from_logs'; found 5",
        ),
        (("data", "intent-data", "labels"), ["a", 5], "data.intent-data.labels[1]: must be a text; found 5"),
        (("models", "adapter"), ["a"], "models.adapter: must be a mapping; found a list of 1"),
        (
            ("units", "retrieval", "gates"),
            3,
            "units.retrieval.gates: must be a list of rules; found a number",
        ),
        (
            ("data", "shop", "catalogue"),
            ["a"],
            "data.shop.catalogue: must be a mapping; found a list of 1",
        ),
        (
            ("units", "retrieval", "looks"),
            {},
            "units.retrieval.looks: must be a whole number; found a mapping",
        ),
    ],
)
def test_a_wrong_shape_is_told_with_what_was_found_and_is_accepted(
    place: tuple[str, ...], value: Any, says: str
) -> None:
    found = [each.partition(": ")[2] for each in mistakes(changed(WHOLE, place, value))]
    assert found[:1] == [says]
    assert mistakes(WHOLE) == ()


def test_a_kind_of_mistake_that_nobody_foresaw_is_told_in_our_words_too() -> None:
    class Odd(BaseModel):
        each: int = Field(multiple_of=7)

    with pytest.raises(ValidationError) as refused:
        Odd.model_validate({"each": 3})
    assert told(refused.value) == "each: must be another value"


@pytest.mark.parametrize(("family", "found"), [(None, "null"), ([None], "a list of 1"), (3, "a number")])
def test_a_family_that_is_no_text_is_told_as_what_it_is(family: Any, found: str) -> None:
    name = next(iter(WHOLE["models"]))
    model = WHOLE["models"][name]
    tree = {**WHOLE, "models": {**WHOLE["models"], name: {**model, "family": family}}}
    assert f"models.{name}: family must be a text; found {found}; known are " in " ".join(mistakes(tree))
    tree["models"][name] = {key: each for key, each in model.items() if key != "family"}
    assert f"models.{name}: family is missing; known are " in " ".join(mistakes(tree))


class Tagged(BaseModel):
    tags: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    name: str = Field(default="xx", min_length=2)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"tags": [""]}, "tags.0: must be a text of at least 1 character"),
        ({"tags": []}, "tags: must be a list of at least 1"),
        ({"tags": ["a"], "name": "x"}, "name: must be a text of at least 2 characters"),
    ],
)
def test_what_is_wrong_inside_a_place_is_told_alone(value: object, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Tagged.model_validate(value)
    assert told(refused.value) == says
