"""The quickstart's live side: a real gateway on loopback, and simulated users who ask while releases move."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import polars as pl

from mangaops.errors import UsageError
from mangaops.pipeline.server_process import ServerProcess
from mangaops.simulation.load import ROUTER, LoadPlan, Question, Way, run_load
from mangaops.simulation.loader import Loader
from mangaops.simulation.outcome import LoadReport

QUARTER: Final = 0.25
"""Part of the capacity that the users ask for: what a gateway should be given."""

_CLIENTS, _LOOK = 4, 2.0
_LONGEST: Final = 900.0


@dataclass(frozen=True)
class Told:
    """What the users of one load saw.

    `p95_ms` counts from the moment at which a request was due; None: nothing was answered.
    """

    requests: int
    failed: int
    mixed_version: int
    p95_ms: float | None
    releases: dict[str, int]

    @classmethod
    def of(cls, report: LoadReport) -> Told:
        """The load in the words of the story."""
        shown = report.as_dict()
        releases: dict[str, int] = {}
        for each in shown["versions"]:
            releases[each["release"]] = releases.get(each["release"], 0) + each["answers"]
        return cls(shown["requests"], shown["failed"], shown["mixed_version"], shown["p95_ms"], releases)

    @property
    def says(self) -> str:
        """One line for people."""
        by = ", ".join(f"{release} {count:,}" for release, count in self.releases.items())
        seen = "no answer" if self.p95_ms is None else f"P95 {self.p95_ms:.0f} ms; answered by {by}"
        return (
            f"users meanwhile: {self.requests:,} requests, {self.failed} failed, "
            f"{self.mixed_version} with mixed versions, {seen}"
        )


class LiveTraffic:
    """A gateway that serves a home, and its users. Within `with` it runs."""

    def __init__(
        self,
        stack: Path,
        home: Path,
        questions: tuple[Question, ...],
        diary: Path | None = None,
        *,
        way: Way = ROUTER,
    ) -> None:
        """`diary` gets the true label of each request that is answered, by its id; `way`: how it is asked."""
        self._questions, self._diary, self._way = questions, diary, way
        told = ["serve", "--stack", str(stack), "--home", str(home), "--port", "0", "--roll", "1"]
        command = [sys.executable, "-c", "from mangaops.cli import main; main()", *told]
        self._server = ServerProcess(command, environment={"MANGAOPS_LEDGER": "", "MANGAOPS_FILES": ""})
        self._loader: Loader | None = None
        self.rate = 0.0

    def __enter__(self) -> LiveTraffic:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loader is not None:
            self._loader.__exit__(None, None, None)
        self._server.close()

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return self._server.url

    def begin(self) -> None:
        """Users ask at a quarter of what the gateway can do, until `end`; begun twice, they ask once."""
        if self._loader is None:
            self._loader = Loader(self._plan(self._rate(), _LONGEST))

    def end(self) -> Told:
        """The users have their answers and ask no more.

        Raises:
            UsageError: they had not begun.
        """
        loader, self._loader = self._loader, None
        if loader is None:
            raise UsageError("nobody asks the gateway: no live shadow began")
        with loader:
            return Told.of(loader.stop())

    def begins_with(self, progress: Callable[[str, int, int], None], word: str) -> Callable[..., None]:
        """The same progress, at whose first line that starts with `word` the users begin to ask."""

        def told(what: str, done: int, total: int) -> None:
            if what.startswith(word):
                self.begin()
            progress(what, done, total)

        return told

    def _plan(self, rate: float | None, seconds: float) -> LoadPlan:
        return LoadPlan(
            url=self.url,
            questions=self._questions,
            seconds=seconds,
            rate=rate,
            concurrency=_CLIENTS,
            diary=str(self._diary) if rate and self._diary else None,
            path=self._way.path,
            body=self._way.body,
            reads=self._way.reads,
        )

    def _rate(self) -> float:
        if not self.rate:
            self.rate = round(QUARTER * run_load(self._plan(None, _LOOK)).throughput, 1)
        return self.rate


def questions_of(requests: pl.DataFrame, truth: pl.DataFrame) -> tuple[Question, ...]:
    """What the users of a simulated week ask, in order of time, each with what it means."""
    known = dict(zip(truth["request_id"], truth["label"], strict=True))
    rows: list[dict[str, Any]] = requests.sort("at").to_dicts()
    return tuple(
        Question(row["text"], row["conversation_id"], row["user_id"], known[row["request_id"]])
        for row in rows
    )
