"""Chunks of vectors are there whole or not at all, and read as they were put."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mangaops.errors import IntegrityError
from mangaops.store import EmbeddedChunks

KEY, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_chunk_reads_as_it_was_put_and_the_first_stands(tmp_path: Path, where: str) -> None:
    root = tmp_path / "chunks" if where == "folder" else f"memory://{tmp_path.name}"
    chunks = EmbeddedChunks(root, cache=tmp_path / "cache")
    assert chunks.get(KEY) is None
    chunks.put(KEY, np.asfortranarray(ROWS))
    chunks.put(KEY, ROWS + 1)
    found = chunks.get(KEY)
    assert found is not None
    assert (found.dtype, found.tolist()) == (np.float32, ROWS.tolist())
    assert chunks.get(OTHER) is None
    chunks.forget(KEY)
    assert chunks.get(KEY) is None


@pytest.mark.parametrize("file", ["rows.f32", "rows.json"])
@pytest.mark.parametrize("junk", [b"", b"[]", b"\x00" * 48, b"\xff{"])
def test_an_edited_chunk_is_refused(tmp_path: Path, file: str, junk: bytes) -> None:
    chunks = EmbeddedChunks(tmp_path)
    chunks.put(KEY, ROWS)
    (file_of,) = tmp_path.rglob(file)
    file_of.write_bytes(junk)
    with pytest.raises(IntegrityError, match="not what was stored"):
        chunks.get(KEY)
