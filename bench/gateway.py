"""The gateway beside the bare model, its shadow on and off, and its load curve; all interleaved in one run.

    python -m bench.gateway [--artifact FOLDER] [--rounds 5] [--seconds 5] [--plot load-curve.svg]

1. One client, closed loop: what the gateway adds to tokenizer and ONNX Runtime at P50. Promised: under 1 ms.
2. 16 clients, closed loop: answers a second over those of the bare loop on one thread. Promised: 1.8 times.
3. Shadow on and off at a quarter and at half of capacity, open loop. Promised: P95 rises by less than 10 %
   or 1 ms, and by less than 25 %; beside it the share of requests whose copy reached the shadow.
4. Open loop up to 0.8 of capacity, shadow off, as a table and as an SVG file.

Sides alternate within each round; figures are medians over the rounds' own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.route import bare
from mangaops.pipeline import gateway_bench as parts
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.pipeline.load_chart import load_curve
from mangaops.pipeline.scratch_model import scratch_model
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

    def copies(self) -> parts.Mirrored:
        """What became of copies so far."""
        return parts.mirrored(self.server.get("/metrics"))


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


def beside_bare(running: Running, artifact: Path) -> float:
    """Prints the first two tables; gives the capacity."""
    answer, texts = bare(artifact), [each.text for each in running.plan.questions]
    bare_loop(answer, texts, 1.0)
    closed(running, parts.CLIENTS)
    rounds: list[tuple[float, float, float, float]] = []
    for _ in range(running.rounds):
        p50, rate = bare_loop(answer, texts, running.plan.seconds)
        alone = closed(running, 1).latencies.quantile(0.5)
        rounds.append((p50, alone, rate, closed(running, parts.CLIENTS).throughput))
    p50, alone, rate, many = (statistics.median(each) for each in zip(*rounds, strict=True))
    added = statistics.median(each[1] - each[0] for each in rounds)
    ratio = statistics.median(each[3] / each[2] for each in rounds)
    print(f"medians of {running.rounds} rounds (baseline: tokenizer and ONNX Runtime on one thread)")
    print(f"{'':<24} {'bare':>9} {'gateway':>9} {'':>12}")
    print(f"{'P50 of one client, ms':<24} {p50:>9.3f} {alone:>9.3f} {added:>+9.3f} ms")
    print(f"{'answers/s, 16 clients':<24} {rate:>9.0f} {many:>9.0f} {ratio:>9.2f} times")
    return many


def beside_shadow(running: Running, capacity: float) -> None:
    """Prints the third table."""
    print(f"\nshadow on against off, open loop, medians of {running.rounds} rounds (baseline: off)")
    print(f"{'load':<6} {'P95 off':>9} {'P95 on':>9} {'rise':>9} {'ratio':>7} {'coverage':>9} {'shed':>6}")
    for share in SHARES:
        plan = replace(running.plan, rate=share * capacity)
        off: list[float] = []
        on: list[float] = []
        copies: list[parts.Mirrored] = []
        for number in range(running.rounds):
            running.world.end_shadow()
            off.append(parts.under(replace(plan, seed=number), "shadow off", quiet).latencies.quantile(0.95))
            parts.begin_shadow(running.world, plan, lambda: running.server.get("/metrics"), quiet)
            before = running.copies()
            on.append(parts.under(replace(plan, seed=number), "shadow on", quiet).latencies.quantile(0.95))
            copies.append(parts.between(before, running.copies()))
        rise = statistics.median(b - a for a, b in zip(off, on, strict=True))
        ratio = statistics.median(b / a for a, b in zip(off, on, strict=True))
        shed = sum(sum(each.shed.values()) for each in copies)
        sent = sum(each.sent for each in copies)
        print(
            f"{share:<6.0%} {statistics.median(off):>9.2f} {statistics.median(on):>9.2f} {rise:>+9.2f} "
            f"{ratio:>7.2f} {sent / max(1, sent + shed):>9.1%} {shed:>6}"
        )
    running.world.end_shadow()


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
        shown = " ".join(f"{'-' if value is None else format(value, '.2f'):>8}" for value in values)
        print(f"{share:<6.0%} {shown} {report.failed:>7}")
    plot.write_text(load_curve(points, "latency by load, shadow off"), encoding="utf-8")
    print(f"drawn as {plot}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--artifact", type=Path, help="a sealed classifier; default: trained here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load in a round")
    parser.add_argument("--plot", type=Path, default=Path("load-curve.svg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        artifact = options.artifact or scratch_model(Path(folder) / "artifact").folder
        world = make_world(Path(folder) / "world", artifact)
        with parts.started(world, workers=1, threads=None, progress=quiet) as server:
            plan = LoadPlan(server.url, world.questions(), options.seconds, expected=world.expected(1))
            running = Running(world, server, plan, options.rounds)
            capacity = beside_bare(running, artifact)
            beside_shadow(running, capacity)
            curve(running, capacity, options.plot)


if __name__ == "__main__":
    main()
