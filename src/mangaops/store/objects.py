"""Whole files under a root, be it a folder or whatever else fsspec reaches: put once, listed, read."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from mangaops.errors import IntegrityError
from mangaops.store.addresses import without_credentials
from mangaops.store.bundles import make_folder, sync_folder
from mangaops.store.foreign import file_errors, object_errors
from mangaops.store.silence import SILENCE, awaited, write

_LOCAL: Final = ("file://", "local://")
_WRITING: Final = ".writing"


class Objects(Protocol):
    """Files by name; a name is a path with `/`, relative to the root."""

    def put(self, name: str, content: bytes) -> None:
        """The file stands, whole and on disk; one of that name is replaced in one step."""

    def names(self, folder: str, ending: str) -> list[str]:
        """The names of all files under a folder that end so, sorted; none where there is no folder."""

    def frames(self, names: Sequence[str]) -> list[pl.LazyFrame]:
        """The rows of each Parquet file."""

    def remove(self, name: str) -> None:
        """The file is not there, also where it never was."""


def open_objects(root: str | Path, silence: float = SILENCE) -> Objects:
    """The files under a folder or an fsspec URL; `silence`: as with `open_bundles`, of what is written.

    Raises:
        SetupError: the URL names a place that this installation cannot reach.
    """
    text = str(root)
    if "://" not in text and "::" not in text:
        return LocalObjects(Path(text))
    for scheme in _LOCAL:
        if text.startswith(scheme):
            return LocalObjects(Path(text.removeprefix(scheme)))
    return RemoteObjects(text, silence)


class LocalObjects:
    """Files in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """The file stands, whole and on disk; one of that name is replaced in one step."""
        target = self._root / name
        with file_errors(f"writing {target} was refused"):
            make_folder(target.parent)
            staged = target.with_name(target.name + _WRITING)
            with staged.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staged.rename(target)
            for parent in list(target.parents)[: len(Path(name).parts)]:
                sync_folder(parent)

    def names(self, folder: str, ending: str) -> list[str]:
        """The names of all files under a folder that end so, sorted; none where there is no folder."""
        found = (self._root / folder).rglob(f"*{ending}")
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def frames(self, names: Sequence[str]) -> list[pl.LazyFrame]:
        """The rows of each Parquet file."""
        return [pl.scan_parquet(self._root / name, hive_partitioning=False, glob=False) for name in names]

    def remove(self, name: str) -> None:
        """The file is not there, also where it never was; nor is its folder, where that is empty now."""
        target = self._root / name
        with file_errors(f"removing {target} was refused"):
            target.unlink(missing_ok=True)
            with suppress(OSError):  # others are in it, or it was never there
                target.parent.rmdir()


class RemoteObjects:
    """Files in an object store, or whatever fsspec calls a file system."""

    def __init__(self, url: str, silence: float = SILENCE) -> None:
        import fsspec

        self.shown, self._silence = without_credentials(url), silence
        with object_errors(f"the store {self.shown} cannot be used"):
            self._files, root = fsspec.url_to_fs(url)
        self._root: str = root.rstrip("/")

    def put(self, name: str, content: bytes) -> None:
        """The file stands, as a whole object; one of that name is replaced in one step.

        Raises:
            SetupError: the store cannot be reached, or takes nothing any more.
        """
        refused = f"writing {name} to {self.shown} was refused"
        with object_errors(refused):
            write(self._files, f"{self._root}/{name}", content, refused, self._silence)

    def names(self, folder: str, ending: str) -> list[str]:
        """The names of all files under a folder that end so, sorted; none where there is no folder."""
        with object_errors(f"listing {folder} in {self.shown} was refused"):
            self._files.invalidate_cache()
            inside = f"{self._root}/{folder}"
            found: Any = self._files.find(inside) if self._files.exists(inside) else []
        cut = len(self._root.lstrip("/")) + 1
        return sorted(str(path).lstrip("/")[cut:] for path in found if str(path).endswith(ending))

    def frames(self, names: Sequence[str]) -> list[pl.LazyFrame]:
        """The rows of each Parquet file."""
        with object_errors(f"reading from {self.shown} was refused"):
            contents = [self._files.cat_file(f"{self._root}/{name}") for name in names]
        return [pl.scan_parquet(io.BytesIO(content)) for content in contents]

    def remove(self, name: str) -> None:
        """The file is not there, also where it never was.

        Raises:
            SetupError: the store cannot be reached, or says nothing any more.
        """
        refused = f"removing {name} from {self.shown} was refused"

        def gone(_alive: object) -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{name}")

        with object_errors(refused):
            awaited(gone, refused, self._silence)


def not_parquet(names: Sequence[str], problem: Exception) -> IntegrityError:
    """The error for files that are no Parquet, or hold other columns."""
    return IntegrityError(
        f"the log was refused: {len(names)} files of it cannot be read together",
        found=f"{str(problem).splitlines()[0]} (from {names[0]} to {names[-1]})",
        accepted="files as they were rolled, unchanged",
        next_step="restore them from a backup, or move the damaged one away",
    )
