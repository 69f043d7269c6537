"""An object store that never answers, or stops in the middle of an object, until it is told to go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Hanging(MemoryFileSystem):  # type: ignore[misc]
    """A store in memory; it waits for `opened` with objects whose name ends with `closed`."""

    protocol = "hanging"
    cachable = False
    opened = threading.Event()
    closed = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        plain = path.removeprefix("hanging://").partition("?")[0]
        return "/" + plain.rpartition("@")[2].strip("/")

    def cat_file(self, path: str, *given: Any, **more: Any) -> bytes:
        self._wait(path)
        content: bytes = super().cat_file(path, *given, **more)
        return content

    def get_file(self, rpath: str, lpath: str, **more: Any) -> None:
        Path(lpath).write_bytes(b"the first")
        more["callback"].relative_update(9)
        self._wait(rpath)
        Path(lpath).write_bytes(super().cat_file(rpath))

    def pipe_file(self, path: str, value: bytes, *given: Any, **more: Any) -> None:
        self._wait(path)
        super().pipe_file(path, value, *given, **more)

    def rm_file(self, path: str) -> None:
        self._wait(path)
        super().rm_file(path)

    def _wait(self, path: str) -> None:
        if self.closed and path.endswith(self.closed):
            self.opened.wait()


@contextmanager
def hanging() -> Iterator[type[Hanging]]:
    """The store of `hanging://` URLs, which answers; what hangs in it ends with the block."""
    fsspec.register_implementation("hanging", Hanging, clobber=True)
    Hanging.opened, Hanging.closed = threading.Event(), ""
    try:
        yield Hanging
    finally:
        Hanging.closed = ""
        Hanging.opened.set()
