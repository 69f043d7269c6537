"""Sealed artifacts by the digest of their files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

from mangaops.errors import ArtifactTampered
from mangaops.store.bundles import file_hashes
from mangaops.store.foreign import file_errors
from mangaops.store.remote import open_bundles
from mangaops.store.silence import SILENCE
from mangaops.vocabulary import Digest

MANIFEST: Final = "MANIFEST.json"


class Artifacts:
    """Sealed folders; the digest is the one that the seal in MANIFEST.json states."""

    def __init__(self, root: str | Path, *, cache: Path | None = None, silence: float = SILENCE) -> None:
        """`root` is a folder or an fsspec URL; what lies elsewhere is read through `cache`.

        `silence`: seconds without a byte after which a store that lies elsewhere is taken to be gone.
        """
        self._bundles = open_bundles(root, cache, silence)

    def put(self, folder: Path) -> Digest:
        """The folder is stored, whole and on disk; a folder that is stored already stands once.

        Raises:
            ArtifactTampered: the folder has no seal, or its files are not those that were sealed.
            SetupError: the disk is full or read-only.
        """
        with file_errors(f"storing {folder} was refused"), self._bundles.staging() as staged:
            if not folder.is_dir():
                raise _refused(str(folder), "no such folder")
            shutil.copytree(folder, staged, dirs_exist_ok=True, symlinks=True)
            digest = _sealed_digest(staged, str(folder))
            self._bundles.commit(staged, digest)
        return digest

    def open(self, digest: Digest) -> Path:
        """A local folder with exactly the sealed files; read it, never write to it.

        Raises:
            IntegrityError: no such artifact is stored.
            SetupError: the store cannot be reached, or sends nothing any more.
            ArtifactTampered: its files are not those that were sealed.
        """
        folder = self._bundles.path(digest)
        found = _sealed_digest(folder, digest)
        if found != digest:
            raise _refused(digest, f"files of digest {found}")
        return folder

    def has(self, digest: Digest) -> bool:
        """Whether the artifact is stored."""
        return self._bundles.has(digest)

    def forget(self, digest: Digest) -> None:
        """The artifact is not stored, also where it never was; it can be stored again.

        Raises:
            SetupError: the store cannot be written.
        """
        self._bundles.forget(digest)

    def digests(self) -> list[Digest]:
        """Every stored artifact, sorted."""
        return self._bundles.digests()


def _sealed_digest(folder: Path, name: str) -> Digest:
    hashes = file_hashes(folder)
    if hashes.pop(MANIFEST, None) is None:
        raise _refused(name, f"no {MANIFEST}: the folder was never sealed")
    try:
        stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(name, f"{MANIFEST} cannot be read: {error}") from error
    wrong = sorted(n for n in hashes.keys() | set(stated) if hashes.get(n) != stated.get(n))
    if wrong:
        raise _refused(name, f"{', '.join(wrong)} missing, extra or changed")
    text = json.dumps(hashes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _refused(name: str, found: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"the artifact {name} was refused: it is not as it was sealed",
        found=found,
        accepted=f"exactly the files that {MANIFEST} lists, unchanged",
        next_step="restore the store from its backup, roll back to a release that verifies, or train again",
    )
