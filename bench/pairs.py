"""What it would save to embed texts, or to score a query's candidates, together; and what it would change.

    python -m bench.pairs [--embedder FOLDER] [--reranker FOLDER] [--depth 20] [--queries 20]

Folders are sealed artifacts; without one, the embedded base stands in, its scores untrained. Alone is how
they serve; together is one padded batch, sorted by length. Sides alternate, on one thread; ratios are medians
over the rounds' own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mangaops.inference.preprocessing import encoder, pair_encoder
from mangaops.inference.session import MODEL, SIMILARITY, session

ROUNDS = 3
NEAR = 0.5
WORDS = (
    "manga",
    "volume",
    "signed",
    "cover",
    "slow",
    "dark",
    "school",
    "robots",
    "cooking",
    "ghost",
    "train",
    "sea",
)


def texts(count: int, least: int, most: int, rng: np.random.Generator) -> list[str]:
    """So many texts of `least` to `most` words."""
    return [" ".join(rng.choice(list(WORDS), int(rng.integers(least, most)))) for _ in range(count)]


def padded(runs: Any, read: list[tuple[list[int], list[int] | None]]) -> np.ndarray:
    """The rows of one batch of ids and types, padded to the longest."""
    feed = {name: np.zeros((len(read), max(len(ids) for ids, _ in read)), np.int64) for name in runs.inputs}
    if SIMILARITY in feed:
        feed[SIMILARITY] = np.full((len(read), 1), NEAR, np.float32)
    for row, (ids, types) in enumerate(read):
        feed["input_ids"][row, : len(ids)] = ids
        feed["attention_mask"][row, : len(ids)] = 1
        if types is not None:
            feed["token_type_ids"][row, : len(ids)] = types
    return np.asarray(runs.opened.run(None, feed)[0])


def spent(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds, and what came out."""
    begun = time.perf_counter()
    made = work()
    return time.perf_counter() - begun, made


def shown(name: str, batches: list[list[Any]], alone: Callable[[Any], np.ndarray], runs: Any) -> None:
    """One line: milliseconds alone, the ratio together, and what changes."""
    ratios, times, changed, apart = [], [], [], 0.0
    for _ in range(ROUNDS):
        took = [0.0, 0.0]
        for read in batches:
            one, rows = spent(lambda read=read: np.stack([alone(each) for each in read]))  # type: ignore[misc]
            two, together = spent(lambda read=read: padded(runs, read))  # type: ignore[misc]
            took = [took[0] + one, took[1] + two]
            apart = max(apart, float(np.abs(rows - together).max()))
            if rows.shape[1] == 1:
                fronts = [set(np.argsort(-each[:, 0], kind="stable")[:3]) for each in (rows, together)]
                changed.append(fronts[0] != fronts[1])
        ratios.append(took[1] / took[0])
        times.append(1000 * took[0] / len(batches))
    first = f", {np.mean(changed):.1%} of first threes change" if changed else ""
    print(
        f"{name}: {statistics.median(times):.1f} ms alone, together {statistics.median(ratios):.2f} of that; "
        f"a number moves by up to {apart:.4f}{first}"
    )


class Opened:
    """A sealed graph and its inputs."""

    def __init__(self, folder: Path, inputs: tuple[str, ...]) -> None:
        self.session = session(folder, inputs=inputs)
        self.inputs, self.opened = inputs, self.session._session


def stand_ins(folder: Path) -> tuple[Path, Path]:
    """Folders of an embedder and a reranker (two layers) of the embedded base, int8 and untrained."""
    from tokenizers import Tokenizer

    from mangaops.inference.preprocessing import Encoder, PairEncoder, PairPreprocessing, Preprocessing
    from mangaops.training.foreign import translated
    from mangaops.training.steps import bases, export
    from mangaops.training.steps.crossing import crossing
    from mangaops.training.steps.embedding import embedding

    base = bases.find("minilm-l6").folder
    spec = PairPreprocessing(max_tokens=64, takes="query and text")
    pairs = PairEncoder(Tokenizer.from_file(str(base / "tokenizer.json")), spec)
    single = Encoder(Tokenizer.from_file(str(base / "tokenizer.json")), Preprocessing(max_tokens=128))
    with translated("making stand-ins"):
        flat = np.ones(pairs.tokenizer.get_vocab_size(), np.float32)
        made = ((single, embedding(base)), (pairs, crossing(base, 2, pairs, flat).scoring))
        for (reads, network), name in zip(made, ("embedder", "reranker"), strict=True):
            (folder / name).mkdir()
            export.to_onnx(network, folder / "fp32.onnx", reads.inputs)
            export.to_int8(folder / "fp32.onnx", folder / name / MODEL)
            reads.save(folder / name)
    return folder / "embedder", folder / "reranker"


def main() -> None:
    """Print a line for each graph."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--reranker", type=Path)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--queries", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not (asked.embedder or asked.reranker):
            asked.embedder, asked.reranker = stand_ins(Path(folder))
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Print a line for each graph that is named."""
    rng = np.random.default_rng(0)
    if asked.embedder:
        reads = encoder(asked.embedder)
        graph = Opened(asked.embedder, reads.inputs)
        drawn = [texts(asked.depth, 20, 80, rng) for _ in range(asked.queries)]
        rows = [
            sorted(((reads.ids(text), None) for text in some), key=lambda one: len(one[0])) for some in drawn
        ]
        shown(f"{asked.depth} items", rows, lambda one: graph.session.alone(one[0]), graph)
    if asked.reranker:
        pairs = pair_encoder(asked.reranker)
        scored = Opened(asked.reranker, pairs.inputs)
        batches = []
        for query in texts(asked.queries, 2, 8, rng):
            read = [pairs.ids(pairs.query(query), text) for text in texts(asked.depth, 20, 80, rng)]
            batches.append(sorted(read, key=lambda one: len(one[0])))
        shown(
            f"a query of {asked.depth} candidates",
            batches,
            lambda one: scored.session.pair(*one, NEAR),
            scored,
        )


if __name__ == "__main__":
    main()
