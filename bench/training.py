"""Training rows a second: the recipe's step against float32 with every row padded to the full length.

The baseline trains on a thread a core, as torch does by default; the recipe on one, where it does not say.

    python bench/training.py

Both train the embedded base on the same rows, in blocks that alternate; medians over the blocks. With
MANGAOPS_CLINC150 set to its Parquet file the rows are that dataset's, else texts of similar length.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import polars as pl

BATCH, STEPS, ROUNDS, PADDED = 32, 8, 4, 32
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "recipe, fp32": {"precision": "fp32"},
    "recipe, 3 frozen layers": {"frozen_layers": 3},
    "recipe, a thread a core": {"threads": 0},
}


def texts() -> pl.DataFrame:
    """1,024 rows `text, label`."""
    if path := os.environ.get("MANGAOPS_CLINC150"):
        rows = pl.read_parquet(path).filter("in_full").select("text", label="intent")
        return rows.sample(BATCH * STEPS * ROUNDS, seed=1)
    rng = np.random.default_rng(1)
    sentence = "please can you tell me where is my last order and what does it cost to return one"
    lengths = np.clip(rng.normal(8.5, 3.5, BATCH * STEPS * ROUNDS), 2, 25).astype(int)
    made = [" ".join(rng.choice(sentence.split(), n)) for n in lengths]
    return pl.DataFrame({"text": made, "label": [f"label {n % 150}" for n in range(len(made))]})


def static_padding(rows: object, labels: int) -> Callable[[list[int]], None]:
    """The plain loop: float32, AdamW, every row padded to 32 tokens."""
    import torch
    from torch.nn import functional

    from mangaops.training import IntentTraining
    from mangaops.training.steps import bases
    from mangaops.training.steps.network import classifier

    network = classifier(bases.find("minilm-l6").folder, labels, IntentTraining()).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4)

    def step(batch: list[int]) -> None:
        ids = np.zeros((len(batch), PADDED), dtype=np.int64)
        for place, row in enumerate(batch):
            tokens = rows.ids[row][:PADDED]  # type: ignore[attr-defined]
            ids[place, : len(tokens)] = tokens
        tensor = torch.from_numpy(ids)
        targets = torch.from_numpy(rows.targets[batch])  # type: ignore[attr-defined]
        loss = functional.cross_entropy(network(tensor, (tensor != 0).long()), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def recipe(
    rows: object, labels: int, changes: dict[str, object], kept: ExitStack
) -> Callable[[list[int]], None]:
    """One step of the recipe as it trains, until `kept` closes."""
    import torch

    from mangaops.training import IntentTraining
    from mangaops.training.recipes.intent_classifier import IntentRun, Teacher
    from mangaops.training.steps import bases
    from mangaops.training.steps.network import classifier, used_tokens

    options = IntentTraining.model_validate(changes)
    network = classifier(bases.find("minilm-l6").folder, labels, options).train()
    kept.enter_context(used_tokens(network.encoder, rows.ids))  # type: ignore[attr-defined]
    teacher = Teacher(IntentRun(None, options, None), network, torch.ones(labels), 100)  # type: ignore[arg-type]
    return lambda batch: teacher.step(1, rows, batch)  # type: ignore[arg-type]


def main() -> None:
    """Print rows a second of each variant and the ratio to the plain loop."""
    import torch
    from tokenizers import Tokenizer

    from mangaops.inference.preprocessing import Encoder, Preprocessing
    from mangaops.training import IntentTraining
    from mangaops.training.steps import bases
    from mangaops.training.steps.rows import Rows
    from mangaops.training.steps.seed import seeded

    frame = texts()
    labels = sorted(frame.get_column("label").unique())
    reads = Encoder(
        Tokenizer.from_file(str(bases.find("minilm-l6").folder / "tokenizer.json")), Preprocessing()
    )
    with seeded(1, 0) as rng, ExitStack() as kept:
        rows = Rows(frame, labels, reads)
        batches = rows.shuffled(BATCH, rng)
        sides = {"fp32, static padding": static_padding(rows, len(labels))}
        sides |= {name: recipe(rows, len(labels), changes, kept) for name, changes in VARIANTS.items()}
        whole = torch.get_num_threads()
        threads = dict.fromkeys(sides, whole)
        threads |= {
            name: IntentTraining.model_validate(changes).threads or whole
            for name, changes in VARIANTS.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for step in sides.values():
            step(batches[0])
        for number in range(ROUNDS):
            block = batches[number * STEPS : (number + 1) * STEPS]
            for name, step in sides.items():
                torch.set_num_threads(threads[name])
                start = time.perf_counter()
                for batch in block:
                    step(batch)
                rates[name].append(sum(map(len, block)) / (time.perf_counter() - start))
    length = statistics.mean(len(ids) for ids in rows.ids)
    print(f"batches of {BATCH}, {length:.1f} tokens a row (baseline: fp32, static padding to {PADDED})")
    print(f"{'loop':<26} {'rows/s':>8} {'ratio':>7}")
    base = statistics.median(rates["fp32, static padding"])
    for name, each in rates.items():
        print(f"{name:<26} {statistics.median(each):>8.1f} {statistics.median(each) / base:>7.2f}")


if __name__ == "__main__":
    main()
