"""Unit vectors of a catalogue, and which adapter made them: vectors.f32, ids.json, vectors.json.

`vectors.f32` is the matrix as raw little-endian float32, row after row: it is mapped and not read, so that
processes which serve the same index share its pages. It is no .npy, whose header may hold a pickle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mangaops.errors import SetupError, VectorsMismatch
from mangaops.inference.foreign import translated
from mangaops.inference.manifest import seal
from mangaops.vocabulary import DIGEST, Digest

ROWS: Final = "vectors.f32"
IDS: Final = "ids.json"
HEAD: Final = "vectors.json"
FORMAT: Final = 1
UNIT_WITHIN: Final = 1e-3
"""So far from 1 the length of a row may be: half precision on the way costs less."""

_BLOCK: Final = 65_536
_NEXT: Final = "embed the catalogue again; where that ends the same, the adapter is broken"

Matrix = NDArray[np.float32]


class _Head(BaseModel):
    """What vectors.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    rows: int = Field(ge=1)
    dimension: int = Field(ge=1)
    embedder: str
    catalogue: str


@dataclass(frozen=True, eq=False)
class Vectors:
    """Row i of `rows`, of shape (items, dimension), is the unit vector of `ids[i]`.

    `embedder` is the digest of the sealed adapter that made them, `catalogue` that of the snapshot.

    Raises:
        VectorsMismatch: a row is not finite or no unit vector, ids and rows differ in number, an id stands
            twice or is empty, there is no row, or a digest is none.
    """

    ids: tuple[str, ...]
    rows: Matrix
    embedder: Digest
    catalogue: Digest

    def __post_init__(self) -> None:
        check_rows(self.ids, self.rows)
        for name in ("embedder", "catalogue"):
            if not DIGEST.fullmatch(found := getattr(self, name)):
                raise _refused(f"{name} {found!r}", "sha256: and 64 hex digits", "name what was sealed")

    @property
    def dimension(self) -> int:
        """Numbers a vector."""
        return int(self.rows.shape[1])

    def write(self, folder: Path) -> None:
        """The three files stand in `folder`, which is there; sealing it is left to the caller."""
        head = _Head(
            format=FORMAT,
            rows=len(self.ids),
            dimension=self.dimension,
            embedder=self.embedder,
            catalogue=self.catalogue,
        )
        with (folder / ROWS).open("wb") as file:
            for start in range(0, len(self.ids), _BLOCK):
                file.write(np.ascontiguousarray(self.rows[start : start + _BLOCK], dtype="<f4").data)
        (folder / IDS).write_text(json.dumps(self.ids, ensure_ascii=False), encoding="utf-8")
        (folder / HEAD).write_text(head.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def save(self, folder: Path) -> Digest:
        """The three files stand in `folder`, sealed; returns the digest of the seal."""
        self.write(folder)
        return seal(folder)


def read_vectors(folder: Path) -> Vectors:
    """The vectors that lie in `folder`, whose seal the caller has verified; the matrix is mapped.

    Raises:
        ArtifactTampered: a file is missing, or is not what vectors.json says.
        VectorsMismatch: the rows are no unit vectors.
        SetupError: a newer mangaops wrote them.
    """
    with translated(folder, f"reading {HEAD}, {IDS} and {ROWS}"):
        said = json.loads((folder / HEAD).read_bytes())
        known_format(folder, HEAD, said, FORMAT)
        head = _Head.model_validate(said)
        ids = json.loads((folder / IDS).read_bytes())
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise ValueError(f"{IDS} is no list of texts")
        size, due = (folder / ROWS).stat().st_size, head.rows * head.dimension * 4
        if size != due or len(ids) != head.rows:
            raise ValueError(f"{size} bytes and {len(ids)} ids, where {HEAD} asks for {due} and {head.rows}")
        mapped = np.memmap(folder / ROWS, dtype="<f4", mode="r", shape=(head.rows, head.dimension))
        return Vectors(tuple(ids), mapped.view(np.ndarray), head.embedder, head.catalogue)


def known_format(folder: Path, name: str, said: object, newest: int) -> None:
    """Nothing, where this version reads the format that a file states.

    Raises:
        SetupError: a newer version wrote it.
        ValueError: it states none.
    """
    found = said.get("format") if isinstance(said, dict) else None
    if type(found) is not int or found < 1:
        raise ValueError(f"{name} states no format")
    if found > newest:
        raise SetupError(
            f"{name} of {folder.name} was refused: a newer version of mangaops wrote it",
            found=f"format {found}",
            accepted=f"formats up to {newest}",
            next_step="install that version of mangaops, or build the index again with this one",
        )


def check_rows(ids: Sequence[str], rows: Matrix, dimension: int | None = None) -> None:
    """Nothing, where each id has one unit vector of float32, and of that dimension where one is asked for.

    Raises:
        VectorsMismatch: says which row of which item is wrong, and how.
    """
    if rows.ndim != 2 or rows.dtype != np.float32 or not rows.size:
        raise _refused(
            f"{rows.dtype} of shape {rows.shape}", "float32 of shape (items, dimension), not empty"
        )
    if dimension is not None and rows.shape[1] != dimension:
        raise _refused(f"dimension {rows.shape[1]}", f"dimension {dimension}")
    if len(ids) != len(rows):
        raise _refused(f"{len(ids)} ids for {len(rows)} rows", "one id a row")
    if (twice := _twice(ids)) is not None:
        raise _refused(f"the id {twice!r} stands twice or is empty", "each id once", "mend the catalogue")
    for start, lengths in _lengths(rows):
        wrong = np.flatnonzero(~(np.abs(lengths - 1.0) <= UNIT_WITHIN))
        if wrong.size:
            at = int(wrong[0])
            found = f"the vector of {ids[start + at]!r} has length {lengths[at]:.6g}"
            raise _refused(found, f"unit vectors of finite numbers, to within {UNIT_WITHIN}")


def _lengths(rows: Matrix) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The length of each row, block by block; NaN or infinite where a number of it is."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        yield start, np.sqrt(np.einsum("ij,ij->i", block, block).astype(np.float64))


def _twice(ids: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for each in ids:
        if not each or each in seen:
            return each
        seen.add(each)
    return None


def _refused(found: str, accepted: str, next_step: str = _NEXT) -> VectorsMismatch:
    return VectorsMismatch(
        "the vectors were refused: they are none that an index can search",
        found=found,
        accepted=accepted,
        next_step=next_step,
    )
