"""Documents (decisions, reports, error reviews) by the digest of their bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from mangaops.errors import IntegrityError, UsageError
from mangaops.store.bundles import write_files
from mangaops.store.foreign import file_errors
from mangaops.store.remote import open_bundles
from mangaops.vocabulary import Digest

_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,10}")
_NAME: Final = "document"


class Documents:
    """Bytes, and the suffix that says what they are."""

    def __init__(self, root: str | Path, *, cache: Path | None = None) -> None:
        """`root` is a folder or an fsspec URL; what lies elsewhere is read through `cache`."""
        self._bundles = open_bundles(root, cache)

    def put(self, content: bytes, suffix: str) -> Digest:
        """The bytes are stored; equal bytes are one document, and the suffix that came first stays.

        Raises:
            UsageError: the suffix is not like `.html`.
            SetupError: the disk is full or read-only.
        """
        if not _SUFFIX.fullmatch(suffix):
            raise UsageError(
                "a document was refused", found=f"suffix {suffix!r}", accepted=".html, .md, .json"
            )
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self._bundles.has(digest):
            return digest
        with file_errors(f"storing document {digest} was refused"), self._bundles.staging() as staged:
            write_files(staged, {_NAME + suffix: content})
            self._bundles.commit(staged, digest)
        return digest

    def get(self, digest: Digest) -> bytes:
        """The bytes, exactly as they were put.

        Raises:
            IntegrityError: none are stored under the digest, or they were edited since.
        """
        path = self.path(digest)
        with file_errors(f"reading document {digest} was refused"):
            content = path.read_bytes()
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise IntegrityError(
                f"document {digest} was refused: it is not what was stored",
                found=f"other bytes in {path}",
                next_step="restore the store from its backup",
            )
        return content

    def path(self, digest: Digest) -> Path:
        """A local file with the document, for a person to open; its content is not checked."""
        found = sorted(self._bundles.path(digest).glob(f"{_NAME}.*"))
        if not found:
            raise IntegrityError(f"document {digest} was refused: its file is gone")
        return found[0]
