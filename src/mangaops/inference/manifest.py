"""The seal of an artifact: SHA-256 of each file and one digest over all, in MANIFEST.json."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final

from mangaops.errors import ArtifactTampered
from mangaops.vocabulary import Digest

MANIFEST: Final = "MANIFEST.json"
_SCHEMA: Final = 1
_PICKLED: Final = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt", ".npy"})
_NEXT: Final = "restore the folder from the artifact store, or roll back to a release that still verifies"


def seal(folder: Path) -> Digest:
    """MANIFEST.json stands in `folder`, on disk, and lists every file of it; returns the digest over all.

    The digest is that of the file list, so equal files give an equal digest wherever the folder lies.

    Raises:
        ArtifactTampered: the folder is empty or holds something that is not a plain file.
    """
    temporary = folder / f"{MANIFEST}.tmp"
    temporary.unlink(missing_ok=True)
    files = _hashes(folder)
    if not files:
        raise _tampered(folder, "the folder holds no files")
    digest = _digest(files)
    text = json.dumps({"schema": _SCHEMA, "digest": digest, "files": files}, indent=1, sort_keys=True)
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(folder / MANIFEST)
    return digest


def verify(folder: Path) -> Digest:
    """The digest of a folder whose files are exactly those that were sealed.

    Raises:
        ArtifactTampered: no manifest, a manifest that is not one, or a file missing, extra or changed.
    """
    listed = _read(folder)
    present = _hashes(folder)
    for name in sorted(listed.keys() | present.keys()):
        if name not in present:
            raise _tampered(folder, f"{name} is missing")
        if name not in listed:
            raise _tampered(folder, f"{name} is not in the manifest")
        if listed[name] != present[name]:
            raise _tampered(folder, f"{name} is changed: {present[name]} instead of {listed[name]}")
    return _digest(present)


def _read(folder: Path) -> dict[str, str]:
    try:
        body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, digest = {str(k): str(v) for k, v in body["files"].items()}, body["digest"]
    except FileNotFoundError as error:
        raise _tampered(folder, f"{MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _tampered(folder, f"{MANIFEST} cannot be read: {error}") from error
    if digest != _digest(files):
        raise _tampered(folder, f"{MANIFEST} is changed: its digest is not that of its list")
    return files


def _hashes(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _tampered(folder, f"{name} is not a plain file")
        if path.suffix.lower() in _PICKLED:
            raise _tampered(folder, f"{name} may hold a pickle, which runs code when it is read")
        if path.is_file() and name != MANIFEST:
            found[name] = file_digest(path)
    return found


def file_digest(path: Path) -> Digest:
    """SHA-256 of one file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: dict[str, str]) -> Digest:
    text = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _tampered(folder: Path, found: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"the artifact {folder.name} was refused: it is not as it was sealed",
        found=found,
        accepted=f"exactly the files that {MANIFEST} lists, unchanged",
        next_step=_NEXT,
    )
