"""What company does to the answers of an int8 classifier, and what a second look at close calls costs.

    python -m bench.batches [--artifact FOLDER] [--texts FILE.parquet] [--rounds 3]

Each text is answered alone, and in batches of like length: once as the graph gives them, and once as the
predictor does, which asks close calls again, alone. Printed are milliseconds a text on one thread (medians of
interleaved rounds) and how many texts get another label, and another label or action, than alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from bench.sizes import sealed
from mangaops.inference.answer import Answer
from mangaops.inference.predictor import IntentPredictor, assemble, softmax
from mangaops.pipeline.scratch_model import rows

SIZES, MOST = (4, 16), 2000
Read = list[int]
Way = Callable[[Sequence[Read]], list[Answer]]


def as_the_graph_gives(predictor: IntentPredictor) -> Way:
    """Every row of a batch is an answer, however close a call it is."""

    def answer(read: Sequence[Read]) -> list[Answer]:
        logits = predictor._runs.batch(read).astype(np.float64) / predictor._temperature
        return [predictor._answer(row) for row in softmax(logits)]

    return answer


def answered(way: Way, read: Sequence[Read], size: int) -> tuple[float, list[Answer]]:
    """Seconds a text, and the answers in order; texts of like length share a batch."""
    order = sorted(range(len(read)), key=lambda n: len(read[n]))
    found: dict[int, Answer] = {}
    begun = time.perf_counter()
    for start in range(0, len(order), size):
        places = order[start : start + size]
        found.update(zip(places, way([read[place] for place in places]), strict=True))
    return (time.perf_counter() - begun) / len(read), [found[place] for place in range(len(read))]


def main() -> None:
    """Print a line for each way of answering."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--artifact", type=Path, help="a sealed classifier; default: trained here")
    parser.add_argument("--texts", type=Path, help="a Parquet file with a column `text`; default: made here")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    table = pl.read_parquet(options.texts) if options.texts else rows(MOST, 5)
    texts = table.get_column("text").unique(maintain_order=True).head(MOST).to_list()
    with tempfile.TemporaryDirectory() as folder:
        predictor = assemble(options.artifact or sealed("minilm", Path(folder)), "bench")
        read = [predictor.read(text) for text in texts]
        ways: dict[str, tuple[Way, int]] = {"alone": (predictor.answer_together, 1)}
        for size in SIZES:
            ways[f"batches of {size}, as the graph gives them"] = (as_the_graph_gives(predictor), size)
            ways[f"batches of {size}, close calls again alone"] = (predictor.answer_together, size)
        spent: dict[str, list[float]] = {name: [] for name in ways}
        given: dict[str, list[Answer]] = {}
        for number in range(options.rounds):
            for name in list(ways)[:: 1 if number % 2 else -1]:
                seconds, given[name] = answered(ways[name][0], read, ways[name][1])
                spent[name].append(seconds)
        _print(spent, given)


def _print(spent: dict[str, list[float]], given: dict[str, list[Answer]]) -> None:
    alone = given["alone"]
    print(f"{len(alone)} texts, one thread, medians of {len(spent['alone'])} rounds (baseline: alone)")
    print(f"{'':<40} {'ms a text':>10} {'ratio':>6} {'labels':>8} {'or actions':>11}")
    for name in spent:
        answers = given[name]
        each = statistics.median(spent[name])
        ratio = statistics.median(b / a for a, b in zip(spent["alone"], spent[name], strict=True))
        labels = np.mean([a.label != b.label for a, b in zip(alone, answers, strict=True)])
        actions = [(a.label, a.action) != (b.label, b.action) for a, b in zip(alone, answers, strict=True)]
        print(f"{name:<40} {each * 1000:>10.3f} {ratio:>6.2f} {labels:>8.2%} {np.mean(actions):>11.2%}")


if __name__ == "__main__":
    main()
