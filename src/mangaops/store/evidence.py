"""Evidence by its digest: the facts as JSON, and one Parquet file a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.errors import IntegrityError
from mangaops.evidence import Binding, Evidence
from mangaops.store.foreign import file_errors
from mangaops.store.remote import open_bundles
from mangaops.vocabulary import Digest, EvidenceKind

_FACTS: Final = "evidence.json"


class EvidenceStore:
    """Frozen reports, facts and tables."""

    def __init__(self, root: str | Path, *, cache: Path | None = None) -> None:
        """`root` is a folder or an fsspec URL; what lies elsewhere is read through `cache`."""
        self._bundles = open_bundles(root, cache)

    def put(self, evidence: Evidence) -> Digest:
        """The evidence is stored and was read back equal; what is stored already stands once.

        It stands as it was written first: another library version may write the same values in other bytes.

        Raises:
            IntegrityError: facts or tables do not survive storing (keys of a fact that are no text, say), or
                what is stored under their digest was edited since.
            SetupError: the disk is full or read-only.
        """
        digest = evidence.digest
        if self._bundles.has(digest):
            return self.get(digest).digest
        with file_errors(f"storing evidence {digest} was refused"), self._bundles.staging() as staged:
            _write(staged, evidence)
            if _read(staged, digest).digest != digest:
                raise _edited(digest, f"{evidence.kind} evidence that reads back differently")
            self._bundles.commit(staged, digest)
        return digest

    def get(self, digest: Digest) -> Evidence:
        """The evidence, exactly as it was put.

        Raises:
            IntegrityError: none is stored under the digest, or it was edited since.
        """
        folder = self._bundles.path(digest)
        with file_errors(f"reading evidence {digest} was refused"):
            evidence = _read(folder, digest)
        if evidence.digest != digest:
            raise _edited(digest, f"{evidence.kind} evidence of digest {evidence.digest} in {folder}")
        return evidence

    def has(self, digest: Digest) -> bool:
        """Whether the evidence is stored."""
        return self._bundles.has(digest)


def _write(folder: Path, evidence: Evidence) -> None:
    head = {
        "kind": str(evidence.kind),
        "binding": vars(evidence.binding),
        "facts": evidence.facts,
        "tables": sorted(evidence.tables),
    }
    text = json.dumps(head, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / _FACTS).write_text(text + "\n", encoding="utf-8")
    for name, table in evidence.tables.items():
        table.write_parquet(folder / f"{name}.parquet")


def _read(folder: Path, digest: Digest) -> Evidence:
    try:
        head: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        tables = {name: pl.read_parquet(folder / f"{name}.parquet") for name in head["tables"]}
        kind, binding = EvidenceKind(head["kind"]), Binding(**head["binding"])
        return Evidence(kind, binding, head["facts"], tables)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise _edited(digest, f"{folder} cannot be read: {error}") from error


def _edited(digest: Digest, found: str) -> IntegrityError:
    return IntegrityError(
        f"evidence {digest} was refused: it is not what was stored",
        found=found,
        accepted="facts and tables as they were measured",
        next_step="restore the store from its backup, or run again with the same data and --again KIND",
    )
