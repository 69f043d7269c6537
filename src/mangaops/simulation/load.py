"""Load on a gateway: requests at a rate that no answer slows down, and what came back.

Rule 1: with a rate, requests are due at moments that are drawn beforehand, and a latency counts from the
moment at which the request was due. So a server that stalls for a second shows it in every request of that
second, as users would see it (no coordinated omission). Without a rate, so many clients ask one after the
other, and latencies count from the sending: that measures throughput.

Rule 2: a failed request is one without a readable answer of status 200. Failed ones have no latency.

Rule 3: a request is mixed where its release and generation do not belong together, or where its answer is
none that this release gives.
"""

from __future__ import annotations

import asyncio
import csv
import json
import resource
import selectors
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import UsageError
from mangaops.simulation.client import Pool, Sent, Target
from mangaops.simulation.outcome import LoadReport, Tally

TEXT: Final = '"TEXT"'
ROUTER_BODY: Final = '{"text": "TEXT"}'
SEARCH_BODY: Final = '{"query": "TEXT"}'
_OURS: Final = (ROUTER_BODY, SEARCH_BODY)


@dataclass(frozen=True)
class Way:
    """How a unit is asked, and what its answers are: as `LoadPlan` has them."""

    path: str
    body: str
    reads: Literal["route", "search"]


ROUTER: Final = Way("/v1/route", ROUTER_BODY, "route")
SEARCH: Final = Way("/v1/search", SEARCH_BODY, "search")


@dataclass(frozen=True)
class Question:
    """What a user says, and where it belongs; `truth` is what they mean, where a simulation knows it."""

    text: str
    conversation_id: str | None = None
    user_id: str | None = None
    truth: str | None = None

    def body(self, template: str) -> bytes:
        """The question as JSON: `"TEXT"` in the template is the text; ids join where the template is ours."""
        whole = template.replace(TEXT, json.dumps(self.text))
        if template not in _OURS:
            return whole.encode()
        ids = {"conversation_id": self.conversation_id, "user_id": self.user_id}
        said = json.loads(whole) | {name: value for name, value in ids.items() if value is not None}
        return json.dumps(said).encode()


@dataclass(frozen=True)
class LoadPlan:
    """What is asked, how fast and for how long.

    `rate`: requests/s; None: a closed loop of `concurrency` clients. `requests`: stop after so many; None:
    after `seconds`. `expected`: the labels that each release gives, or of a search the mark of its answer to
    each question in turn; of a release that is not in it any answer is its own. `diary`: a CSV file that
    gets `request_id, label` of each answer, the label being the truth of its question. `reads`: "route" for
    answers of the router, "search" for lists, "any" for any JSON (other servers). `body`: the
    request with `"TEXT"` in the text's place. `timeout`: seconds after which a request has failed.
    """

    url: str
    questions: tuple[Question, ...]
    seconds: float
    rate: float | None = None
    arrivals: Literal["poisson", "even"] = "poisson"
    concurrency: int = 16
    requests: int | None = None
    connections: int = 256
    timeout: float = 10.0
    seed: int = 0
    path: str = "/v1/route"
    body: str = ROUTER_BODY
    reads: Literal["route", "search", "any"] = "route"
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    diary: str | None = None

    def __post_init__(self) -> None:
        wrong = not self.questions or self.seconds <= 0 or self.concurrency < 1 or self.connections < 1
        if wrong or (self.rate is not None and self.rate <= 0):
            raise UsageError(
                "the load was refused",
                found=f"{len(self.questions)} questions, {self.seconds} s, rate {self.rate}",
                accepted="a question or more, and numbers over 0",
                next_step="give each number over 0",
            )

    def as_json(self) -> str:
        """The plan as a process of its own reads it."""
        asked = [[each.text, each.conversation_id, each.user_id, each.truth] for each in self.questions]
        return json.dumps({**vars(self), "questions": asked})

    @classmethod
    def from_json(cls, text: str) -> LoadPlan:
        """The plan that `as_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["questions"] = tuple(Question(*each) for each in fields["questions"])
        fields["expected"] = {name: tuple(labels) for name, labels in fields["expected"].items()}
        return cls(**fields)


def moments(
    rate: float, seconds: float, arrivals: Literal["poisson", "even"], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Seconds from the beginning at which requests are due, ascending and under `seconds`.

    "poisson": gaps are exponential with mean 1 / rate, as those of many independent users are.
    """
    if arrivals == "even":
        return np.arange(0.0, seconds, 1.0 / rate)
    expected = rate * seconds
    enough = int(expected + 10 * expected**0.5 + 20)
    due = np.cumsum(rng.exponential(1.0 / rate, enough))
    return due[due < seconds]


def run_load(plan: LoadPlan, stopped: Callable[[], bool] = lambda: False) -> LoadReport:
    """What came of the plan; ends early soon after `stopped` says so. Runs in this process and thread.

    Raises:
        UsageError: the URL is no address of a server.
    """
    # select() takes microseconds, where epoll and uvloop round a timer up to a millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(_Run(plan, stopped).go())


class _Run:
    """One run of a plan."""

    def __init__(self, plan: LoadPlan, stopped: Callable[[], bool]) -> None:
        self._plan, self._stopped = plan, stopped
        self._tally = Tally(plan.expected, plan.reads)
        target = Target.of(plan.url, plan.path)
        requests = [target.request(question.body(plan.body)) for question in plan.questions]
        most = plan.connections if plan.rate is not None else plan.concurrency
        self._pool = Pool(target, requests, self._told, most=most, patience=plan.timeout)
        self._diary = _Diary(plan) if plan.diary is not None else None
        self._asked = 0
        self._over = False

    async def go(self) -> LoadReport:
        plan = self._plan
        await self._pool.warm(min(8, plan.connections) if plan.rate is not None else plan.concurrency)
        before, self._begun = _cpu(), time.monotonic()
        sweeping = asyncio.create_task(self._sweep())
        await (self._open_loop(plan.rate) if plan.rate is not None else self._closed_loop())
        asking = time.monotonic() - self._begun
        self._over = True
        while self._pool.on_the_way:
            await asyncio.sleep(0.002)
        seconds = time.monotonic() - self._begun
        sweeping.cancel()
        self._pool.close()
        if self._diary is not None:
            self._diary.close()
        return self._tally.report(asking, busy=(_cpu() - before) / seconds)

    async def _sweep(self) -> None:
        while True:
            self._pool.sweep()
            await asyncio.sleep(min(0.1, self._plan.timeout / 4))

    def _ended(self) -> bool:
        plan, past = self._plan, time.monotonic() - self._begun
        return past >= plan.seconds or self._asked == plan.requests or self._stopped()

    async def _open_loop(self, rate: float) -> None:
        plan = self._plan
        rng = np.random.default_rng(plan.seed)
        for due in moments(rate, plan.seconds, plan.arrivals, rng)[: plan.requests].tolist():
            while (early := self._begun + due - time.monotonic()) > 0:
                await asyncio.sleep(min(early, 0.5))
                if self._stopped():
                    return
            if self._asked % 64 == 63:  # the loop reads answers, however far behind the asking is
                await asyncio.sleep(0)
                if self._stopped():
                    return
            self._pool.ask(self._asked, self._begun + due)
            self._asked += 1

    async def _closed_loop(self) -> None:
        for _ in range(self._plan.concurrency):
            self._next()
        while not self._ended():
            await asyncio.sleep(0.01)

    def _next(self) -> None:
        if not self._over and not self._ended():
            self._pool.ask(self._asked, time.monotonic())
            self._asked += 1

    def _told(self, sent: Sent, status: int, body: bytes, wrong: str) -> None:
        now = time.monotonic()
        self._tally.count(sent, status, body, wrong, now, self._begun)
        if self._diary is not None and status == 200:
            self._diary.write(sent.number, body)
        if self._plan.rate is None:
            if wrong:  # a server that refuses every connection is asked again, but not without a pause
                asyncio.get_running_loop().call_later(0.01, self._next)
            else:
                self._next()


class _Diary:
    """The truth of each answered request, a line as soon as it is answered: readers may read along."""

    def __init__(self, plan: LoadPlan) -> None:
        self._truths = [question.truth for question in plan.questions]
        self._file = open(str(plan.diary), "w", encoding="utf-8", newline="", buffering=1)  # noqa: SIM115
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(["request_id", "label"])

    def write(self, number: int, body: bytes) -> None:
        """The request of that number was answered so."""
        try:
            request_id = json.loads(body)["request_id"]
        except (ValueError, KeyError, TypeError):
            return  # the tally counts it as unreadable
        self._rows.writerow([request_id, self._truths[number % len(self._truths)]])

    def close(self) -> None:
        """The file is whole."""
        self._file.close()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
