"""What a gateway does under load: capacity first, then one load at a share of it, with cutovers under way.

Everything runs on this machine: server processes on loopback, the load in a process of its own, and the
verbs here. So the figures say how much the parts cost each other, and not how fast a better machine is.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mangaops.errors import SetupError, UsageError
from mangaops.pipeline.gateway_world import UNIT, GatewayWorld
from mangaops.pipeline.retrieval_world import RetrievalWorld
from mangaops.pipeline.server_process import ServerProcess
from mangaops.simulation.client import Target
from mangaops.simulation.load import LoadPlan
from mangaops.simulation.loader import Loader
from mangaops.simulation.outcome import LoadReport

Progress = Callable[[str, int, int], None]

WORLDS: Final[Mapping[str, type[GatewayWorld]]] = {each.unit: each for each in (GatewayWorld, RetrievalWorld)}
"""The units that are benched, and the world of each."""

CLIENTS: Final = 16
CURVE: Final = (0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Shares of capacity at which a load curve is measured."""

_COPIES: Final = re.compile(
    r'^mangaops_(?:mirrored|shadowed)_total\{[^}]*(?:mirror|result)="(\w+)"[^}]*\} ([0-9.e+]+)', re.MULTILINE
)
_PATIENCE: Final = 1.5
"""Seconds without a copy that is answered, or fails, after which those on their way are taken for lost."""


@dataclass(frozen=True)
class BenchPlan:
    """How a gateway is asked.

    `rate`: requests/s; None: `load`, a share of the capacity that is measured first. `seconds`: of the load;
    it lasts until the cutovers and rollbacks are done, too. `curve`: measure `CURVE`, too, each as long.
    """

    rate: float | None = None
    load: float = 0.5
    seconds: float = 20.0
    cutovers: int = 0
    rollbacks: int = 0
    shadow: bool = False
    curve: bool = False
    seed: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.load <= 2 or self.seconds <= 0 or (self.rate is not None and self.rate <= 0):
            raise UsageError(
                "the bench was refused",
                found=f"--rate {self.rate} --load {self.load} --seconds {self.seconds}",
                accepted="a rate over 0, or a share of capacity over 0 and up to 2, for more than 0 seconds",
                next_step="mangaops bench gateway --load 0.5 --seconds 20",
            )
        if not 0 <= self.rollbacks <= self.cutovers:
            raise UsageError(
                "the bench was refused: it undoes more than it does",
                found=f"--cutovers {self.cutovers} --rollbacks {self.rollbacks}",
                accepted="no more rollbacks than cutovers",
                next_step=f"--cutovers {self.rollbacks} --rollbacks {self.rollbacks}",
            )

    @property
    def coming(self) -> int:
        """How many releases are registered at most: one that was rolled back is promoted again."""
        return self.cutovers - max(0, self.rollbacks - 1) + self.shadow


@dataclass(frozen=True)
class Moves:
    """What moving the champion under load took, in milliseconds.

    `switches`: of each worker, the swap itself, from ready to active, by promotions and rollbacks.
    `promotions`, `rollbacks`: of each verb, from its call until everybody had acknowledged.
    """

    switches: tuple[float, ...] = ()
    promotions: tuple[float, ...] = ()
    rollbacks: tuple[float, ...] = ()
    silent: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The slowest and the median of each; null where nothing moved."""
        shown: dict[str, Any] = {"cutovers": len(self.promotions), "rollbacks": len(self.rollbacks)}
        for name, taken in (
            ("switch_ms", self.switches),
            ("promotion_ms", self.promotions),
            ("rollback_ms", self.rollbacks),
        ):
            shown[name] = round(max(taken), 3) if taken else None
            shown[f"{name}_median"] = round(statistics.median(taken), 3) if taken else None
        return shown | {"silent": self.silent}


@dataclass(frozen=True)
class Mirrored:
    """What became of the copies for the shadow during a load; what was sent is answered, failed or lost."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    shed: Mapping[str, int] = field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """Whether copies that were sent are neither answered nor failed: they are to come, or lost."""
        return self.sent > self.answered + self.failed

    @property
    def coverage(self) -> float | None:
        """The share of copies, sent or shed, that the shadow answered; None without a shadow."""
        total = self.sent + sum(self.shed.values())
        return self.answered / total if total else None

    def as_dict(self) -> dict[str, Any]:
        """Counts and coverage; `unanswered` were sent, and failed, came too late or were lost."""
        return {
            "shed": sum(self.shed.values()),
            "shed_by": dict(self.shed),
            "unanswered": self.sent - self.answered,
            "coverage": None if self.coverage is None else round(self.coverage, 4),
        }


@dataclass(frozen=True)
class Point:
    """One point of a load curve."""

    share: float
    report: LoadReport


@dataclass(frozen=True)
class BenchResult:
    """A finished bench; `history` is the release of each generation, None where no ledger was asked."""

    capacity: float
    rate: float
    report: LoadReport
    moves: Moves
    mirrored: Mirrored
    history: Mapping[int, str] | None
    curve: tuple[Point, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        points = [
            {"share": point.share, "rate": round(point.share * self.capacity, 2)}
            | {name: point.report.as_dict()[name] for name in ("p50_ms", "p95_ms", "p99_ms", "failed")}
            for point in self.curve
        ]
        return {
            "capacity": round(self.capacity, 2),
            "rate": round(self.rate, 2),
            **self.report.as_dict(self.history),
            **self.moves.as_dict(),
            **self.mirrored.as_dict(),
            "curve": points,
        }


def serve_command(world: GatewayWorld, *, workers: int, threads: int | None) -> list[str]:
    """The command that serves the world on a free port of loopback."""
    told = ["serve", "--stack", str(world.stack), "--home", str(world.home), "--host", "127.0.0.1"]
    told += ["--port", "0", "--workers", str(workers)]
    told += ["--threads", str(threads)] if threads else []
    return [sys.executable, "-c", "from mangaops.cli import main; main()", *told]


def run_bench(
    plan: BenchPlan,
    url: str,
    world: GatewayWorld | None,
    metrics: Callable[[], str],
    progress: Progress,
    *,
    unit: str = UNIT,
) -> BenchResult:
    """What the gateway at `url` did under the plan's load on that unit.

    `world` is what it serves, and None where it is somebody else's: then nothing is promoted there.
    `metrics` gives its /metrics.

    Raises:
        UsageError: the address is none, or champions are to be moved, or a shadow started, in a stack that is
            not the bench's own.
        SetupError: it answers nothing.
    """
    Target.of(url, "/")  # refused here, or the process of the load would end with it
    if world is None and (plan.cutovers or plan.rollbacks or plan.shadow):
        raise UsageError(
            "the bench was refused: it moves no champion and starts no shadow in a stack that others use",
            found="--url with --cutovers, --rollbacks or --shadow",
            accepted="--url with --rate, --load and --seconds",
            next_step="leave --url out: the bench makes a world of its own",
        )
    asked = LoadPlan(
        url,
        world.questions() if world else WORLDS[unit].strangers(plan.seed),
        plan.seconds,
        seed=plan.seed,
        path=WORLDS[unit].way.path,
        body=WORLDS[unit].way.body,
        reads=WORLDS[unit].way.reads,
        expected=world.expected(plan.coming) if world else {},
    )
    found = capacity(asked, progress)
    curve = tuple(
        Point(share, under(replace(asked, rate=share * found), f"load {share:.0%} of capacity", progress))
        for share in (CURVE if plan.curve else ())
    )
    if world is not None and plan.shadow:
        begin_shadow(world, asked, metrics, progress)
    before = settled(metrics)
    rate = plan.rate or plan.load * found
    report, moves = _loaded(plan, replace(asked, rate=rate), world, progress)
    return BenchResult(
        capacity=found,
        rate=rate,
        report=report,
        moves=moves,
        mirrored=between(before, settled(metrics)),
        history=world.history() if world else None,
        curve=curve,
    )


def capacity(asked: LoadPlan, progress: Progress) -> float:
    """Answers a second that so many clients get who ask one after the other, once it is warm.

    Raises:
        SetupError: nothing was answered.
    """
    seconds = min(10.0, max(1.0, asked.seconds / 2))
    closed = replace(asked, rate=None, concurrency=CLIENTS)
    under(replace(closed, seconds=seconds / 4), "warming up", progress)
    report = under(replace(closed, seconds=seconds), "measuring capacity", progress)
    if not report.answered:
        raise SetupError(
            f"the bench ended: {asked.url} answers nothing",
            found=", ".join(f"{count} times {why}" for why, count in report.errors.items()),
            accepted="a gateway that is ready",
            next_step=f"see what {asked.url}/health/ready says, and whether a gateway listens there",
        )
    return report.throughput


def under(asked: LoadPlan, title: str, progress: Progress) -> LoadReport:
    """What came of a load that nothing accompanies."""
    with Loader(asked) as loader:
        _until_over(loader, title, asked.seconds, progress)
        return loader.report()


def _until_over(loader: Loader, title: str, seconds: float, progress: Progress) -> None:
    while not loader.wait(0.25):
        progress(title, min(int(time.monotonic() - loader.began), int(seconds)), math.ceil(seconds))
    progress(title, math.ceil(seconds), math.ceil(seconds))


def _loaded(
    plan: BenchPlan, asked: LoadPlan, world: GatewayWorld | None, progress: Progress
) -> tuple[LoadReport, Moves]:
    """The load, and the champions that moved meanwhile."""
    moving = plan.cutovers + plan.rollbacks
    if world is None or not moving:
        return under(asked, f"load of {asked.rate:.0f}/s", progress), Moves()
    first = world.shadow_next() if plan.shadow else world.ready()
    with Loader(replace(asked, seconds=plan.seconds + 60.0 * moving)) as loader:
        moves = _move(plan, world, first, lambda done: progress("moving the champion", done, moving))
        loader.wait(max(1.0, loader.began + plan.seconds - time.monotonic()))
        return loader.stop(), moves


def _move(plan: BenchPlan, world: GatewayWorld, first: str, told: Callable[[int], None]) -> Moves:
    """Promotions and rollbacks in turn, as long as there are some to do."""
    switches: list[float] = []
    promotions: list[float] = []
    rollbacks: list[float] = []
    silent, release = 0, first
    while len(promotions) < plan.cutovers or len(rollbacks) < plan.rollbacks:
        if len(promotions) < plan.cutovers:
            begun = time.monotonic()
            done = world.promote(release)
            promotions.append((time.monotonic() - begun) * 1000)
            switches += [taken for taken in done.acknowledged.values() if taken is not None]
            silent += len(done.silent)
        if len(rollbacks) < plan.rollbacks:
            begun = time.monotonic()
            undone = world.roll_back()
            rollbacks.append((time.monotonic() - begun) * 1000)
            switches += [taken for taken in undone.acknowledged.values() if taken is not None]
            silent += len(undone.silent)
        told(len(promotions) + len(rollbacks))
        if len(promotions) < plan.cutovers:
            release = world.shadow_next() if plan.shadow else world.ready()
    return Moves(tuple(switches), tuple(promotions), tuple(rollbacks), silent)


def begin_shadow(
    world: GatewayWorld, asked: LoadPlan, metrics: Callable[[], str], progress: Progress
) -> None:
    """A challenger is in shadow, and copies reach it.

    Raises:
        SetupError: none did within a minute.
    """
    world.shadow_next()
    before = mirrored(metrics()).sent
    for done in range(60):
        progress("waiting for the shadow", done, 60)
        under(replace(asked, rate=20.0, seconds=1.0), "waiting for the shadow", lambda _w, _d, _t: None)
        if mirrored(metrics()).sent > before:
            progress("waiting for the shadow", 60, 60)
            return
    raise SetupError(
        "the bench ended: no request was mirrored to the shadow within a minute",
        next_step="look at the gateway's log, or leave --shadow out",
    )


def mirrored(page: str) -> Mirrored:
    """What /metrics says of copies so far; nothing where it says nothing."""
    counts: Counter[str] = Counter()
    for word, value in _COPIES.findall(page):
        counts[word] += int(float(value))
    shed = {word: count for word, count in sorted(counts.items()) if word.startswith("shed")}
    return Mirrored(counts["sent"], counts["answered"], counts["failed"], shed)


def settled(metrics: Callable[[], str], patience: float = _PATIENCE) -> Mirrored:
    """What became of copies so far, once none is under way, or none has moved for so many seconds.

    A copy that was lost with a process is under way for ever.
    """
    found, ends = mirrored(metrics()), time.monotonic() + patience
    while found.under_way and time.monotonic() < ends:
        time.sleep(0.1)
        if (now := mirrored(metrics())) != found:
            found, ends = now, time.monotonic() + patience
    return found


def between(before: Mirrored, after: Mirrored) -> Mirrored:
    """What became of copies from one look to the next."""
    shed = {word: count - before.shed.get(word, 0) for word, count in after.shed.items()}
    return Mirrored(
        after.sent - before.sent, after.answered - before.answered, after.failed - before.failed, shed
    )


def started(world: GatewayWorld, *, workers: int, threads: int | None, progress: Progress) -> ServerProcess:
    """A gateway that serves the world and is ready."""
    return ServerProcess(
        serve_command(world, workers=workers, threads=threads),
        waiting=lambda seconds: progress("starting the gateway", min(int(seconds), 29), 30),
    )
