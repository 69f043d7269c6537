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
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mangaops.errors import TrainingError
from mangaops.inference.nearest import NONE
from mangaops.inference.preprocessing import PairEncoder, PairPreprocessing
from mangaops.training import AdapterTraining, PairRequest, RerankerTraining
from tiny_pairs import SLANG, adapter_request, reranker_request, tiny_items

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
        assert set(row) <= (allowed or {NONE})
        assert len(set(row)) == min(each, len(allowed)) or not allowed


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
        ({"candidates": "without similarities"}, "candidates without a similarity"),
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
        "without similarities": request.candidates.drop("similarity"),
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


def _read_by(folder: Path) -> PairEncoder:
    from tokenizers import Tokenizer

    spec = PairPreprocessing(max_tokens=32, takes="query and text")
    return PairEncoder(Tokenizer.from_file(str(folder / "tokenizer.json")), spec)


def _crossing(folder: Path) -> Any:
    from mangaops.training.steps import crossing, matches

    reads = _read_by(folder)
    telling = matches.rarity(reads.tokenizer, (reads.plain(text).ids for text in tiny_items()["text"]))
    return crossing.crossing(folder, 1, reads, telling)


@pytest.mark.parametrize("kind", ["softmax", "lambda"])
def test_each_loss_of_the_reranker_lifts_the_relevant_text_over_the_others(kind: str) -> None:
    import torch

    from mangaops.training.steps import bases, crossing
    from mangaops.training.steps.judged import Candidate
    from mangaops.training.steps.seed import seeded

    texts = [Candidate(text, 0.5) for text in ("giant robots in space", "a chef cooks", "a witch and a cat")]
    lists = [
        crossing.Offered("brontle", texts, [1.0, 0.0, 0.0]),
        crossing.Offered("dwimsy", texts, [0.0, 0.0, 2.0]),
    ]
    with seeded(3, 1):
        model = _crossing(bases.find("minilm-l6").folder).eval()
        loss = crossing.Loss(model, kind)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        first = float(loss(lists).detach())
        for _ in range(30):
            optimizer.zero_grad()
            value = loss(lists)
            value.backward()
            optimizer.step()
    assert float(loss(lists).detach()) < first / 2
    given = crossing.scores(model, [(each.query, each.candidates) for each in lists], "fp32")
    assert [int(row.argmax()) for row in given] == [0, 2]


def test_the_untrained_reranker_scores_in_the_order_of_the_similarities() -> None:
    from mangaops.training.steps import bases, crossing
    from mangaops.training.steps.judged import Candidate

    near = [0.31, 0.9, -0.2, 0.32]
    offered = [Candidate(text, each) for text, each in zip(tiny_items()["text"], near, strict=False)]
    (given,) = crossing.scores(
        _crossing(bases.find("minilm-l6").folder), [("any glimmerfax please", offered)], "fp32"
    )
    assert np.allclose(given, np.float32(crossing.PRIOR) * np.asarray(near, np.float32), atol=1e-4)


def test_listnet_is_that_of_the_equation() -> None:
    from mangaops.training.steps import bases, crossing
    from mangaops.training.steps.judged import Candidate

    near, grades = [0.1, 0.05, 0.0], [2.0, 0.0, 1.0]
    offered = [Candidate("a chef cooks", each) for each in near]
    loss = crossing.Loss(_crossing(bases.find("minilm-l6").folder).eval(), "softmax")
    found = float(loss([crossing.Offered("any glimmerfax please", offered, grades)]).detach())
    exps = [math.exp(crossing.PRIOR * each) for each in near]
    expected = -sum(g / 3 * math.log(e / sum(exps)) for g, e in zip(grades, exps, strict=True))
    assert found == pytest.approx(expected, rel=1e-4)


# ---- matches


def _evidence(query: str, *texts: str) -> np.ndarray:
    import torch

    from mangaops.training.steps import bases, matches

    reads = _read_by(bases.find("minilm-l6").folder)
    telling = matches.rarity(reads.tokenizer, (reads.plain(text).ids for text in tiny_items()["text"]))
    rows = []
    for text in texts:
        ids, types = reads.ids(reads.query(query), text)
        rows.append(matches.Matches(telling)(torch.tensor([ids]), torch.tensor([types])).numpy()[0])
    return np.stack(rows)


def test_evidence_is_the_share_of_rare_words_that_match() -> None:
    from mangaops.training.steps import matches

    full, half, none = _evidence("giant robots", "giant robots fight", "a robots fight", "a chef cooks")
    whole = [0, 1, 2]
    assert full[whole].tolist() == [1.0] * 3
    assert full[-2] == full[-3] == 1.0, "side by side"
    assert 0 < half[0] < 1
    assert half[-2] == 0.0
    assert none.tolist() == [0.0] * matches.NUMBERS
    assert _evidence("robots", "robots")[0][3:6].tolist() == [1.0] * 3, "all of the text is asked for"


def test_evidence_at_the_front_counts_only_there() -> None:
    (late,) = _evidence("robots", "a chef cooks warm food in a small diner by robots")
    assert late[0] == late[1] == 1.0
    assert late[2:6].tolist() == [0.0] * 4


def test_special_tokens_padding_and_empty_sides_are_no_evidence() -> None:
    import torch

    from mangaops.training.steps import bases, matches

    assert not _evidence("", "a chef cooks", "").any()
    assert not _evidence("[SEP] [CLS]", "").any()
    reads = _read_by(bases.find("minilm-l6").folder)
    telling = matches.rarity(reads.tokenizer, [[5000], [5000, 5001]])
    ids, types = reads.ids(reads.query("giant robots"), "giant robots fight")
    found = matches.Matches(telling)
    alone = found(torch.tensor([ids]), torch.tensor([types]))
    padded = found(torch.tensor([[*ids, 0, 0]]), torch.tensor([[*types, 0, 0]]))
    assert torch.equal(alone, padded)
    assert telling[5001] > telling[5000] > 0
    assert telling[reads.ids(reads.query(""), "")[0]].tolist() == [0.0] * 3


def test_weighing_learns_from_the_words_what_the_similarities_do_not_say() -> None:
    from mangaops.training.recipes.cross_encoder_reranker import RerankerRun
    from mangaops.training.steps import bases, crossing, weighing
    from mangaops.training.steps.judged import Shortlists, judged, recall_and_ndcg

    request = reranker_request("minilm-l6", depth=12)
    plain = {name: f"any {text} please" for name, text in SLANG.items()}
    train = request.train.with_columns(
        query=pl.col("query").replace({f"any {k} please": v for k, v in plain.items()})
    )
    run = RerankerRun(request, RerankerTraining.model_validate(request.spec.training.model_dump()), None)
    side = Shortlists(replace(request, train=train), judged(replace(request, train=train))[0], 12)
    model = _crossing(bases.find("minilm-l6").folder)
    weighing.weigh(run, model, side, np.random.default_rng(0))
    given = crossing.scores(model, side.asked(), "fp32")
    before = recall_and_ndcg(side.candidates, side.queries, 4)[1]
    assert recall_and_ndcg(side.reranked(given), side.queries, 4)[1] > before + 0.1


def test_queries_whose_lists_say_nothing_are_left_out_and_others_evenly_spread() -> None:
    from mangaops.training.steps.judged import Shortlists, judged
    from mangaops.training.steps.weighing import telling

    request = reranker_request("minilm-l6")
    side = Shortlists(request, judged(request)[0], 12)
    assert telling(side) == list(range(24))
    assert telling(side, 3) == [0, 12, 23]
    nothing = Shortlists(replace(request, candidates=_best_alone(request)), judged(request)[0], 12)
    assert telling(nothing) == []


def _best_alone(request: PairRequest) -> pl.DataFrame:
    """Candidates of which every one is relevant."""
    assert request.candidates is not None
    both = pl.concat([request.train, request.validation]).filter(pl.col("grade") > 0)
    return request.candidates.join(both.select("query_id", "item_id"), on=["query_id", "item_id"], how="semi")


def test_more_layers_than_the_base_has_are_refused(tmp_path: Path) -> None:
    from mangaops.training import RECIPES

    request = reranker_request("minilm-l6", layers=7)
    with pytest.raises(TrainingError, match="7 layers was refused") as caught:
        RECIPES[request.spec.family](request, tmp_path / "artifact", None)
    assert caught.value.found == "the base has 6 layers"


@pytest.mark.parametrize("types", [1, 2])
def test_a_base_with_and_without_token_types_is_exported_as_it_was_trained(
    tmp_path: Path, types: int
) -> None:
    """The graph is told which token is whose either way: matching words are counted by it."""
    import torch
    from transformers import BertConfig, BertModel

    from mangaops.inference.reranker import Reranker
    from mangaops.inference.session import session
    from mangaops.training.foreign import translated
    from mangaops.training.steps import crossing, export
    from mangaops.training.steps.judged import Candidate
    from tiny import tiny_base

    base = tiny_base(tmp_path / "base")
    told = json.loads((base / "config.json").read_text())
    torch.manual_seed(0)
    BertModel(BertConfig(**{**told, "type_vocab_size": types})).save_pretrained(str(base))
    with translated("exporting"):
        model = _crossing(base)
        torch.nn.init.normal_(model.scoring.head)
        torch.nn.init.normal_(model.scoring.weighing.out)
        export.to_onnx(model.scoring, tmp_path / "model.onnx", model.reads.inputs)
    assert model.scoring.typed == (types == 2)
    texts, near = ["my parcel", "where is a coupon code"], [0.4, 0.6]
    served = Reranker("tiny", model.reads, session(tmp_path, inputs=model.reads.inputs)).scores(
        "where is my order", texts, near
    )
    offered = [Candidate(*each) for each in zip(texts, near, strict=True)]
    (trained,) = crossing.scores(model, [("where is my order", offered)], "fp32")
    assert np.allclose(served, trained, atol=1e-4)
    assert abs(served[0] - served[1]) > 0.1
