"""Chunks of embedded texts by the digest of what went into them: kept once, found again by who resumes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import IntegrityError
from mangaops.store.bundles import write_files
from mangaops.store.foreign import file_errors
from mangaops.store.remote import open_bundles
from mangaops.vocabulary import Digest

_ROWS: Final = "rows.f32"
_HEAD: Final = "rows.json"

Rows = NDArray[np.float32]


class EmbeddedChunks:
    """Matrices of float32 by key. A chunk is there whole or not at all, and never changes."""

    def __init__(self, root: str | Path, *, cache: Path | None = None) -> None:
        """`root` is a folder or an fsspec URL; what lies elsewhere is read through `cache`."""
        self._bundles = open_bundles(root, cache)

    def put(self, key: Digest, rows: Rows) -> None:
        """The chunk is stored, whole and on disk; one that is stored already stands.

        Raises:
            SetupError: the disk is full or read-only.
        """
        if self._bundles.has(key):
            return
        content = np.ascontiguousarray(rows, dtype="<f4").tobytes()
        head = {"shape": list(rows.shape), "digest": _digest(content)}
        with file_errors(f"storing the chunk {key} was refused"), self._bundles.staging() as staged:
            write_files(staged, {_ROWS: content, _HEAD: json.dumps(head).encode()})
            self._bundles.commit(staged, key)

    def get(self, key: Digest) -> Rows | None:
        """The chunk, exactly as it was put; None where there is none.

        Raises:
            IntegrityError: it was edited since.
        """
        if not self._bundles.has(key):
            return None
        folder = self._bundles.path(key)
        try:
            with file_errors(f"reading the chunk {key} was refused"):
                content = (folder / _ROWS).read_bytes()
                head = json.loads((folder / _HEAD).read_bytes())
            rows: Rows = np.frombuffer(content, dtype="<f4").reshape(head["shape"])
            stated = head["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise _edited(key, f"{folder} cannot be read: {error}") from error
        if _digest(content) != stated:
            raise _edited(key, f"other numbers in {folder}")
        return rows

    def forget(self, key: Digest) -> None:
        """The chunk is not stored, also where it never was; it can be stored again."""
        self._bundles.forget(key)


def _digest(content: bytes) -> Digest:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _edited(key: Digest, found: str) -> IntegrityError:
    return IntegrityError(
        f"the chunk {key} was refused: it is not what was stored",
        found=found,
        accepted="vectors as they were embedded",
        next_step="remove that folder and run the command again: only this chunk is embedded anew",
    )
