"""Answers: one text at a time, whatever the text holds."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mangaops.inference import action_for, answers, load
from mangaops.inference.predictor import IntentPredictor, softmax
from mangaops.registry.permit import Permit
from mangaops.stack import Actions
from mangaops.training import Trained
from mangaops.vocabulary import Action
from tiny import LABELS, tiny_rows


@pytest.fixture(scope="module")
def predictor(trained: Trained) -> IntentPredictor:
    return load(trained.folder, Permit("intent-classifier", "v1", trained.digest, trained.fingerprint))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "\0",
        "\ud800",
        "a\udfffb\ud83d",
        "order " * 170_000,
        "x" * 1_000_000,
        "ﷺ" * 50_000,
        "".join(map(chr, range(1, 2000))),
        "[CLS] [PAD] [MASK]",
    ],
    ids=[
        "empty",
        "blank",
        "nul",
        "surrogate",
        "surrogates",
        "1MB",
        "1MB word",
        "expands",
        "controls",
        "special",
    ],
)
def test_bad_texts_are_answered(predictor: IntentPredictor, text: str) -> None:
    answer = predictor.answer(text)
    assert answer.label in LABELS
    assert 0 < answer.confidence <= 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=80))
def test_any_text_has_probabilities_that_sum_to_one(predictor: IntentPredictor, text: str) -> None:
    probabilities = predictor.probabilities(text)
    assert probabilities.shape == (len(LABELS),)
    assert math.isclose(probabilities.sum(), 1.0)


def test_the_tiny_model_has_learnt_its_rows(predictor: IntentPredictor) -> None:
    rows = tiny_rows(60, seed=9)
    given = [answer.label for answer in answers(predictor, rows["text"])]
    assert np.mean([a == b for a, b in zip(given, rows["label"], strict=True)]) > 0.9


def test_answers_are_those_of_single_requests_in_order(predictor: IntentPredictor) -> None:
    texts = tiny_rows(250, seed=3)["text"].to_list()
    told: list[tuple[int, int]] = []
    given = answers(predictor, texts, lambda what, done, total: told.append((done, total)))
    assert given == [predictor.answer(text) for text in texts]
    assert told == [(done, 250) for done in range(0, 251, 2)], "a hundredth of the work at a time"
    assert answers(predictor, []) == []


def mixed(count: int) -> list[str]:
    """Texts of four words of all labels, of which many are close calls."""
    words = " ".join(tiny_rows(60, seed=5)["text"]).split()
    rng = np.random.default_rng(7)
    return [" ".join(rng.choice(words, 4)) for _ in range(count)]


def noisy(runs: Any) -> Any:
    """The graph as it is alone; in company each number is off by up to 0.24, as an int8 graph's may be."""
    rng = np.random.default_rng(3)

    def batch(read: Sequence[list[int]]) -> Any:
        rows = runs.batch(read)
        return rows + rng.uniform(-0.24, 0.24, rows.shape)

    return SimpleNamespace(alone=runs.alone, batch=batch)


def test_in_company_a_text_gets_the_label_and_action_that_it_gets_alone(
    predictor: IntentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = mixed(800)
    alone = [predictor.answer(text) for text in texts]
    read = [predictor.read(text) for text in texts]
    monkeypatch.setattr(predictor, "_runs", noisy(predictor._runs))
    monkeypatch.setattr(predictor, "_temperature", 1.0)
    calm = [predictor.answer(text) for text in texts]
    eights = [read[n : n + 8] for n in range(0, len(read), 8)]
    together = [each for eight in eights for each in predictor.answer_together(eight)]
    assert [(a.label, a.action) for a in together] == [(a.label, a.action) for a in calm]
    assert [a.label for a in calm] == [a.label for a in alone]
    plain = [predictor.labels[row.argmax()] for eight in eights for row in predictor._runs.batch(eight)]
    assert plain != [a.label for a in calm], "without a second look some would differ"


def test_only_close_calls_are_looked_at_twice(
    predictor: IntentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    runs = predictor._runs

    def alone(ids: list[int]) -> Any:
        asked.append(ids)
        return runs.alone(ids)

    monkeypatch.setattr(predictor, "_runs", SimpleNamespace(alone=alone, batch=runs.batch))
    texts = mixed(200)
    read = [predictor.read(text) for text in texts]
    for n in range(0, len(read), 8):
        predictor.answer_together(read[n : n + 8])
    monkeypatch.undo()
    ahead = [np.diff(np.sort(np.log(predictor.probabilities(text))))[-1] for text in texts]
    twice = [ids in asked for ids in read]
    assert 0 < sum(twice) < len(texts)
    assert all(by < 1.0 for by, again in zip(ahead, twice, strict=True) if again)
    assert all(again for by, again in zip(ahead, twice, strict=True) if by < 0.2)


@pytest.mark.parametrize(
    ("logits", "bar", "close"),
    [
        ([3.0, 2.4, 0.0], 0.0, False),
        ([3.0, 2.6, 0.0], 0.0, True),
        ([2.6, 0.0, 3.0], 0.0, True),
        ([4.0, 0.0, 0.0], 0.95, True),
        ([4.0, 0.0, 0.0], 0.5, False),
        ([4.0, 0.0, 0.0], 1.0, False),
        ([90.0, 0.0, 0.0], 0.5, False),
    ],
    ids=["clear", "two labels", "in any place", "the bar", "far over it", "never routed", "certain"],
)
def test_close_is_what_half_a_unit_of_log_odds_could_change(
    predictor: IntentPredictor, monkeypatch: pytest.MonkeyPatch, logits: list[float], bar: float, close: bool
) -> None:
    monkeypatch.setattr(predictor, "_actions", Actions(clarify_below=bar))
    rows = np.array([logits])
    assert predictor._close(rows, softmax(rows)).tolist() == [close]


def test_where_a_number_is_none_the_text_is_asked_again_alone(predictor: IntentPredictor) -> None:
    rows = np.array([[np.nan, 1.0, 2.0], [9.0, 1.0, 2.0]])
    assert predictor._close(rows, softmax(rows)).tolist() == [True, False]


def test_of_a_single_label_no_call_is_close(
    predictor: IntentPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "_actions", Actions(clarify_below=0.5))
    rows = np.array([[1.0], [-1.0]])
    assert predictor._close(rows, softmax(rows)).tolist() == [False, False]


def test_threads_may_share_a_predictor(predictor: IntentPredictor) -> None:
    texts = tiny_rows(200, seed=4)["text"].to_list()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predictor.answer, texts)) == answers(predictor, texts)


@pytest.mark.parametrize(
    ("label", "confidence", "action"),
    [
        ("promotion", 0.39, Action.CLARIFY),
        ("promotion", 0.4, Action.ROUTE),
        ("escalation", 0.99, Action.OFFER_HUMAN),
        ("escalation", 0.01, Action.OFFER_HUMAN),
    ],
)
def test_the_action_follows_from_label_and_confidence(label: str, confidence: float, action: Action) -> None:
    assert action_for(Actions(clarify_below=0.4, offer_human=("escalation",)), label, confidence) is action


def test_the_sealed_thresholds_are_those_of_the_stack(predictor: IntentPredictor) -> None:
    assert predictor.answer("complaint human agent").action is Action.OFFER_HUMAN
    assert predictor.answer("where is my parcel").action is Action.ROUTE


def test_softmax_of_huge_logits_is_finite() -> None:
    assert softmax(np.array([1e9, 0.0, -1e9])).tolist() == [1.0, 0.0, 0.0]


_WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "onnx", "sklearn", "safetensors"):
    sys.modules[name] = None
from pathlib import Path
from mangaops.inference import load
from mangaops.registry.permit import Permit
permit = Permit("intent-classifier", "v1", *sys.argv[2:])
print(load(Path(sys.argv[1]), permit).answer("coupon code").label)
"""


def test_serving_needs_no_training_library(trained: Trained) -> None:
    given = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(trained.folder), trained.digest, trained.fingerprint],
        capture_output=True,
        text=True,
        check=False,
    )
    assert given.stdout.strip() == "promotion", given.stderr
    assert given.stderr == ""
