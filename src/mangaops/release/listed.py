"""A ranked list in the place of a label: a JSON array of its first ids, and how people read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PLACES: Final = 10
"""Places of a list that evidence keeps."""

NOTHING: Final = "(no item)"
"""What stands in a place that one list has and the other, beside it, has not."""


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


def side_by_side(listed: str, other: str) -> list[str | None]:
    """The ids of a list that is shown beside another, with as many places; None: it has no item there.

    So two lists look alike whatever their lengths: a reader judges what stands in a place.
    """
    items, beside = items_of(listed), items_of(other)
    return [*items, *[None] * (max(len(items), len(beside), 1) - len(items))]


def lines(places: Sequence[str | None], titles: Mapping[str, str]) -> str:
    """The list as people read it, a line a place: `1. Title (id)`; the id alone where it has no title."""
    return "\n".join(f"{number}. {_place(item, titles)}" for number, item in enumerate(places, 1))


def _place(item: str | None, titles: Mapping[str, str]) -> str:
    if item is None:
        return NOTHING
    title = " ".join(titles.get(item, "").split())
    return f"{title} ({item})" if title else item
