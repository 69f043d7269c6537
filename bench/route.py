"""What the predictor adds to one answer: `answer(text)` against bare tokenizer and ONNX Runtime, same model.

    python bench/route.py

A six-layer encoder is trained for a moment by the real recipe and sealed; both sides then answer the same
texts one at a time on one thread, in blocks that alternate. Quantiles are medians over the blocks' own.
The promise: less than 0.2 ms on top at P50.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mangaops.inference import load
from mangaops.pipeline.scratch_model import rows, scratch_model
from mangaops.registry.permit import Permit

BLOCKS, BLOCK = 20, 100


def bare(folder: Path) -> Callable[[str], object]:
    """The least code that gets logits from the sealed files."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, ["CPUExecutionProvider"])

    def answer(text: str) -> object:
        ids = np.array([tokenizer.encode(text).ids])
        return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0].argmax()

    return answer


def block(answer: Callable[[str], object], texts: list[str]) -> list[float]:
    """Milliseconds of each single answer."""
    spent = []
    for text in texts:
        start = time.perf_counter_ns()
        answer(text)
        spent.append((time.perf_counter_ns() - start) / 1e6)
    return spent


def main() -> None:
    """Print both sides' quantiles, their ratio and the difference."""
    texts = rows(BLOCKS * BLOCK, 3).get_column("text").to_list()
    with tempfile.TemporaryDirectory() as scratch:
        trained = scratch_model(Path(scratch) / "artifact")
        permit = Permit("intent-classifier", "v1", trained.digest, trained.fingerprint)
        sides = {"bare": bare(trained.folder), "predictor": load(trained.folder, permit).answer}
        for side in sides.values():
            block(side, texts[:BLOCK])
        spent: dict[str, list[list[float]]] = {name: [] for name in sides}
        for number in range(BLOCKS):
            order = list(sides)[:: 1 if number % 2 else -1]
            for name in order:
                spent[name].append(block(sides[name], texts[number * BLOCK : (number + 1) * BLOCK]))
    print(
        f"{BLOCKS} blocks of {BLOCK} single answers a side, one thread, medians over blocks (baseline: bare)"
    )
    print(f"{'quantile':<10} {'bare ms':>9} {'predictor ms':>13} {'ratio':>7} {'added ms':>9}")
    for quantile in (0.5, 0.95, 0.99):
        at = {name: [float(np.quantile(one, quantile)) for one in each] for name, each in spent.items()}
        base, ours = statistics.median(at["bare"]), statistics.median(at["predictor"])
        added = statistics.median(b - a for a, b in zip(at["bare"], at["predictor"], strict=True))
        print(f"P{quantile * 100:<9.0f} {base:>9.3f} {ours:>13.3f} {ours / base:>7.3f} {added:>+9.3f}")


if __name__ == "__main__":
    main()
