"""What happens to a text, or a pair, before and in the tokenizer: one path for training and for serving."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mangaops.inference.foreign import translated
from mangaops.inference.session import PAIR, TEXT

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

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


class PairPreprocessing(Preprocessing):
    """How a query and an item's text become the tokens of one sequence.

    The text is cut before any token of the query is, but a query has at most half of the room, so that
    there is always something to tell items apart by. The graph is told which token is whose.
    """

    takes: Literal["query and text"]
    cut: Literal["text first, query at half"] = "text first, query at half"


class _Taken(BaseModel):
    takes: Any = None


def _sealed(text: bytes) -> Preprocessing:
    """What preprocessing.json says: of pairs where it says what it takes."""
    pairs = "takes" in _Taken.model_validate_json(text).model_fields_set
    return (PairPreprocessing if pairs else Preprocessing).model_validate_json(text)


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

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of a graph that takes what is read."""
        return TEXT

    def save(self, folder: Path) -> None:
        """tokenizer.json and preprocessing.json stand in `folder`."""
        _save(folder, self._tokenizer, self.preprocessing)


class PairEncoder:
    """A query and a text to the token ids of one sequence, with special tokens and at most `max_tokens`."""

    def __init__(self, tokenizer: Tokenizer, preprocessing: PairPreprocessing) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.preprocessing = preprocessing
        self._room = preprocessing.max_tokens - tokenizer.num_special_tokens_to_add(is_pair=True)

    def query(self, text: str) -> Encoding:
        """The query's own tokens, read once for all of its pairs."""
        read = self.plain(text)
        read.truncate(max(1, self._room // 2))
        return read

    def ids(self, query: Encoding, text: str) -> tuple[list[int], list[int]]:
        """Token ids of the pair, and whose each is: 1 from the text's first token on, 0 before."""
        read = self.plain(text)
        read.truncate(self._room - len(query.ids))
        pair = self._tokenizer.post_process(query, read, add_special_tokens=True)
        if not pair.ids:
            return [0], [0]
        sides = pair.sequence_ids
        begins = sides.index(1) if 1 in sides else len(sides)
        return pair.ids, [int(place >= begins) for place in range(len(sides))]

    @property
    def tokenizer(self) -> Tokenizer:
        """What makes the tokens."""
        return self._tokenizer

    def plain(self, text: str) -> Encoding:
        """The text's own tokens, uncut and without special ones."""
        return self._tokenizer.encode(self.preprocessing.prepare(text), add_special_tokens=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of a graph that takes what is read, and how near the text is to the query."""
        return PAIR

    def save(self, folder: Path) -> None:
        """tokenizer.json and preprocessing.json stand in `folder`."""
        _save(folder, self._tokenizer, self.preprocessing)


def _save(folder: Path, tokenizer: Tokenizer, preprocessing: Preprocessing) -> None:
    tokenizer.save(str(folder / TOKENIZER), pretty=False)
    spec = preprocessing.model_dump_json(indent=1)
    (folder / PREPROCESSING).write_text(spec + "\n", encoding="utf-8")


def reading(folder: Path) -> Encoder | PairEncoder:
    """What reads texts, or pairs of query and text, as is sealed in `folder`.

    Raises:
        ArtifactTampered: tokenizer.json or preprocessing.json is missing or is not one.
        SetupError: tokenizers is not installed.
    """
    with translated(folder, f"reading {TOKENIZER} and {PREPROCESSING}"):
        from tokenizers import Tokenizer

        spec = _sealed((folder / PREPROCESSING).read_bytes())
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        if isinstance(spec, PairPreprocessing):
            return PairEncoder(tokenizer, spec)
        return Encoder(tokenizer, spec)


def encoder(folder: Path) -> Encoder:
    """The encoder of texts that is sealed in `folder`.

    Raises:
        ArtifactTampered: as `reading` does, or pairs are read there.
        SetupError: as `reading` does.
    """
    with translated(folder, f"reading {PREPROCESSING}"):
        if not isinstance(found := reading(folder), Encoder):
            raise TypeError("it reads pairs of query and text, where single texts are read")
        return found


def pair_encoder(folder: Path) -> PairEncoder:
    """The encoder of pairs that is sealed in `folder`.

    Raises:
        ArtifactTampered: as `reading` does, or single texts are read there.
        SetupError: as `reading` does.
    """
    with translated(folder, f"reading {PREPROCESSING}"):
        if not isinstance(found := reading(folder), PairEncoder):
            raise TypeError("it reads single texts, where pairs of query and text are read")
        return found
