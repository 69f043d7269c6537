"""A ranked list in the place of a label: a JSON array of its first ids, and how people read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PLACES: Final = 10
"""Places of a list that evidence keeps."""

NOTHING: Final = "(nothing found)"


def as_list(items: Sequence[str]) -> str:
    """The first `PLACES` ids as the JSON array that stands in a label's place: `["i7","i3"]`."""
    return json.dumps(list(items[:PLACES]), ensure_ascii=False, separators=(",", ":"))


def items_of(listed: str) -> list[str]:
    """The ids of such an array, best first."""
    return [str(item) for item in json.loads(listed)]


def limits(options: object) -> str:
    """What a search was limited to, as people read it: `in stock; genres: drama or comedy; 5 items`.

    `options` as logs hold them: JSON, or null. Empty where every item could be found and `PLACES` or more
    were asked for: nobody is shown more.
    """
    asked = json.loads(str(options)) if options else {}
    told = [_limit(name.replace("_", " "), value) for name, value in asked.get("filters", {}).items()]
    k = asked.get("k", PLACES)
    return "; ".join(told if k >= PLACES else [*told, f"{k} item{'s' * (k > 1)}"])


def _limit(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, list):
        return f"{name}: {' or '.join(map(str, value))}"
    return f"{name} {_price(value)}"


def _price(value: float) -> str:
    """`123,456.75`: no more decimals than the two of a price, and none where they are zeros."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def lines(listed: str, titles: Mapping[str, str]) -> str:
    """The list as people read it, a line a place: `1. Title (id)`; the id alone where it has no title."""
    named = [(item, " ".join(titles.get(item, "").split())) for item in items_of(listed)]
    told = [f"{title} ({item})" if title else item for item, title in named]
    return "\n".join(f"{place}. {each}" for place, each in enumerate(told, 1)) or NOTHING
