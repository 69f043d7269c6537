"""The steps of training on judged pairs, each by itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mangaops.errors import TrainingError
from mangaops.training import AdapterTraining, RerankerTraining
from tiny_pairs import adapter_request, reranker_request

# ---- the network and its loss


def test_the_untrained_adapter_gives_back_the_base() -> None:
    import torch

    from mangaops.training.steps.embedding import Adapter

    torch.manual_seed(0)
    base = torch.nn.functional.normalize(torch.randn(50, 24), dim=-1)
    assert torch.allclose(Adapter(24, 8)(base), base, atol=1e-6)


def test_info_nce_is_that_of_the_equation() -> None:
    import torch

    from mangaops.training.steps.losses import info_nce

    queries = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [0.1, 1.0]]), dim=-1)
    items = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), dim=-1)
    relevant = torch.tensor([[True, False, False], [False, True, True]])
    cosine = [[float(q @ c) for c in items] for q in queries]
    first = -math.log(math.exp(cosine[0][0] / 0.07) / sum(math.exp(cosine[0][c] / 0.07) for c in (0, 1, 2)))
    second = -math.log(math.exp(cosine[1][1] / 0.07) / sum(math.exp(cosine[1][c] / 0.07) for c in (0, 1)))
    assert float(info_nce(queries, items, relevant, 0.07)) == pytest.approx((first + second) / 2, rel=1e-4)


def test_another_querys_relevant_item_is_no_negative_of_a_query() -> None:
    import torch

    from mangaops.training.steps.losses import info_nce

    alike = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    both = torch.ones(2, 2, dtype=torch.bool)
    assert float(info_nce(alike, alike, both, 0.07)) == pytest.approx(0.0)
    assert float(info_nce(alike, alike, torch.eye(2, dtype=torch.bool), 0.07)) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("modules", "config", "pooled"),
    [
        (None, None, "mean"),
        (["Transformer", "Pooling", "Normalize"], {"pooling_mode_mean_tokens": True}, "mean"),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            "cls",
        ),
        (["Transformer", "Pooling"], {"pooling_mode": "cls"}, "cls"),
        (["Transformer"], None, "mean"),
        (["Transformer", "Pooling"], {"pooling_mode_max_tokens": True}, "the pooling max_tokens"),
        (["Transformer", "Pooling", "Dense"], {"pooling_mode": "mean"}, "the modules Dense"),
    ],
)
def test_pooling_is_that_of_the_base_or_the_base_is_refused(
    tmp_path: Path, modules: list[str] | None, config: dict[str, object] | None, pooled: str
) -> None:
    from mangaops.training.steps.embedding import pooling

    if modules is not None:
        listed = [{"type": f"a.b.{kind}", "path": kind} for kind in modules]
        (tmp_path / "modules.json").write_text(json.dumps(listed))
    if config is not None:
        (tmp_path / "Pooling").mkdir()
        (tmp_path / "Pooling" / "config.json").write_text(json.dumps(config))
    if pooled in ("mean", "cls"):
        assert pooling(tmp_path) == pooled
    else:
        with pytest.raises(TrainingError) as caught:
            pooling(tmp_path)
        assert caught.value.found == pooled


def test_the_base_is_embedded_as_sentence_transformers_does() -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from mangaops.inference.preprocessing import Encoder, Preprocessing
    from mangaops.training.steps import bases
    from mangaops.training.steps.embedding import embedding

    base = bases.find("minilm-l6").folder
    texts = ["slow manga about cooking", "ONE PIECE, volume 103", ""]
    reads = Encoder(Tokenizer.from_file(str(base / "tokenizer.json")), Preprocessing(max_tokens=128))
    ours = embedding(base).vectors([reads.ids(text) for text in texts])
    theirs = SentenceTransformer(str(base), device="cpu", local_files_only=True).encode(texts)
    assert np.abs(ours - theirs).max() < 1e-5
    assert not torch.is_grad_enabled() or not any(p.requires_grad for p in embedding(base).parameters())


# ---- negatives


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 12), st.integers(1, 5))
def test_hard_negatives_are_within_their_ranks_and_never_relevant(
    seed: int, first: int, more: int, each: int
) -> None:
    from mangaops.training.steps import negatives

    rng = np.random.default_rng(seed)
    ranked = [rng.permutation(20).tolist() for _ in range(5)]
    relevant = [set(rng.choice(20, 6).tolist()) for _ in range(5)]
    pool = negatives.pools(ranked, relevant, first, first + more)
    drawn = negatives.draw(pool, np.arange(5), each, rng)
    for row, query in zip(drawn.tolist(), range(5), strict=True):
        allowed = set(ranked[query][first - 1 : first + more]) - relevant[query]
        assert set(row) <= (allowed or {negatives.NONE})
        assert len(set(row)) == min(each, len(allowed)) or not allowed


def test_nearest_items_are_by_falling_product_and_ties_by_row() -> None:
    from mangaops.training.steps.negatives import nearest

    items = np.asarray([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    assert nearest(np.asarray([[1.0, 0.1]], np.float32), items, 3) == [[1, 2, 0]]
    assert nearest(np.asarray([[1.0, 0.1]], np.float32), items, 9) == [[1, 2, 0]]


def test_a_batch_of_the_recipe_holds_no_relevant_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = _teacher(np.random.default_rng(0).normal(size=(24 + 32, 6)).astype(np.float32))
    for _ in range(5):
        queries, items, relevant = teacher.batch()  # type: ignore[attr-defined]
        own = len(queries)
        grades = [teacher.training.grades[query] for query in queries.tolist()]  # type: ignore[attr-defined]
        assert len(items) > own
        assert all(item in known for item, known in zip(items[:own].tolist(), grades, strict=True))
        drawn = items[own:].reshape(own, -1).tolist()
        assert not any(item in known for row, known in zip(drawn, grades, strict=True) for item in row)
        told = [[item in known for item in items.tolist()] for known in grades]
        assert relevant.tolist() == told


def _teacher(rows: np.ndarray) -> object:
    from mangaops.training.recipes.embedding_adapter import AdapterRun, Teacher
    from mangaops.training.steps.judged import judged

    request = adapter_request("minilm-l6")
    sides = judged(request)
    known = SimpleNamespace(training=rows[:24], held_out=rows[:16], items=rows[24:])
    run = AdapterRun(request, AdapterTraining.model_validate(request.spec.training.model_dump()), None)
    return Teacher(run, known, sides, np.random.default_rng(0))  # type: ignore[arg-type]


def test_a_loss_of_the_adapter_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(TrainingError, match="diverged") as caught:
        _teacher(np.full((24 + 32, 6), np.nan, np.float32)).step(1)  # type: ignore[attr-defined]
    assert caught.value.found == "a loss of nan in step 1"


# ---- vectors that are kept


def _embed(text: str) -> np.ndarray:
    return np.full(3, len(text), np.float32)


def _nothing_is_opened() -> Callable[[str], np.ndarray]:
    raise AssertionError("a model was opened though every text is kept")


def _silent(what: str, done: int, total: int) -> None:
    return None


def test_what_is_kept_is_not_computed_again(tmp_path: Path) -> None:
    from mangaops.training.steps.vectors import kept_vectors

    texts = ["a", "bbb", "a", "\ud800"]
    rows = kept_vectors(texts, lambda: _embed, tmp_path, _silent)
    assert rows.tolist() == [[1] * 3, [3] * 3, [1] * 3, [1] * 3]
    again = kept_vectors(texts[::-1], _nothing_is_opened, tmp_path, _silent)
    assert np.array_equal(again, rows[::-1])
    asked: list[str] = []
    kept_vectors(["a", "new"], lambda: lambda text: (asked.append(text), _embed(text))[1], tmp_path, _silent)
    assert asked == ["new"]


def test_kept_vectors_that_do_not_add_up_are_computed_anew(tmp_path: Path) -> None:
    from mangaops.training.steps.vectors import kept_vectors

    kept_vectors(["a"], lambda: _embed, tmp_path, _silent)
    (file,) = tmp_path.iterdir()
    body = bytearray(file.read_bytes())
    body[-1] ^= 64
    file.write_bytes(bytes(body))
    assert kept_vectors(["a"], lambda: _embed, tmp_path, _silent).tolist() == [[1] * 3]


_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from mangaops.training.steps.vectors import kept_vectors
def kill(what, done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
texts = [f"text {n}" for n in range(900)]
kept_vectors(texts, lambda: lambda text: np.ones(3, np.float32), Path(sys.argv[1]), kill)
"""


def test_a_kill_while_embedding_leaves_nothing_half_and_what_was_done_is_kept(tmp_path: Path) -> None:
    from mangaops.training.steps.vectors import kept_vectors

    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr.decode()
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    asked: list[str] = []
    texts = [f"text {n}" for n in range(900)]
    kept_vectors(texts, lambda: lambda text: (asked.append(text), _embed(text))[1], tmp_path, _silent)
    assert sorted(asked) == sorted(texts[512:])


# ---- judged rows


def test_judgments_become_relevant_items_by_query() -> None:
    from mangaops.training.steps.judged import judged

    training, held_out = judged(adapter_request("minilm-l6"))
    assert (len(training), len(held_out)) == (24, 16)
    assert training.pairs().shape == (24 * 4, 2)
    assert set(training.grades[0].values()) == {1.0, 2.0}
    assert len(held_out.first(5)) == 5


def test_recall_and_ndcg_are_those_of_a_worked_example() -> None:
    from mangaops.training.steps.judged import Judged, recall_and_ndcg

    queries = Judged(("q",), ("q",), ({1: 2.0, 2: 1.0, 3: 1.0},))
    recall, ndcg = recall_and_ndcg([[9, 1, 3, 2]], queries, 3)
    dcg = 2 / math.log2(3) + 1 / math.log2(4)
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert (recall, ndcg) == (pytest.approx(2 / 3), pytest.approx(dcg / ideal))
    assert recall_and_ndcg([[1, 2, 3]], queries, 3) == (1.0, 1.0)
    assert recall_and_ndcg([[]], queries, 3) == (0.0, 0.0)
    assert recall_and_ndcg([], Judged((), (), ()), 3) == (-1.0, -1.0)


def _no(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.clear()


@pytest.mark.parametrize(
    ("field", "spoil", "found"),
    [
        ("validation", _no, "0 validation queries"),
        ("train", lambda rows: rows.filter(pl.col("grade") == 0), "0 training queries"),
        ("train", lambda rows: rows.head(10), "2 training queries"),
        ("validation", lambda rows: rows.with_columns(item_id=pl.lit("gone")), "1 unknown items: ['gone']"),
        (
            "train",
            lambda rows: rows.with_columns(query_id=pl.lit("validation-brontle-0")),
            "1 queries in training",
        ),
        ("items", lambda rows: pl.concat([rows, rows.head(1)]), "the same item_id"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_one_plain_error(
    tmp_path: Path, field: str, spoil: Callable[[pl.DataFrame], pl.DataFrame], found: str
) -> None:
    from mangaops.training import RECIPES

    for request in (adapter_request("minilm-l6"), reranker_request("minilm-l6")):
        spoilt = replace(request, **{field: spoil(getattr(request, field))})
        with pytest.raises(TrainingError) as caught:
            RECIPES[request.spec.family](spoilt, tmp_path / "artifact", None)
        assert found in caught.value.found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"candidates": None}, "no candidates"),
        ({"candidates_from": None}, "which adapter drew them"),
        ({"candidates": "of one query"}, "no candidates for 23 of 24 queries"),
        ({"candidates": "of items that are gone"}, "1 unknown items among the candidates"),
    ],
)
def test_a_reranker_without_candidates_is_refused_with_the_next_step(
    tmp_path: Path, changes: dict[str, object], found: str
) -> None:
    from mangaops.training import RECIPES

    request = reranker_request("minilm-l6")
    assert request.candidates is not None
    kinds = {
        "of one query": request.candidates.head(12),
        "of items that are gone": request.candidates.with_columns(item_id=pl.lit("gone")),
    }
    changes = {name: kinds.get(str(value), value) for name, value in changes.items()}
    with pytest.raises(TrainingError) as caught:
        RECIPES[request.spec.family](replace(request, **changes), tmp_path / "artifact", None)
    assert found in caught.value.found
    assert caught.value.next_step
    assert not list(tmp_path.iterdir())


def test_candidates_beyond_the_depth_are_left_out() -> None:
    from mangaops.training.steps.judged import Shortlists, judged

    request = reranker_request("minilm-l6")
    training, _ = judged(request)
    whole, some = Shortlists(request, training, 12), Shortlists(request, training, 5)
    assert [row[:5] for row in whole.candidates] == some.candidates
    scores = [np.arange(5, dtype=np.float32)] * len(training)
    assert some.reranked(scores) == [row[::-1] for row in some.candidates]
    even = [np.zeros(5, dtype=np.float32)] * len(training)
    assert some.reranked(even) == some.candidates


def test_parameters_that_make_no_sense_are_refused() -> None:
    for wrong in ({"mined_from": 20, "mined_to": 10}, {"temperature": 0.0}, {"batch": 1}, {"stemming": 1}):
        with pytest.raises(ValidationError):
            AdapterTraining.model_validate(wrong)
    for wrong in ({"depth": 1}, {"loss": "hinge"}, {"layers": -1}, {"int8_correlation": 0.5}):
        with pytest.raises(ValidationError):
            RerankerTraining.model_validate(wrong)


# ---- parity


def test_runtimes_that_answer_alike_are_let_through_and_others_refused() -> None:
    from mangaops.training.steps import parity

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    turned = rows.copy()
    turned[7] = np.roll(rows[7], 1)
    for other, holds in ((rows, True), (turned, False), (np.full_like(rows, np.nan), False)):
        found = parity.compare_vectors({"torch": rows, "int8": other})
        assert (parity.under(found["least_cosine"], 0.98, "a text at cosine") == []) == holds
    scores = [rng.normal(size=12).astype(np.float32) for _ in range(9)]
    noise = [row + rng.normal(size=12).astype(np.float32) for row in scores]
    flat = [np.zeros(12, np.float32)] * 9
    for others, holds in ((scores, True), (noise, False), (flat, False)):
        told = parity.compare_scores({"torch": scores, "int8": others})
        assert (parity.under(told["correlation"], 0.99, "scores of correlation") == []) == holds
    with pytest.raises(TrainingError, match="do not answer alike") as caught:
        parity.refuse(["torch/int8 have a text at cosine 0.5"], "cosine 0.98", "train again")
    assert "0.5" in caught.value.found


# ---- the cross-encoder


@pytest.mark.parametrize("kind", ["binary", "lambda"])
def test_each_loss_of_the_reranker_lifts_the_relevant_text_over_the_others(kind: str) -> None:
    import torch
    from tokenizers import Tokenizer

    from mangaops.inference.preprocessing import PairEncoder, PairPreprocessing
    from mangaops.training.steps import bases, crossing
    from mangaops.training.steps.seed import seeded

    base = bases.find("minilm-l6").folder
    spec = PairPreprocessing(max_tokens=32, takes="query and text", token_types=crossing.token_types(base))
    reads = PairEncoder(Tokenizer.from_file(str(base / "tokenizer.json")), spec)
    lists = [
        ("brontle", ["giant robots in space", "a chef cooks", "a witch and a cat"], [1.0, 0.0, 0.0]),
        ("dwimsy", ["giant robots in space", "a chef cooks", "a witch and a cat"], [0.0, 0.0, 2.0]),
    ]
    with seeded(3, 1):
        model = crossing.crossing(base, 1, reads).eval()
        loss = crossing.Loss(model, kind)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        first = float(loss(lists).detach())
        for _ in range(12):
            optimizer.zero_grad()
            value = loss(lists)
            value.backward()
            optimizer.step()
    assert float(loss(lists).detach()) < first / 2
    given = crossing.scores(model, [(query, texts) for query, texts, _ in lists], "fp32")
    assert [int(row.argmax()) for row in given] == [0, 2]


def test_more_layers_than_the_base_has_are_refused(tmp_path: Path) -> None:
    from mangaops.training import RECIPES

    request = reranker_request("minilm-l6", layers=7)
    with pytest.raises(TrainingError, match="7 layers was refused") as caught:
        RECIPES[request.spec.family](request, tmp_path / "artifact", None)
    assert caught.value.found == "the base has 6 layers"


def test_a_base_without_token_types_is_exported_without_them(tmp_path: Path) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    from mangaops.inference.preprocessing import PairEncoder, PairPreprocessing
    from mangaops.inference.reranker import Reranker
    from mangaops.inference.session import session
    from mangaops.training.foreign import translated
    from mangaops.training.steps import crossing, export
    from tiny import tiny_base

    base = tiny_base(tmp_path / "base")
    told = json.loads((base / "config.json").read_text())
    torch.manual_seed(0)
    BertModel(BertConfig(**{**told, "type_vocab_size": 1})).save_pretrained(str(base))
    assert not crossing.token_types(base)
    spec = PairPreprocessing(max_tokens=32, takes="query and text", token_types=False)
    reads = PairEncoder(Tokenizer.from_file(str(base / "tokenizer.json")), spec)
    with translated("exporting"):
        model = crossing.crossing(base, 1, reads)
        export.to_onnx(crossing.Scoring(model.model), tmp_path / "model.onnx", reads.inputs)
    texts = ["my parcel", "a coupon code"]
    served = Reranker("tiny", reads, session(tmp_path, inputs=reads.inputs)).scores(
        "where is my order", texts
    )
    (trained,) = crossing.scores(model, [("where is my order", texts)], "fp32")
    assert np.allclose(served, trained, atol=1e-5)
