"""The gateway beside the bare model, its shadow on and off, and its load curve; all interleaved in one run.

    python -m bench.gateway [--size distilbert] [--artifact FOLDER] [--rounds 5] [--seconds 5]
                            [--plot load-curve.svg]

1. One client, closed loop: what the gateway adds to tokenizer and ONNX Runtime at P50. Promised: under 1 ms.
2. 16 clients, closed loop: answers a second over those of the bare loop on one thread. Promised: 1.8 times.
   Below it, what this machine gives without a gateway: bare loops, a process a core, at the same time.
3. Shadow on and off at a quarter and at half of capacity, open loop. Promised: P95 rises by less than 10 %
   or 1 ms, and by less than 25 %; beside it the share of requests whose copy the shadow answered, and below
   it P95 with the shadow on over all rounds, with its interval at 0.95.
4. Open loop up to 0.8 of capacity, shadow off, as a table and as an SVG file.

Sides alternate within each round, and on and off change their order from round to round; figures are medians
over the rounds' own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.route import bare
from bench.sizes import SIZES, sealed
from mangaops.pipeline import gateway_bench as parts
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.pipeline.load_chart import load_curve
from mangaops.pipeline.server_process import ServerProcess
from mangaops.simulation.load import LoadPlan
from mangaops.simulation.outcome import LoadReport
from mangaops.wiring import make_world

SHARES = (0.25, 0.5)


def quiet(_what: str, _done: int, _total: int) -> None:
    """A bench says its figures at the end."""


@dataclass(frozen=True)
class Running:
    """A gateway that serves a world, the plan of a load on it, and how often each thing is measured."""

    world: GatewayWorld
    server: ServerProcess
    plan: LoadPlan
    rounds: int

    def metrics(self) -> str:
        """What the gateway counted so far."""
        return self.server.get("/metrics")


def closed(running: Running, clients: int) -> LoadReport:
    """What so many clients got who ask one after the other."""
    return parts.under(replace(running.plan, rate=None, concurrency=clients), "clients", quiet)


def bare_loop(answer: Callable[[str], object], texts: list[str], seconds: float) -> tuple[float, float]:
    """P50 in milliseconds and answers a second of one thread that does nothing else."""
    spent: list[float] = []
    ends = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < ends:
        answer(texts[len(spent) % len(texts)])
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1000, len(spent) / sum(spent)


_HERE: dict[str, Any] = {}


def prepare(artifact: Path, start: Barrier) -> None:
    """This process has the bare model, and knows where all wait until each is there."""
    _HERE.update(answer=bare(artifact), start=start)


def answers(texts: list[str], seconds: float) -> float:
    """Answers a second of the bare loop in this process, beside those of the others."""
    _HERE["start"].wait(60.0)
    _, rate = bare_loop(_HERE["answer"], texts, seconds)
    return rate


@contextmanager
def every_core(artifact: Path, texts: list[str]) -> Iterator[Callable[[float], float]]:
    """Call it with seconds for the answers a second of all bare loops, a process a core, at the same time."""
    cores, spawn = len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, spawn, prepare, (artifact, spawn.Barrier(cores))) as pool:

        def together(seconds: float) -> float:
            return sum(pool.map(answers, [texts] * cores, [seconds] * cores))

        together(1.0)
        yield together


def beside_bare(running: Running, artifact: Path) -> float:
    """Prints the first table; gives the capacity."""
    answer, texts = bare(artifact), [each.text for each in running.plan.questions]
    seconds = running.plan.seconds
    bare_loop(answer, texts, 1.0)
    closed(running, parts.CLIENTS)
    rounds: list[tuple[float, float, float, float, float]] = []
    with every_core(artifact, texts) as together:
        for _ in range(running.rounds):
            p50, rate = bare_loop(answer, texts, seconds)
            alone = closed(running, 1).latencies.quantile(0.5)
            many = closed(running, parts.CLIENTS).throughput
            rounds.append((p50, alone, rate, many, together(seconds)))
    p50, alone, rate, many, cores = (statistics.median(each) for each in zip(*rounds, strict=True))
    added = statistics.median(each[1] - each[0] for each in rounds)
    ratio, machine = (statistics.median(each[side] / each[2] for each in rounds) for side in (3, 4))
    print(f"medians of {running.rounds} rounds (baseline: tokenizer and ONNX Runtime on one thread)")
    print(f"{'':<34} {'bare':>9} {'gateway':>9} {'':>12}")
    print(f"{'P50 of one client, ms':<34} {p50:>9.3f} {alone:>9.3f} {added:>+9.3f} ms")
    print(f"{'answers/s, 16 clients':<34} {rate:>9.0f} {many:>9.0f} {ratio:>9.2f} times")
    print(f"{'answers/s, bare, a process a core':<34} {cores:>9.0f} {'':>9} {machine:>9.2f} times one")
    return many


@dataclass
class Side:
    """What the rounds gave with the shadow on, or off."""

    reports: list[LoadReport] = field(default_factory=list)
    copies: list[parts.Mirrored] = field(default_factory=list)

    @property
    def p95(self) -> list[float]:
        """P95 of each round, in milliseconds."""
        return [each.latencies.quantile(0.95) for each in self.reports]

    @property
    def together(self) -> LoadReport:
        """Latencies of all rounds, whose windows stay the blocks of an interval."""
        return replace(self.reports[0], windows=tuple(w for each in self.reports for w in each.windows))

    def measure(self, running: Running, plan: LoadPlan, *, shadow: bool) -> None:
        """One more round; either side begins after a moment of few requests."""
        running.world.end_shadow()
        if shadow:
            parts.begin_shadow(running.world, plan, running.metrics, quiet)
        else:
            parts.under(replace(plan, rate=20.0, seconds=1.0), "shadow off", quiet)
        before = parts.settled(running.metrics)
        self.reports.append(parts.under(plan, "shadow on or off", quiet))
        self.copies.append(parts.between(before, parts.settled(running.metrics)))


def beside_shadow(running: Running, capacity: float) -> None:
    """Prints the third table; the side that begins changes from round to round."""
    print(f"\nshadow on against off, open loop, medians of {running.rounds} rounds (baseline: off)")
    print(f"{'load':<6} {'P95 off':>9} {'P95 on':>9} {'rise':>9} {'ratio':>7} {'coverage':>9} {'shed':>6}")
    sides = {share: (Side(), Side()) for share in SHARES}
    for share, (off, on) in sides.items():
        for number in range(running.rounds):
            plan = replace(running.plan, rate=share * capacity, seed=number)
            for shadow in (False, True) if number % 2 == 0 else (True, False):
                (on if shadow else off).measure(running, plan, shadow=shadow)
        print(f"{share:<6.0%} {_compared(off, on)}", flush=True)
    running.world.end_shadow()
    for share, (_, on) in sides.items():
        value, low, high = on.together.interval(0.95)
        told = f"{value:.2f} ms ({_ms(low)} to {_ms(high)})"
        print(f"P95 at {share:.0%} of capacity, shadow on, all rounds: {told}")


def _compared(off: Side, on: Side) -> str:
    pairs = list(zip(off.p95, on.p95, strict=True))
    rise = statistics.median(b - a for a, b in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    shed = sum(sum(each.shed.values()) for each in on.copies)
    answered, sent = (sum(getattr(each, name) for each in on.copies) for name in ("answered", "sent"))
    return (
        f"{statistics.median(off.p95):>9.2f} {statistics.median(on.p95):>9.2f} {rise:>+9.2f} "
        f"{ratio:>7.2f} {answered / max(1, sent + shed):>9.1%} {shed:>6}"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def curve(running: Running, capacity: float, plot: Path) -> None:
    """Prints the load curve, and draws it."""
    print("\nload curve, open loop, shadow off; P95 with its interval at 0.95")
    print(f"{'load':<6} {'P50 ms':>8} {'P95 ms':>8} {'low':>8} {'high':>8} {'P99 ms':>8} {'failed':>7}")
    points = []
    for share in parts.CURVE:
        plan = replace(running.plan, rate=share * capacity, seconds=running.plan.seconds * running.rounds)
        report = parts.under(plan, "load curve", quiet)
        points.append(parts.Point(share, report))
        told = report.as_dict()
        values = [told[name] for name in ("p50_ms", "p95_ms", "p95_ms_low", "p95_ms_high", "p99_ms")]
        shown = " ".join(f"{_ms(value):>8}" for value in values)
        print(f"{share:<6.0%} {shown} {report.failed:>7}")
    plot.write_text(load_curve(points, "latency by load, shadow off"), encoding="utf-8")
    print(f"drawn as {plot}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--artifact", type=Path, help="a sealed classifier; default: trained here")
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help="of the one that is trained here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load in a round")
    parser.add_argument("--plot", type=Path, default=Path("load-curve.svg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        artifact = options.artifact or sealed(options.size, Path(folder))
        world = make_world(Path(folder) / "world", artifact)
        with parts.started(world, workers=1, threads=None, progress=quiet) as server:
            plan = LoadPlan(server.url, world.questions(), options.seconds, expected=world.expected(1))
            running = Running(world, server, plan, options.rounds)
            capacity = beside_bare(running, artifact)
            beside_shadow(running, capacity)
            curve(running, capacity, options.plot)


if __name__ == "__main__":
    main()
