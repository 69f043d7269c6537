"""What a search may be limited to, and which items that lets through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_PRICE = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
_WORDS = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
                   Field(min_length=1, max_length=50)]  # fmt: skip


def _true(value: object) -> object:
    """1 is equal to true, and no true."""
    if value is not True:
        raise ValueError("must be true, or left out")
    return value


class Filters(BaseModel):
    """An item passes where all that is asked for holds of it; of several words one is enough.

    Words are compared without regard to capitals. An item that lacks what is asked about does not pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    price_at_least: _PRICE | None = None
    price_at_most: _PRICE | None = None
    in_stock: Annotated[Literal[True], BeforeValidator(_true)] | None = None
    languages: _WORDS | None = None
    age_ratings: _WORDS | None = None
    genres: _WORDS | None = None
    tags: _WORDS | None = None

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        if (self.price_at_least or 0.0) > (
            float("inf") if self.price_at_most is None else self.price_at_most
        ):
            raise ValueError("price_at_least is over price_at_most")
        return self

    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON values; nothing where every item passes."""
        return self.model_dump(mode="json", exclude_none=True)

    def lets(self, item: Mapping[str, Any]) -> bool:
        """Whether the item passes."""
        return self._affordable(item) and all(
            not wanted.isdisjoint(_folded(_listed(item.get(column)))) for column, wanted in self._wanted
        )

    def _affordable(self, item: Mapping[str, Any]) -> bool:
        price, stock = _number(item.get("price")), _number(item.get("stock"))
        return (
            (self.price_at_least is None or (price is not None and price >= self.price_at_least))
            and (self.price_at_most is None or (price is not None and price <= self.price_at_most))
            and (self.in_stock is None or (stock is not None and stock > 0))
        )

    @cached_property
    def _wanted(self) -> tuple[tuple[str, frozenset[str]], ...]:
        asked = {
            "language": self.languages,
            "age_rating": self.age_ratings,
            "genres": self.genres,
            "tags": self.tags,
        }
        return tuple((column, _folded(words)) for column, words in asked.items() if words)


def _folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in words)


def _listed(value: object) -> list[str]:
    """The words of a column, which are joined by commas; one alone, too."""
    return [] if value is None else str(value).split(",")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
