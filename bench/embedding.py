"""Embedding a whole catalogue: items a second, memory, and what a kill -9 at the half costs.

    python -m bench.embedding [--items 50000] [--compared 5000] [--seed 7]

The items are those of simulated shops; the adapter is the recipe's with its defaults but for its steps, on
the embedded base, sealed and loaded as a release's is. What embeds is `embed_catalogue`, as for each release,
in a process of its own: that one is killed by SIGKILL once half of the items are kept, and started again.
`--compared` items are then embedded by a run that nobody kills, whose bytes are to be the same. 50,000 items
take minutes, so `python -m bench` leaves it out.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import polars as pl

from mangaops.inference import load_embedder
from mangaops.inference.catalogue import reading
from mangaops.pipeline.embedding_run import TOGETHER, embed_catalogue
from mangaops.registry import Permit
from mangaops.simulation.queries import queries
from mangaops.simulation.shop import MOST, shop
from mangaops.stack import ModelSpec
from mangaops.store import EmbeddedChunks
from mangaops.training import RECIPES, AdapterTraining, PairRequest
from mangaops.vocabulary import Family

Items = list[tuple[str, str]]
CATALOGUE = "sha256:" + "0" * 64
TITLES, ASKED = 200, 60


@dataclass
class Run:
    """One process that embeds: what it said last, and the seconds from its start to its end."""

    kept: int = 0
    made: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0


def tell(what: str, done: int, total: int) -> None:
    """A line on the terminal that the next one takes the place of; nothing in a pipe."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done:,} of {total:,}   ", end="\n" if done == total else "", file=sys.stderr)


def read(frame: pl.DataFrame) -> Iterator[str]:
    """What models read of each title."""
    return (reading(row) for row in frame.iter_rows(named=True))


def catalogue(count: int, seed: int) -> Items:
    """So many items, id and text, of as many simulated shops as that takes."""
    items: Items = []
    while len(items) < count:
        number = len(items) // MOST
        titles = shop(seed + number, min(MOST, max(100, count - len(items))))
        items += [
            (f"{number}-{each}", text) for each, text in zip(titles["item_id"], read(titles), strict=True)
        ]
        tell("simulating shops", min(len(items), count), count)
    return items[:count]


def adapter(folder: Path, seed: int) -> Permit:
    """Leave to load the sealed adapter that lies in `folder` now: what it learnt changes no cost."""
    titles = shop(seed, TITLES)
    asked, judged = queries(seed, ASKED, titles)
    known = judged.filter(pl.col("query_id").is_in(asked["query_id"].head(ASKED // 2).implode()))
    options = AdapterTraining(steps=2, checks=1, batch=16)
    spec = ModelSpec(family=Family.EMBEDDING_ADAPTER, base="minilm-l6", data="bench", training=options)
    request = PairRequest(
        model="adapter",
        version_hint="bench",
        spec=spec,
        snapshot_digest=CATALOGUE,
        snapshot_name="bench",
        items=titles.select("item_id", text=pl.Series(list(read(titles)))),
        train=known,
        validation=judged.join(known, on="query_id", how="anti"),
        seed=seed,
        code_sha="0" * 40,
    )
    made = RECIPES[Family.EMBEDDING_ADAPTER](request, folder, None)
    return Permit("adapter", "v1", made.digest, made.fingerprint)


def embed(place: Path, folder: Path, permit: Permit, items: Items, told: Connection) -> None:
    """The process: says after each chunk how many items it kept and made; leaves the rows in `place`."""
    embedder, made = load_embedder(folder, permit), 0

    def counted(texts: list[str]) -> np.ndarray:
        nonlocal made
        made += len(texts)
        return embedder.vectors(texts)

    found = embed_catalogue(
        items,
        counted,
        embedder=permit.artifact,
        catalogue=CATALOGUE,
        chunks=EmbeddedChunks(place / "chunks"),
        progress=lambda _what, done, _total: told.send((done, made, most())),
    )
    (place / "rows.f32").write_bytes(found.rows.tobytes())


def most() -> float:
    """The megabytes that this process had at most; `getrusage` would count its parent's, too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def run(place: Path, folder: Path, permit: Permit, items: Items, *, kill_at: int | None = None) -> Run:
    """What a process did until its end, or until it was killed with so many items kept."""
    spawn, seen, begun = multiprocessing.get_context("spawn"), Run(), time.perf_counter()
    hears, tells = spawn.Pipe(duplex=False)
    place.mkdir(exist_ok=True)
    process = spawn.Process(target=embed, args=(place, folder, permit, items, tells))
    process.start()
    tells.close()
    try:
        while kill_at is None or seen.kept < kill_at:
            seen.kept, seen.made, seen.megabytes = hears.recv()
            tell("embedding the catalogue", seen.kept, len(items))
        process.kill()
    except EOFError:
        if kill_at is not None:
            raise
    process.join()
    if kill_at is None and process.exitcode:
        raise SystemExit(f"embedding ended with exit code {process.exitcode}")
    seen.seconds = time.perf_counter() - begun
    return seen


def main() -> None:
    """Print what embedding so many items costs, with a kill at the half."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument(
        "--compared", type=int, default=5_000, help="items embedded again by an undisturbed run"
    )
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    items = catalogue(options.items, options.seed)
    length = np.mean([len(text.split()) for _, text in items])
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{len(items):,} items of {length:.0f} words; {cores} cores, load average {load:.1f} before")
    with tempfile.TemporaryDirectory() as scratch:
        place, folder = Path(scratch), Path(scratch) / "adapter"
        permit = adapter(folder, options.seed)
        killed = run(place / "killed", folder, permit, items, kill_at=len(items) // 2)
        print(f"killed after {killed.seconds:.0f} s: {killed.kept:,} items were kept", flush=True)
        again = run(place / "killed", folder, permit, items)
        found, whole = len(items) - again.made, killed.seconds + again.seconds
        print(f"started again: {found:,} found, {again.made:,} embedded anew, {again.seconds:.0f} s")
        print(f"whole: {whole:.0f} s, {len(items) / whole:.1f} items/s, both starts of a process with them")
        print(f"MB at most: {max(killed.megabytes, again.megabytes):,.0f}; a chunk has {TOGETHER} items")
        if options.compared:
            part = items[: options.compared]
            calm = run(place / "calm", folder, permit, part)
            rate = len(part) / calm.seconds
            print(f"undisturbed: {len(part):,} items in {calm.seconds:.0f} s, {rate:.1f} items/s")
            rows, calmly = (np.fromfile(place / name / "rows.f32", "<f4") for name in ("killed", "calm"))
            same = rows[: calmly.size].tobytes() == calmly.tobytes()
            print(f"its bytes and those of the killed run: {'equal' if same else 'DIFFERENT'}")
        digest = hashlib.sha256((place / "killed" / "rows.f32").read_bytes()).hexdigest()
        print(f"sha256 of all vectors {digest[:16]}, load average {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
