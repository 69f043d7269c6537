"""ONNX Runtime as `inference.session` sets it up, beside its defaults: same sealed model, same texts.

    python -m bench.session [--artifact FOLDER] [--rounds 10]

Answers a second of one thread and of a thread a core that share the session, one text at a time; and texts a
second of batches of four of equal length on one thread. Sides alternate within each round and change their
order; ratios are medians over the rounds' own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mangaops.inference.preprocessing import encoder
from mangaops.inference.session import MODEL, session
from mangaops.pipeline.scratch_model import rows, scratch_model

SECONDS, TOGETHER = 0.5, 4
Run = Callable[[list[list[int]]], Any]


def default(folder: Path) -> Run:
    """The sealed graph in a session of defaults, but on one thread a call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(str(folder / MODEL), options, ["CPUExecutionProvider"])

    def run(texts: list[list[int]]) -> Any:
        tokens = np.array(texts)
        return opened.run(None, {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})

    return run


def rate(run: Run, batches: list[list[list[int]]], threads: int) -> float:
    """Texts a second of so many threads that share the session."""
    done = [0] * threads

    def work(number: int) -> None:
        ends, place = time.perf_counter() + SECONDS, number * 97
        while time.perf_counter() < ends:
            batch = batches[place % len(batches)]
            run(batch)
            done[number] += len(batch)
            place += 1

    begun = time.perf_counter()
    working = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for each in working:
        each.start()
    for each in working:
        each.join()
    return sum(done) / (time.perf_counter() - begun)


def main() -> None:
    """Print a line for each way of asking."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--artifact", type=Path, help="a sealed classifier; default: trained here")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.artifact or scratch_model(Path(scratch) / "artifact").folder
        reads = encoder(folder)
        alone = [[reads.ids(text)] for text in rows(400, 3).get_column("text")]
        sides = {"defaults": default(folder), "mangaops": session(folder).batch}
        cores = len(os.sched_getaffinity(0))
        ways = {
            "one thread": (alone, 1),
            f"{cores} threads": (alone, cores),
            f"batches of {TOGETHER}, one thread": ([each * TOGETHER for each in alone], 1),
        }
        print(f"texts/s, medians of {options.rounds} rounds (baseline: the defaults of ONNX Runtime)")
        print(f"{'':<26} {'defaults':>9} {'mangaops':>9} {'ratio':>7}")
        for way, (batches, threads) in ways.items():
            found: dict[str, list[float]] = {name: [] for name in sides}
            for number in range(options.rounds):
                for name in list(sides)[:: 1 if number % 2 else -1]:
                    found[name].append(rate(sides[name], batches, threads))
            ratio = statistics.median(b / a for a, b in zip(*found.values(), strict=True))
            base, ours = (statistics.median(each) for each in found.values())
            print(f"{way:<26} {base:>9.0f} {ours:>9.0f} {ratio:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
