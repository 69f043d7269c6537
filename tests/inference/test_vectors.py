"""Vectors are what they claim to be when they are made and when they are read, or they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from vector_world import ADAPTER, CATALOGUE, clustered, vectors

from mangaops.errors import ArtifactTampered, SetupError, VectorsMismatch
from mangaops.inference.manifest import verify
from mangaops.inference.vectors import HEAD, IDS, ROWS, Vectors, check_rows, read_vectors


def test_what_was_saved_is_read_again_and_mapped(tmp_path: Path) -> None:
    rows = clustered(50)
    made = Vectors(tuple(f"巻-{number}" for number in range(50)), rows, ADAPTER, CATALOGUE)
    assert made.save(tmp_path) == verify(tmp_path)
    found = read_vectors(tmp_path)
    assert (found.ids, found.embedder, found.catalogue) == (made.ids, ADAPTER, CATALOGUE)
    assert np.array_equal(found.rows, rows)
    assert not found.rows.flags.owndata
    assert not found.rows.flags.writeable


def test_rows_are_saved_in_order_whatever_their_layout(tmp_path: Path) -> None:
    rows = np.asfortranarray(clustered(30))
    vectors(rows).save(tmp_path)
    assert np.array_equal(read_vectors(tmp_path).rows, rows)


def _with(rows: np.ndarray, at: int, value: float) -> np.ndarray:
    changed = rows.copy()
    changed[at, 0] = value
    return changed


ROWS_OF = clustered(10)


@pytest.mark.parametrize(
    ("ids", "rows", "named"),
    [
        ("abcdefghij", _with(ROWS_OF, 3, np.nan), "the vector of 'd' has length nan"),
        ("abcdefghij", _with(ROWS_OF, 4, np.inf), "the vector of 'e' has length inf"),
        ("abcdefghij", ROWS_OF * np.float32(1.01), "length 1.01"),
        ("abcdefghij", np.zeros((10, 16), np.float32), "length 0"),
        ("abcdefghii", ROWS_OF, "'i' stands twice"),
        (["", *"bcdefghij"], ROWS_OF, "'' stands twice or is empty"),
        ("abc", ROWS_OF, "3 ids for 10 rows"),
        ("abcdefghij", ROWS_OF.astype(np.float64), "float64"),
        ("abcdefghij", ROWS_OF[0], "shape"),
        ("", np.empty((0, 16), np.float32), "shape"),
    ],
)
def test_what_no_index_could_search_is_refused_by_name(ids, rows, named: str) -> None:
    with pytest.raises(VectorsMismatch, match=named):
        Vectors(tuple(ids), rows, ADAPTER, CATALOGUE)


def test_rows_of_half_precision_and_of_the_right_dimension_are_let_through() -> None:
    rows = ROWS_OF.astype(np.float16).astype(np.float32)
    check_rows(tuple("abcdefghij"), rows, 16)
    with pytest.raises(VectorsMismatch, match="dimension 16"):
        check_rows(tuple("abcdefghij"), rows, 384)


@pytest.mark.parametrize("which", ["embedder", "catalogue"])
def test_who_made_them_and_of_what_is_named_by_digest(which: str) -> None:
    named = {"embedder": ADAPTER, "catalogue": CATALOGUE, which: "embedding-adapter@v3"}
    with pytest.raises(VectorsMismatch, match=which):
        Vectors(tuple("abcdefghij"), ROWS_OF, **named)


@pytest.mark.parametrize("file", [HEAD, IDS, ROWS])
@pytest.mark.parametrize("junk", [b"", b"\x00\xff", b"[1, 2]", b'{"format": 1}'])
def test_junk_in_any_file_is_one_error_that_names_the_file(tmp_path: Path, file: str, junk: bytes) -> None:
    vectors(clustered(20)).write(tmp_path)
    (tmp_path / file).write_bytes(junk)
    with pytest.raises(ArtifactTampered) as caught:
        read_vectors(tmp_path)
    assert file in caught.value.refused


def test_a_missing_file_is_refused_too(tmp_path: Path) -> None:
    vectors(clustered(20)).write(tmp_path)
    (tmp_path / ROWS).unlink()
    with pytest.raises(ArtifactTampered, match=ROWS):
        read_vectors(tmp_path)


def test_a_format_of_a_newer_version_is_told_apart_from_damage(tmp_path: Path) -> None:
    vectors(clustered(20)).write(tmp_path)
    said = json.loads((tmp_path / HEAD).read_text())
    (tmp_path / HEAD).write_text(json.dumps({**said, "format": 2, "scale": "int8"}))
    with pytest.raises(SetupError, match="newer version of mangaops") as caught:
        read_vectors(tmp_path)
    assert (caught.value.found, caught.value.accepted) == ("format 2", "formats up to 1")
