"""Content-addressed bundles: folders that are never seen half-written and never change.

Local: a bundle is written under `.writing`, each file and folder is fsynced, and one rename makes it
visible. What a killed writer left under `.writing` is swept away by the next one. Anywhere else that fsspec
reaches: the files are put as whole objects, and a marker that lists them with their hashes is put last;
without its marker a bundle is not there. Such a bundle is read through a local cache of the same form.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from mangaops.errors import IntegrityError
from mangaops.store.foreign import file_errors
from mangaops.store.processes import Process, is_dead, this_process
from mangaops.vocabulary import DIGEST, Digest

WRITING: Final = ".writing"
STALE_SECONDS: Final = 24 * 3600
"""After so long, what another host left half-written is taken for left behind."""


Sync = Callable[[Path], None]
"""Brings what a path names to the disk."""


class Bundles(Protocol):
    """Folders by digest."""

    shown: str

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to write a bundle into; whatever is left in it afterwards is thrown away."""

    def commit(self, staged: Path, digest: Digest) -> None:
        """The staged folder is the bundle of that digest, on disk, whole; told twice, it stands once."""

    def has(self, digest: Digest) -> bool:
        """Whether the bundle is there."""

    def forget(self, digest: Digest) -> None:
        """The bundle is not there; whoever put it may put it again."""

    def path(self, digest: Digest) -> Path:
        """A local folder with the bundle's files. Raises IntegrityError where there is no such bundle."""

    def digests(self) -> list[Digest]:
        """Every bundle that is there, sorted."""


class LocalBundles:
    """Bundles in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown = str(root)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to write a bundle into; whatever is left in it afterwards is thrown away."""
        with file_errors(f"writing to {self.shown} was refused"):
            self._sweep()
            staged = self.root / WRITING / _writer_name()
            make_folder(staged.parent)
            staged.mkdir()
            try:
                yield staged
            finally:
                shutil.rmtree(staged, ignore_errors=True)

    def commit(self, staged: Path, digest: Digest) -> None:
        """The staged folder is the bundle of that digest, on disk, whole; told twice, it stands once.

        Raises:
            IntegrityError: the bundle is there already, and its files are others.
        """
        target = self._target(digest)
        with file_errors(f"storing {digest} in {self.shown} was refused"):
            _sync_tree(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(self.root)
            try:
                staged.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                _same_files(staged, target, digest)
            sync_folder(target.parent)

    def has(self, digest: Digest) -> bool:
        """Whether the bundle is there."""
        return self._target(digest).is_dir()

    def forget(self, digest: Digest) -> None:
        """The bundle is not there, at once for every reader, also where it never was."""
        target, gone = self._target(digest), self.root / WRITING / _writer_name()
        with file_errors(f"removing {digest} from {self.shown} was refused"):
            if target.is_dir():
                gone.parent.mkdir(exist_ok=True)
                with suppress(FileNotFoundError):  # another process was faster
                    target.rename(gone)
                    sync_folder(target.parent)
                shutil.rmtree(gone, ignore_errors=True)

    def path(self, digest: Digest) -> Path:
        """The bundle's folder. Raises IntegrityError where there is no such bundle."""
        target = self._target(digest)
        if not target.is_dir():
            raise not_there(self.shown, digest)
        return target

    def digests(self) -> list[Digest]:
        """Every bundle that is there, sorted."""
        return sorted(f"sha256:{found.name}" for found in self.root.glob("[0-9a-f][0-9a-f]/*"))

    def _target(self, digest: Digest) -> Path:
        return self.root / place(digest)

    def _sweep(self) -> None:
        """What dead writers left is gone."""
        for left in self.root.glob(f"{WRITING}/*"):
            if _left_behind(left):
                shutil.rmtree(left, ignore_errors=True)


def place(digest: Digest) -> str:
    """Where a bundle lies under its root: `ab/ab12...`. Raises IntegrityError for what is no digest."""
    if not DIGEST.fullmatch(digest):
        raise IntegrityError(f"{digest!r} was refused: it is no digest", accepted="sha256: and 64 hex digits")
    return f"{digest[7:9]}/{digest[7:]}"


def file_hashes(folder: Path) -> dict[str, Digest]:
    """SHA-256 of each file in a folder, by its path in it, sorted.

    Raises:
        IntegrityError: something in the folder is no plain file.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise IntegrityError(f"{name} was refused: it is not a plain file", found=str(path))
        if path.is_file():
            with path.open("rb") as file:
                hashes[name] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files stand in the folder."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def not_there(shown: str, digest: Digest) -> IntegrityError:
    """The error for a digest that a store does not hold."""
    return IntegrityError(
        f"{digest} was refused: {shown} does not hold it",
        accepted="a digest that was stored here",
        next_step="check that this is the store that the ledger belongs to, or restore it from its backup",
    )


def _same_files(staged: Path, target: Path, digest: Digest) -> None:
    new, old = file_hashes(staged), file_hashes(target)
    if new != old:
        names = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
        raise IntegrityError(
            f"storing {digest} was refused: other files lie under that digest",
            found=f"{', '.join(names)} in {target}",
            accepted="the files that were stored first",
            next_step=f"they were changed by hand: move {target} away and run the command again",
        )


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """The names in the folder are on disk; of a file, its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, sync: Sync = sync_folder) -> None:
    """The folder is there; what of it and of its parents was missing is on disk too, name by name.

    What is synced inside it later outlives a power cut.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        sync(each.parent)


def keep_copy(source: Path, folder: Path, sync: Sync = sync_folder) -> None:
    """A copy of the file stands in the folder under its name, whole and on disk; told twice, once."""
    make_folder(folder, sync)
    half = folder / f"{source.name}.half"
    shutil.copyfile(source, half)
    sync(half)
    half.replace(folder / source.name)
    sync(folder)


def _writer_name() -> str:
    me = this_process()
    return f"{me.host}.{me.pid}.{me.started}.{secrets.token_hex(6)}"


def _left_behind(left: Path) -> bool:
    fields = left.name.rsplit(".", 3)
    if len(fields) == 4 and fields[1].isdigit() and is_dead(Process(fields[0], int(fields[1]), fields[2])):
        return True
    try:
        return time.time() - left.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False
