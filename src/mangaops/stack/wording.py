"""What is wrong with a value, in our words: those of the library that checks it reach nobody."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

MISSING: Final = "missing"
UNKNOWN: Final = "extra_forbidden"
OURS: Final = "value_error"
"""The kind of what one of our own checks says."""

Mistake = Mapping[str, Any]
"""One of those that a ValidationError lists."""

_MOST: Final = 5
"""Mistakes that are told at once where nothing says in which line they are."""

_LONGEST: Final = 110
"""Characters of a value that are told."""

_NUMBER: Final = "a number"
_WHOLE: Final = "a whole number"
_TEXT: Final = "a text"
_LIST: Final = "a list"
_MAPPING: Final = "a mapping"
_SWITCH: Final = "true or false"

_ACCEPTED: Final[Mapping[str, str]] = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "greater than or equal to {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "less than or equal to {le}",
    "finite_number": "a finite number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text like {pattern}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "json_invalid": "JSON ({error})",
}
"""What would be accepted, by the kind of the mistake."""


def accepted(mistake: Mistake, keys: Iterable[str] = ()) -> str:
    """What is accepted in the place of the value, whose section has these `keys` where it is one.

    A kind that nobody foresaw says that another value is accepted.
    """
    if mistake["type"] == "model_type" and (known := ", ".join(keys)):
        return f"a mapping of {known}"
    says = _ACCEPTED.get(mistake["type"], "another value").format_map(mistake.get("ctx", {}))
    return says.replace(" 1 characters", " 1 character")


def said(mistake: Mistake, keys: Iterable[str] = ()) -> str:
    """The mistake as a sentence whose subject is the value; of our own checks what they say."""
    if mistake["type"] == OURS:
        return str(mistake["ctx"]["error"])
    return f"must be {accepted(mistake, keys)}"


def told(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first mistakes with their places; of what stands there its kind alone, never what it says.

    Where something inside a place is wrong too, that alone is told.
    With `model` a section that is none is told which keys it has.
    """
    mistakes = error.errors(include_url=False)
    inside = {each["loc"][:end] for each in mistakes for end in range(len(each["loc"]))}
    innermost = [each for each in mistakes if each["loc"] not in inside]
    return "; ".join(_place_and_mistake(each, model) for each in innermost[:_MOST])


def _place_and_mistake(mistake: Mistake, model: type[BaseModel] | None) -> str:
    loc, kind = mistake["loc"], mistake["type"]
    place = ".".join(map(str, loc)) or "the whole"
    if kind in (MISSING, UNKNOWN):
        return f"{place}: is {'missing' if kind == MISSING else 'unknown'}"
    found = f", and is {kind_of(mistake['input'])}" if kind.endswith("_type") else ""
    return f"{place}: {said(mistake, keys_at(model, loc) if model else ())}{found}"


def kind_of(value: Any) -> str:
    """What a plain value is, without what it says."""
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value):,}"
    names = {dict: _MAPPING, str: _TEXT, bool: _SWITCH}
    return names.get(type(value), _NUMBER)


def spelled(value: Any) -> str:
    """A scalar as YAML spells it (`true`, `.inf`), cut where it is long; of another value what it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    return repr(value)[:_LONGEST] if isinstance(value, (str, int, float)) else kind_of(value)


def keys_at(model: type[BaseModel], loc: Iterable[int | str]) -> list[str]:
    """Keys of the section that a location leads to; none where it leads to no section."""
    for part in loc:
        known = model.model_fields.get(str(part))
        kinds = [known.annotation, *get_args(known.annotation)] if known else []
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)
