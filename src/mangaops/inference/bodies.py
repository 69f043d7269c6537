"""What clients ask of each family, and what it says: the bodies of `POST /v1/<path>`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from mangaops.inference.filters import Filters

SHOWN: Final = 10
"""Places of a list that an answer has where nobody asks for more or fewer."""

MOST_SHOWN: Final = 100
"""Places of a list that may be asked for."""

_MOST_ITEMS: Final = f"Items at most; {SHOWN} where it is null or left out."

_ID = Annotated[str, Field(max_length=200)]


class Asking(BaseModel):
    """A request: words, which stand in the field `words_in`, and where known their conversation and user.

    `shorter` is what to do where the words are too many.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    words_in: ClassVar[str]
    shorter: ClassVar[str]

    conversation_id: _ID | None = None
    user_id: _ID | None = None

    @property
    def words(self) -> str:
        """What the user said."""
        return str(getattr(self, self.words_in))

    def options(self) -> dict[str, Any]:
        """What is asked beside the words, as JSON values."""
        return {}


class TextAsked(Asking):
    """A text, and where known its conversation and user."""

    words_in = "text"
    shorter = "send the last part of the conversation"

    text: Annotated[str, Field(description="What the user said; the empty text is answered too.")]


class SearchAsked(Asking):
    """What is searched for, how many items are wanted, and of which."""

    words_in = "query"
    shorter = "send the words that say what is looked for"

    query: Annotated[str, Field(description="What the user looks for; the empty query is answered too.")]
    k: Annotated[int | None, Field(ge=1, le=MOST_SHOWN, strict=True, description=_MOST_ITEMS)] = None
    filters: Filters | None = None

    def options(self) -> dict[str, Any]:
        """How many, and of which; null is the same as left out."""
        filters = self.filters.asked() if self.filters else {}
        return {"k": SHOWN if self.k is None else self.k, "filters": filters}


class RouteSaid(BaseModel):
    """An intent, null where no release serves; how sure it is; what to do."""

    intent: str | None
    confidence: float
    action: str | None


class ItemSaid(BaseModel):
    """One found item. Scores of one answer may be compared, those of two answers not."""

    item_id: str
    title: str
    score: float


class SearchSaid(BaseModel):
    """Items, the best first, and the number of the last change of the catalogue that they are from."""

    items: list[ItemSaid]
    catalogue_generation: int
