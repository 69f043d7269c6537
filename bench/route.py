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
import polars as pl

from mangaops.inference import load
from mangaops.registry.permit import Permit
from mangaops.stack import ModelSpec
from mangaops.training import RECIPES, IntentTraining, Trained, TrainingRequest
from mangaops.vocabulary import Family

BLOCKS, BLOCK = 20, 100
WORDS = {
    "order_tracking": "where is my order the parcel tracking says delivered but nothing arrived yet",
    "promotion": "is there a discount coupon code for the summer sale on box sets this week",
    "escalation": "i want to speak to a human agent right now this is a complaint please",
    "recommendation": "recommend a series like the last one i read with less fighting and more cooking",
}


def rows(count: int, seed: int) -> pl.DataFrame:
    """Rows `text, label` of 3 to 14 words."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        label = list(WORDS)[index % len(WORDS)]
        words = rng.choice(WORDS[label].split(), int(rng.integers(3, 15)))
        made.append({"text": " ".join(words), "label": label})
    return pl.DataFrame(made)


def artifact(folder: Path) -> Trained:
    """A sealed classifier of the embedded base's size."""
    options = IntentTraining(epochs=2, frozen_layers=4)
    spec = ModelSpec(family=Family.INTENT_CLASSIFIER, base="minilm-l6", data="bench", training=options)
    request = TrainingRequest(
        model="intent-classifier",
        version_hint="bench",
        spec=spec,
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name="bench",
        labels=tuple(WORDS),
        train=rows(320, 1),
        validation=rows(100, 2),
        seed=1,
        code_sha="0" * 40,
    )
    return RECIPES[Family.INTENT_CLASSIFIER](request, folder, None)


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
        trained = artifact(Path(scratch) / "artifact")
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
