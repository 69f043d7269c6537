"""`bench gateway`: what a gateway does under load, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, shared

bench = typer.Typer(help="Figures of this machine, in a world of their own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    bench.command(epilog="Example: mangaops bench gateway --load 0.5 --cutovers 20 --rollbacks 20")(gateway)
    bench.callback()(_group)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Figures of this machine, in a world of their own."""


@shared
def gateway(
    call: Call,
    unit: Annotated[str, typer.Option(help="The unit of the scratch world: router or retrieval.")] = "router",
    rate: Annotated[float | None, typer.Option(min=0.01, help="Requests a second; wins over --load.")] = None,
    load: Annotated[
        float, typer.Option(min=0.01, max=2, help="Load as a share of the capacity, measured first.")
    ] = 0.5,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long the load lasts at least.")] = 20.0,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes of the gateway.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads a worker; default: as the gateway chooses.")
    ] = None,
    cutovers: Annotated[int, typer.Option(min=0, help="Promotions under the load.")] = 0,
    rollbacks: Annotated[int, typer.Option(min=0, help="Rollbacks under the load.")] = 0,
    shadow: Annotated[
        bool, typer.Option("--shadow/--no-shadow", help="A challenger answers a copy of every request.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="A gateway that runs already, as http://HOST:PORT; moves no champion.")
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            help="A sealed classifier, or a folder with adapter and reranker; default: trained for a moment."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Measure a load curve, too, and draw it as this SVG file.")
    ] = None,
) -> None:
    """Load a gateway in a world of its own, move its champion meanwhile, and print what users saw.

    Exit 1 where a request of the load failed or was answered by mixed versions.
    """
    from mangaops.pipeline.gateway_bench import BenchPlan
    from mangaops.wiring import bench_gateway

    plan = BenchPlan(rate, load, seconds, cutovers, rollbacks, shadow, curve=plot is not None)
    with call.progress() as progress:
        told = bench_gateway(
            plan,
            unit=unit,
            url=url,
            workers=workers,
            threads=threads,
            artifact=artifact,
            plot=plot,
            progress=progress,
        )
    why = _broken(told)
    call.finish(told, lambda: _render(told), code=1 if why else 0, why=why)


def _broken(told: dict[str, Any]) -> str:
    """What a gateway must never do to a user and did; nothing where it did not."""
    if not told["failed"] and not told["mixed_version"]:
        return ""
    return (
        f"of {told['requests']:,} requests {told['failed']:,} failed, "
        f"and {told['mixed_version']:,} were answered by mixed versions"
    )


def _render(told: dict[str, Any]) -> None:
    screen.table("Under load", ("what", "value"), [row for row in _rows(told) if row[1] is not None])
    if told["curve"]:
        columns = ("share", "rate", "p50_ms", "p95_ms", "p99_ms", "failed")
        screen.records("Load curve", columns, told["curve"])


def _rows(told: dict[str, Any]) -> list[tuple[str, str | None]]:
    def count(name: str) -> str:
        return f"{told[name]:,}"

    def slowest(name: str, of: str) -> str | None:
        median = told[f"{name}_ms_median"]
        return None if median is None else f"{told[f'{name}_ms']:.1f} ms at most, median {median:.1f} ({of})"

    errors = ", ".join(f"{screen.short(why)} {times}" for why, times in told["errors"].items())
    moved = bool(told["cutovers"] or told["rollbacks"])
    return [
        ("capacity", f"{told['capacity']:.0f} requests/s"),
        ("asked", f"{told['rate']:.0f} requests/s for {told['seconds']:.0f} s"),
        ("requests", count("requests")),
        ("failed", count("failed") + (f" ({errors})" if errors else "")),
        ("mixed versions", count("mixed_version")),
        *((name.upper(), _latency(told, f"{name}_ms")) for name in ("p50", "p95", "p99")),
        ("cutovers, rollbacks", f"{told['cutovers']}, {told['rollbacks']}" if moved else None),
        ("switch of a worker", slowest("switch", "ready to active")),
        ("promotion", slowest("promotion", "call to everybody's acknowledgement")),
        ("rollback", slowest("rollback", "call to everybody's acknowledgement")),
        ("did not acknowledge", count("silent") if moved else None),
        ("shadow", _shadow(told)),
        ("client", f"{told['client_busy']:.0%} of a core, P99 {told['client_late_p99_ms']} ms behind"),
    ]


def _latency(told: dict[str, Any], name: str) -> str | None:
    if told[name] is None:
        return None
    low, high = (told[f"{name}_{side}"] for side in ("low", "high"))
    return f"{told[name]:.2f} ms ({screen.short(low)} to {screen.short(high)})"


def _shadow(told: dict[str, Any]) -> str | None:
    coverage = told["coverage"]
    if coverage is None:
        return None
    lost = f"{told['shed']} shed, {told['unanswered']} sent and not answered"
    return f"{coverage:.1%} of the copies answered ({lost})"
