"""Bundles anywhere that fsspec reaches: whole objects, the marker last, read through a local cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mangaops.errors import ArtifactTampered
from mangaops.store.addresses import without_credentials
from mangaops.store.bundles import STALE_SECONDS, Bundles, LocalBundles, file_hashes, not_there, place
from mangaops.store.foreign import object_errors
from mangaops.store.silence import SILENCE, awaited, write
from mangaops.vocabulary import Digest

MARKER: Final = ".committed"
_LOCAL: Final = ("file://", "local://")


def open_bundles(root: str | Path, cache: Path | None = None, silence: float = SILENCE) -> Bundles:
    """The bundles under a folder or an fsspec URL; `cache` is where those of other places are read from.

    `silence`: seconds without a byte after which one of these places is taken to be gone.

    Raises:
        SetupError: the URL names a place that this installation cannot reach.
    """
    text = str(root)
    if "://" not in text and "::" not in text:
        return LocalBundles(Path(text))
    for scheme in _LOCAL:
        if text.startswith(scheme):
            return LocalBundles(Path(text.removeprefix(scheme)))
    return RemoteBundles(text, cache or default_cache(), silence)


def default_cache() -> Path:
    """The user's cache folder for what other places hold."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mangaops"


class RemoteBundles:
    """Bundles in an object store, or whatever fsspec calls a file system.

    No read, write or removal waits without end; listing all bundles does.
    """

    def __init__(self, url: str, cache: Path, silence: float = SILENCE) -> None:
        import fsspec

        self.shown, self._silence = without_credentials(url), silence
        with object_errors(f"the store {self.shown} cannot be used"):
            self._files, self._root = fsspec.url_to_fs(url)
        self._cache = LocalBundles(cache / hashlib.sha256(self.shown.encode()).hexdigest()[:16])

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to write a bundle into; whatever is left in it afterwards is thrown away."""
        with tempfile.TemporaryDirectory(prefix="mangaops-") as folder:
            yield Path(folder)

    def commit(self, staged: Path, digest: Digest) -> None:
        """The staged folder is the bundle of that digest, every object and then the marker.

        Raises:
            ArtifactTampered: the bundle is there already, and its files are others.
            SetupError: the store cannot be reached, or takes nothing any more.
        """
        hashes = file_hashes(staged)
        refused = f"storing {digest} in {self.shown} was refused"
        with object_errors(refused):
            listed = self._listed(digest, refused)
            if listed is not None and listed != hashes:
                raise self._tampered(digest, f"files {', '.join(sorted(listed))}")
            if listed is not None and self._all_there(digest, staged, refused):
                return
            for name in hashes:
                self._put(self._object(digest, name), (staged / name).read_bytes(), refused)
            self._put(self._marker(digest), json.dumps(hashes, sort_keys=True).encode(), refused)

    def has(self, digest: Digest) -> bool:
        """Whether the bundle is there, marker and all."""
        refused = f"looking {digest} up in {self.shown} was refused"
        with object_errors(refused):
            return self._listed(digest, refused) is not None

    def forget(self, digest: Digest) -> None:
        """The bundle is not there, nor in the cache; its objects go with the next sweep."""
        marker, refused = self._marker(digest), f"removing {digest} from {self.shown} was refused"
        with object_errors(refused):
            if self._there(marker, refused):
                self._remove(marker, refused)
        self._cache.forget(digest)

    def path(self, digest: Digest) -> Path:
        """A folder of the cache with the bundle's files, each as the marker has it.

        Raises:
            IntegrityError: there is no such bundle.
            ArtifactTampered: an object is missing or is not what the marker says.
            SetupError: the store cannot be reached, or sends nothing any more.
        """
        if self._cache.has(digest):
            return self._cache.path(digest)
        refused = f"reading {digest} from {self.shown} was refused"
        with object_errors(refused):
            listed = self._listed(digest, refused)
            if listed is None:
                raise not_there(self.shown, digest)
            with self._cache.staging() as staged:
                for name in listed:
                    self._download(digest, name, staged / name, refused)
                if file_hashes(staged) != listed:
                    raise self._tampered(digest, "an object that is not what was put")
                self._cache.commit(staged, digest)
        return self._cache.path(digest)

    def digests(self) -> list[Digest]:
        """Every bundle that is there, sorted."""
        with object_errors(f"listing {self.shown} was refused"):
            found = self._files.glob(f"{self._root}/*/*{MARKER}")
        return sorted("sha256:" + str(path).rpartition("/")[2].removesuffix(MARKER) for path in found)

    def sweep(self, older_than: float = STALE_SECONDS) -> int:
        """Objects without a marker that are `older_than` seconds are gone; returns how many there were."""
        refused = f"sweeping {self.shown} was refused"
        with object_errors(refused):
            every = self._files.find(self._root, detail=True) if self._files.exists(self._root) else {}
            whole = {path.removesuffix(MARKER) for path in every if path.endswith(MARKER)}
            left = [
                path
                for path, info in every.items()
                if not path.endswith(MARKER) and self._bundle_of(path) not in whole
                if time.time() - _written(info) >= older_than
            ]
            for path in left:
                self._remove(path, refused)
        return len(left)

    def _bundle_of(self, path: str) -> str:
        root = self._root.rstrip("/")
        return "/".join([root, *path.removeprefix(root + "/").split("/")[:2]])

    def _marker(self, digest: Digest) -> str:
        return f"{self._root}/{place(digest)}{MARKER}"

    def _object(self, digest: Digest, name: str) -> str:
        return f"{self._root}/{place(digest)}/{name}"

    def _listed(self, digest: Digest, refused: str) -> dict[str, Digest] | None:
        marker = self._marker(digest)
        try:
            text = awaited(lambda _alive: self._files.cat_file(marker), refused, self._silence)
        except FileNotFoundError:
            return None
        try:
            listed: dict[str, Digest] = json.loads(text)
        except ValueError as error:
            raise self._tampered(digest, "a marker that is not JSON") from error
        return listed

    def _all_there(self, digest: Digest, staged: Path, refused: str) -> bool:
        names = (path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
        return all(self._there(self._object(digest, name), refused) for name in names)

    def _put(self, path: str, content: bytes, refused: str) -> None:
        write(self._files, path, content, refused, self._silence)

    def _there(self, path: str, refused: str) -> bool:
        return bool(awaited(lambda _alive: self._files.exists(path), refused, self._silence))

    def _remove(self, path: str, refused: str) -> None:
        awaited(lambda _alive: self._files.rm_file(path), refused, self._silence)

    def _download(self, digest: Digest, name: str, target: Path, refused: str) -> None:
        from fsspec.callbacks import Callback

        target.parent.mkdir(parents=True, exist_ok=True)
        source = self._object(digest, name)

        def get(alive: Callable[[], None]) -> None:
            heard = Callback(hooks={"heard": lambda *_size_and_value, **_more: alive()})
            self._files.get_file(source, str(target), callback=heard)

        try:
            awaited(get, refused, self._silence, grows=lambda: _bytes_of(target))
        except FileNotFoundError as error:
            raise self._tampered(digest, f"no object {name}") from error

    def _tampered(self, digest: Digest, found: str) -> ArtifactTampered:
        return ArtifactTampered(
            f"{digest} of {self.shown} was refused: it is not what was stored",
            found=found,
            accepted="the objects that its marker lists, unchanged",
            next_step="restore it from the store's older version, or from a backup",
        )


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _written(info: dict[str, Any]) -> float:
    moment = info.get("LastModified") or info.get("created") or info.get("mtime") or 0
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
