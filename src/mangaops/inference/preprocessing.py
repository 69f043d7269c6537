"""What happens to a text before and in the tokenizer: one code path for training and for serving."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mangaops.inference.foreign import translated

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPROCESSING: Final = "preprocessing.json"
TOKENIZER: Final = "tokenizer.json"


class Preprocessing(BaseModel):
    """How a text becomes tokens; sealed as preprocessing.json and part of the fingerprint.

    `lower_case: tokenizer` leaves letter case to the tokenizer of the base model. Texts are cut at
    `max_characters` before they are normalised, so that a megabyte costs no more than a page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unicode: Literal["NFKC"] = "NFKC"
    whitespace: Literal["collapse"] = "collapse"
    lower_case: Literal["tokenizer"] = "tokenizer"
    special_tokens: Literal["as text"] = "as text"
    max_tokens: int = Field(default=64, ge=4, le=512)
    max_characters: int = Field(default=4096, ge=64)

    def prepare(self, text: str) -> str:
        """The text in NFKC with single spaces, no NUL and no lone surrogates; possibly empty."""
        spaced = " ".join(_whole(text).replace("\0", " ").split())[: self.max_characters]
        if spaced.isascii():
            return spaced
        return " ".join(unicodedata.normalize(self.unicode, spaced).split())


def _whole(text: str) -> str:
    """Surrogate pairs joined, and lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Encoder:
    """Text to token ids, with the special tokens of the base model and at most `max_tokens` of them."""

    def __init__(self, tokenizer: Tokenizer, preprocessing: Preprocessing) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(preprocessing.max_tokens)
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.preprocessing = preprocessing

    def ids(self, text: str) -> list[int]:
        """Token ids of any text, at least one; a user's "[SEP]" is text, not a special token.

        A tokenizer that adds no special tokens would give none for the empty text: it becomes token 0.
        """
        ids: list[int] = self._tokenizer.encode(self.preprocessing.prepare(text)).ids
        return ids or [0]

    def save(self, folder: Path) -> None:
        """tokenizer.json and preprocessing.json stand in `folder`."""
        self._tokenizer.save(str(folder / TOKENIZER), pretty=False)
        spec = self.preprocessing.model_dump_json(indent=1)
        (folder / PREPROCESSING).write_text(spec + "\n", encoding="utf-8")


def encoder(folder: Path) -> Encoder:
    """The encoder that is sealed in `folder`.

    Raises:
        ArtifactTampered: tokenizer.json or preprocessing.json is missing or is not one.
        SetupError: tokenizers is not installed.
    """
    with translated(folder, f"reading {TOKENIZER} and {PREPROCESSING}"):
        from tokenizers import Tokenizer

        spec = Preprocessing.model_validate_json((folder / PREPROCESSING).read_bytes())
        return Encoder(Tokenizer.from_file(str(folder / TOKENIZER)), spec)
