"""Dataset snapshots by the digest of their tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.errors import IntegrityError
from mangaops.evidence.envelope import tables_digest
from mangaops.store.foreign import file_errors
from mangaops.store.remote import open_bundles
from mangaops.vocabulary import Digest

_MANIFEST: Final = "manifest.json"
_ROWS: Final = "rows"


class Snapshots:
    """Tables with their manifest. Equal tables are one snapshot, and the manifest that came first stays."""

    def __init__(self, root: str | Path, *, cache: Path | None = None) -> None:
        """`root` is a folder or an fsspec URL; what lies elsewhere is read through `cache`."""
        self._bundles = open_bundles(root, cache)

    def put(self, manifest: Mapping[str, Any], rows: pl.DataFrame) -> Digest:
        """The snapshot of one table is stored; the digest is `table_digest(rows)`.

        Raises:
            SetupError: the disk is full or read-only.
        """
        return self.put_tables(manifest, {_ROWS: rows})

    def get(self, digest: Digest) -> tuple[dict[str, Any], pl.DataFrame]:
        """Manifest and rows, exactly as they were put.

        Raises:
            IntegrityError: none is stored under the digest, it has other tables, or it was edited since.
        """
        manifest, tables = self.get_tables(digest)
        if list(tables) != [_ROWS]:
            raise _edited(digest, f"the tables {', '.join(tables)} in the place of rows")
        return manifest, tables[_ROWS]

    def put_tables(self, manifest: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> Digest:
        """The snapshot is stored; the digest is `tables_digest(tables)`. `manifest` holds JSON values.

        Raises:
            SetupError: the disk is full or read-only.
        """
        digest = tables_digest(tables)
        if self._bundles.has(digest):
            return digest
        with file_errors(f"storing snapshot {digest} was refused"), self._bundles.staging() as staged:
            text = _text(manifest)
            sealed = {"manifest": json.loads(text), "digest": _digest(text)}
            (staged / _MANIFEST).write_text(
                json.dumps(sealed, indent=1, ensure_ascii=False), encoding="utf-8"
            )
            for name, frame in tables.items():
                frame.write_parquet(staged / f"{name}.parquet")
            self._bundles.commit(staged, digest)
        return digest

    def get_tables(self, digest: Digest) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
        """Manifest and tables by name, exactly as they were put.

        Raises:
            IntegrityError: none is stored under the digest, or it was edited since.
        """
        folder = self._bundles.path(digest)
        try:
            with file_errors(f"reading snapshot {digest} was refused"):
                sealed = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
                tables = {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
            manifest: dict[str, Any] = sealed["manifest"]
            untouched = _digest(_text(manifest)) == sealed["digest"]
        except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise _edited(digest, f"{folder} cannot be read: {error}") from error
        if not untouched:
            raise _edited(digest, f"a manifest in {folder} that was edited")
        if (found := tables_digest(tables)) != digest:
            raise _edited(digest, f"rows in {folder} of digest {found}")
        return manifest, tables

    def rows(self, digest: Digest) -> dict[str, int]:
        """How many rows each table of a snapshot of several has, as its manifest tells; no table is read.

        Raises:
            IntegrityError: none is stored under the digest, or its manifest cannot be read.
        """
        folder = self._bundles.path(digest)
        try:
            with file_errors(f"reading snapshot {digest} was refused"):
                sealed = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            return dict(sealed["manifest"]["rows"])
        except (ValueError, KeyError, TypeError) as error:
            raise _edited(digest, f"{folder} cannot be read: {error}") from error

    def has(self, digest: Digest) -> bool:
        """Whether the snapshot is stored."""
        return self._bundles.has(digest)


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(
        dict(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _digest(text: str) -> Digest:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _edited(digest: Digest, found: str) -> IntegrityError:
    return IntegrityError(
        f"snapshot {digest} was refused: it is not what was stored",
        found=found,
        accepted="rows and manifest as they were frozen",
        next_step="restore the store from its backup, or make the snapshot again: mangaops data snapshot",
    )
