"""The catalogue that an index is of: what models read of each item, and what a search may filter by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from mangaops.inference.foreign import translated
from mangaops.inference.vectors import known_format
from mangaops.vocabulary import Digest

CATALOGUE: Final = "catalogue.json"
FORMAT: Final = 1

READ: Final = ("title", "genres", "tags", "synopsis")
"""The columns that models read, in this order."""

Item = Mapping[str, Any]
"""The columns of one item as JSON values, without its id; an absent one is null or left out."""


def reading(item: Item) -> str:
    """What models read of an item: title, genres, tags and synopsis, those that it has."""
    told = (str(item.get(name) or "").strip() for name in READ)
    return ". ".join(part for part in told if part)


class ItemDelta(Protocol):
    """One delta of a catalogue as its log has it: items that are new or changed, and ids that are gone."""

    @property
    def number(self) -> int:
        """One more than that of the delta before it."""

    @property
    def added(self) -> Mapping[str, Item]:
        """Items by id."""

    @property
    def removed(self) -> Sequence[str]:
        """Ids."""

    @property
    def hash(self) -> Digest:
        """That of all deltas up to this one, empty where nobody knows it."""


class _Sealed(BaseModel):
    """What catalogue.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    name: str
    digest: str
    generation: int = Field(ge=0)
    hash: str | None = None
    items: dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items of a dataset version by id, and the number of the last delta that is among them.

    `name` is that of the data, under which its delta log is kept; `digest` is that of the items' table.
    `hash` is that of the delta `generation` in the log, None where there is none or it was not sealed.
    """

    name: str
    digest: Digest
    generation: int
    items: Mapping[str, Item]
    hash: Digest | None = None

    def write(self, folder: Path) -> None:
        """catalogue.json stands in `folder`, which is there; sealing it is left to the caller."""
        said = _Sealed(
            format=FORMAT,
            name=self.name,
            digest=self.digest,
            generation=self.generation,
            hash=self.hash,
            items={each: dict(item) for each, item in self.items.items()},
        )
        text = json.dumps(said.model_dump(), ensure_ascii=False, separators=(",", ":"))
        (folder / CATALOGUE).write_text(text + "\n", encoding="utf-8")


def read_catalogue(folder: Path) -> Catalogue:
    """The catalogue that lies in `folder`, whose seal the caller has verified.

    Raises:
        ArtifactTampered: the file is missing or unreadable.
        SetupError: a newer mangaops wrote it.
    """
    with translated(folder, f"reading {CATALOGUE}"):
        said = json.loads((folder / CATALOGUE).read_bytes())
        known_format(folder, CATALOGUE, said, FORMAT)
        sealed = _Sealed.model_validate(said)
    return Catalogue(sealed.name, sealed.digest, sealed.generation, sealed.items, sealed.hash)
