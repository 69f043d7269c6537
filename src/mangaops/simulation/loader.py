"""A load in a process of its own, so that who measures does not slow what is measured by more than it must.

The process reads a plan as one line, tells when it begins, and ends with the report; whatever is written
to it afterwards, or its parent's end, stops it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import TracebackType

from mangaops.errors import MangaopsError, SetupError
from mangaops.simulation.load import LoadPlan, run_load
from mangaops.simulation.outcome import LoadReport


class Loader:
    """A running load. Within `with` it runs; afterwards it is gone."""

    def __init__(self, plan: LoadPlan) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mangaops.simulation.loader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._told: list[str] = []
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()
        self._to.write(plan.as_json() + "\n")
        self._to.flush()
        self.began = self._first()

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._to.close()
        self._from.close()

    @property
    def running(self) -> bool:
        """Whether it still asks, or waits for answers."""
        return self._process.poll() is None

    def stop(self) -> LoadReport:
        """Nothing more is asked; the report once everything asked is answered or has failed."""
        if self.running:
            try:
                self._to.write("stop\n")
                self._to.flush()
            except BrokenPipeError:
                return self.report()
        return self.report()

    def report(self) -> LoadReport:
        """The report, when the plan is done.

        Raises:
            SetupError: the process ended without one.
        """
        text = self._from.readline()
        self._process.wait()
        if not text:
            raise self._failed()
        return LoadReport.from_json(text)

    def _first(self) -> float:
        """The moment, by this machine's monotonic clock, at which the first request was due."""
        word = self._from.readline()
        if not word:
            self._process.wait()
            raise self._failed()
        return float(word)

    def _hear(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as told:
            self._told.extend(told)

    def _failed(self) -> SetupError:
        self._hearing.join()
        return SetupError(
            "the load ended before its report",
            found="".join(self._told[-5:]).strip() or f"exit code {self._process.returncode}",
            next_step="run it again; --json shows the same error to a program",
        )


def main() -> int:
    """The process: a plan on standard input, a moment and a report on standard output."""
    plan = LoadPlan.from_json(sys.stdin.readline())
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    print(time.monotonic(), flush=True)  # noqa: T201 - standard output is the answer of this process
    try:
        report = run_load(plan, stop.is_set)
    except MangaopsError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - its parent shows it
        return error.exit_code
    print(report.as_json(), flush=True)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
