"""A load in a process of its own, so that who measures does not slow what is measured by more than it must.

The process reads a plan as one line, tells when it begins, and ends with the report; whatever is written
to it afterwards, or its parent's end, stops it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from types import TracebackType

from mangaops.errors import MangaopsError, SetupError
from mangaops.simulation.load import LoadPlan, run_load
from mangaops.simulation.outcome import LoadReport


class Loader:
    """A running load. Within `with` it runs; afterwards it is gone.

    `began`: the moment, by this machine's monotonic clock, from which requests are due.
    """

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
        assert self._process.stderr is not None
        self._to = self._process.stdin
        self._told, self._report = list[str](), list[str]()
        self._hearing = [
            threading.Thread(target=self._told.extend, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._report.extend, args=(self._process.stdout,), daemon=True),
        ]
        self._hearing[0].start()
        self._to.write(plan.as_json() + "\n")
        self._to.flush()
        first = self._process.stdout.readline()
        self._hearing[1].start()
        if not first:
            raise self._failed()
        self.began = float(first)

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._join()
        for stream in (self._to, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def wait(self, seconds: float) -> bool:
        """Whether the load is over, which is waited for so long."""
        self._hearing[1].join(seconds)
        return not self._hearing[1].is_alive()

    def stop(self) -> LoadReport:
        """Nothing more is asked; the report once everything asked is answered or has failed."""
        if not self.wait(0.0):
            with contextlib.suppress(BrokenPipeError):
                self._to.write("stop\n")
                self._to.flush()
        return self.report()

    def report(self) -> LoadReport:
        """The report, when the plan is done.

        Raises:
            SetupError: the process ended without one.
        """
        self._join()
        if not self._report:
            raise self._failed()
        return LoadReport.from_json(self._report[0])

    def _join(self) -> None:
        for thread in self._hearing:
            thread.join()
        self._process.wait()

    def _failed(self) -> SetupError:
        self._join()
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
