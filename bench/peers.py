"""The gateway beside LitServe, MLServer and `mlflow models serve`, all with the same model, in one run.

    python -m bench.peers [--environments FOLDER] [--size distilbert] [--artifact FOLDER]
                          [--rounds 5] [--seconds 4]

Each peer gets an environment of its own, since they cannot live in one: made here with venv and pip (some
minutes and gigabytes), kept in the folder that is named, gone afterwards where none is. Every server may
use all cores: peers by a worker a core, the gateway by its threads. In each round all are asked in turn, one
client and then 16, each in a closed loop; only the one that is asked runs. Figures are medians of rounds.
`make bench` leaves this one out.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.sizes import SIZES, sealed
from mangaops.pipeline.gateway_bench import serve_command, under
from mangaops.pipeline.scratch_model import rows
from mangaops.pipeline.server_process import ServerProcess
from mangaops.simulation.load import ROUTER_BODY, LoadPlan, Question
from mangaops.wiring import make_world

SERVERS = Path(__file__).resolve().parent / "peer_servers"
RUNTIME = ("onnxruntime", "tokenizers", "numpy")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Peer:
    """A server: what it installs, how it is started for a model in a scratch folder, and how it is asked."""

    name: str
    packages: tuple[str, ...]
    start: Callable[[Path, Path, Path], ServerProcess]
    path: str
    body: str


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def of(environment: Path) -> dict[str, str]:
    """The variables under which a peer finds its own programs, and the model beside its script."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "PYTHONPATH": str(SERVERS), "VIRTUAL_ENV": str(environment)}


def start_litserve(environment: Path, model: Path, scratch: Path) -> ServerProcess:
    """LitServe serves the model."""
    port = free_port()
    script = str(SERVERS / "litserve_peer.py")
    command = [str(environment / "bin" / "python"), script, str(model), str(port), str(CORES)]
    url = f"http://127.0.0.1:{port}"
    return ServerProcess(command, url=url, ready="/health", environment=of(environment), folder=scratch)


def start_mlserver(environment: Path, model: Path, scratch: Path) -> ServerProcess:
    """MLServer serves the model."""
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings |= {"parallel_workers": CORES, "debug": False}
    place = scratch / "mlserver"
    place.mkdir(exist_ok=True)
    (place / "settings.json").write_text(json.dumps(settings))
    runtime = {
        "name": "router",
        "implementation": "mlserver_peer.Router",
        "parameters": {"uri": str(model)},
    }
    (place / "model-settings.json").write_text(json.dumps(runtime))
    command = [str(environment / "bin" / "mlserver"), "start", str(place)]
    url, ready = f"http://127.0.0.1:{port}", "/v2/models/router/ready"
    return ServerProcess(command, url=url, ready=ready, environment=of(environment), folder=place)


def start_mlflow(environment: Path, model: Path, scratch: Path) -> ServerProcess:
    """`mlflow models serve` serves the model."""
    port, saved = free_port(), scratch / "mlflow"
    if not saved.exists():
        python = str(environment / "bin" / "python")
        command = [python, str(SERVERS / "mlflow_peer.py"), str(model), str(saved)]
        subprocess.run(command, check=True, cwd=scratch, env={**os.environ, **of(environment)})
    command = [str(environment / "bin" / "mlflow"), "models", "serve", "--model-uri", str(saved)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(CORES)]
    url = f"http://127.0.0.1:{port}"
    return ServerProcess(command, url=url, ready="/ping", environment=of(environment), folder=scratch)


OPEN_INFERENCE = '{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["TEXT"]}]}'
PEERS = (
    Peer("litserve", ("litserve",), start_litserve, "/predict", ROUTER_BODY),
    Peer(
        "mlserver",
        ("mlserver>=1.6", "uvloop<0.22"),
        start_mlserver,
        "/v2/models/router/infer",
        OPEN_INFERENCE,
    ),  # its workers end under a newer one
    Peer("mlflow", ("mlflow>=3", "uvicorn"), start_mlflow, "/invocations", '{"inputs": ["TEXT"]}'),
)


def environment(peer: Peer, folder: Path) -> Path:
    """An environment in which the peer is installed; one that is there is used as it is."""
    place = folder / peer.name
    done = place / ".installed"
    if not done.exists():
        print(f"installing {', '.join(peer.packages)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *peer.packages, *RUNTIME], check=True)
        done.touch()
    return place


def asked(url: str, path: str, body: str, reads: str, seconds: float) -> tuple[float, float, int]:
    """P50 in milliseconds of one client, answers a second of 16, and how many requests failed."""
    texts = tuple(Question(text) for text in rows(400, 3)["text"])
    plan = LoadPlan(url, texts, seconds, path=path, body=body, reads=reads, concurrency=1)  # type: ignore[arg-type]
    quiet = _quiet
    under(replace(plan, concurrency=16, seconds=1.0), "warming up", quiet)
    alone = under(plan, "one client", quiet)
    crowd = under(replace(plan, concurrency=16), "16 clients", quiet)
    return alone.latencies.quantile(0.5), crowd.throughput, alone.failed + crowd.failed


def _quiet(_what: str, _done: int, _total: int) -> None:
    """A bench says its figures at the end."""


def measure(
    peers: Sequence[Peer], places: Path, artifact: Path, scratch: Path, rounds: int, seconds: float, own: bool
) -> None:
    """Prints the table."""
    world = make_world(scratch / "world", artifact) if own else None
    found: dict[str, list[tuple[float, float, int]]] = {}
    for number in range(rounds):
        if world is not None:
            with ServerProcess(serve_command(world, workers=1, threads=None)) as server:
                told = asked(server.url, "/v1/route", ROUTER_BODY, "route", seconds)
            found.setdefault("gateway", []).append(told)
        for peer in peers:
            with peer.start(environment(peer, places), artifact, scratch) as server:
                told = asked(server.url, peer.path, peer.body, "any", seconds)
            found.setdefault(peer.name, []).append(told)
        print(f"round {number + 1} of {rounds}", flush=True)
    first = next(iter(found))
    print(f"medians of {rounds} rounds, {CORES} cores (baseline: {first})")
    print(f"{'server':<10} {'P50 of 1, ms':>13} {'16 clients, /s':>15} {'ratio':>7} {'failed':>7}")
    base = statistics.median(each[1] for each in found[first])
    for name, each in found.items():
        p50, rate = (statistics.median(one[at] for one in each) for at in (0, 1))
        print(f"{name:<10} {p50:>13.2f} {rate:>15.0f} {rate / base:>7.2f} {sum(o[2] for o in each):>7}")


def main() -> None:
    """Print the table, of all peers or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--environments", type=Path, help="where the peers' environments are kept")
    parser.add_argument("--artifact", type=Path, help="a sealed classifier; default: trained here")
    parser.add_argument("--size", choices=SIZES, default=SIZES[0], help="of the one that is trained here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS], help="these peers")
    parser.add_argument("--without-gateway", action="store_true", help="the peers alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        places = (options.environments or scratch / "environments").absolute()
        artifact = (options.artifact or sealed(options.size, scratch)).absolute()
        chosen = [peer for peer in PEERS if peer.name in options.only]
        own = not options.without_gateway
        measure(chosen, places, artifact, scratch, options.rounds, options.seconds, own)


if __name__ == "__main__":
    main()
