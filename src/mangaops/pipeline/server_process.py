"""A server as a process of its own: started, waited for until it is ready, ended with all its children.

It ends with the process that started it, also where that one is killed: see server_keeper.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from mangaops.errors import SetupError
from mangaops.pipeline import server_keeper

_ADDRESS: Final = re.compile(r"https?://(?:\[[0-9a-f:]+\]|[\w.-]+):\d+")
_KEPT: Final = 30
_DRAINS: Final = 20.0
"""Seconds that a server has for its end before it is killed."""


class ServerProcess:
    """A server that is ready. Within `with` it runs; afterwards it and what it started are gone."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        url: str | None = None,
        ready: str = "/health/ready",
        patience: float = 120.0,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        waiting: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`url`: where it will listen; None: it says so itself, in any line. `waiting` hears for how long.

        Raises:
            SetupError: it ended, or was not ready within `patience` seconds; with its last words.
        """
        self._command, self._told = list(command), list[str]()
        self._heard = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", server_keeper.__file__, str(_DRAINS), *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
        self.url = url or ""
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()
        try:
            self._become_ready(ready, patience, waiting)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """It was asked to end, and is gone with everything that it started.

        It is asked by a signal too: a child of this process may hold the other end of standard input open.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._hearing.join()

    def get(self, path: str, timeout: float = 5.0) -> str:
        """What it answers to a GET.

        Raises:
            OSError: it does not answer, or not with 2xx.
        """
        with urllib.request.urlopen(self.url + path, timeout=timeout) as reply:
            text: str = reply.read().decode()
            return text

    def _hear(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._told.append(line.rstrip())
                del self._told[:-_KEPT]
                if not self.url and (found := _ADDRESS.search(line)):
                    self.url = found[0]
                if self.url:
                    self._heard.set()
        self._heard.set()

    def _become_ready(self, path: str, patience: float, waiting: Callable[[float], None]) -> None:
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < patience:
            if self._process.poll() is not None:
                self._hearing.join()
                raise self._failed(f"it ended with exit code {self._process.returncode}")
            if self.url and self._is_ready(path):
                return
            waiting(spent)
            if self.url:
                time.sleep(0.1)
            else:
                self._heard.wait(0.1)
        raise self._failed(f"it was not ready within {patience:.0f} s")

    def _is_ready(self, path: str) -> bool:
        try:
            self.get(path)
        except (OSError, urllib.error.HTTPError):
            return False
        return True

    def _failed(self, why: str) -> SetupError:
        return SetupError(
            f"the server {Path(self._command[0]).name} did not start",
            found="\n    ".join([why, *self._told[-10:]]),
            next_step="run the same command by hand: " + " ".join(self._command),
        )
