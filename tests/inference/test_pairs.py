"""Embedder and reranker: unit vectors and scores that hang on their texts alone, behind the same locks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mangaops.errors import ArtifactTampered, FingerprintMismatch, Untracked
from mangaops.inference import Embedder, Reranker, fingerprint, load_embedder, load_reranker, probe
from mangaops.inference.assembling import ASSEMBLE
from mangaops.inference.manifest import seal
from mangaops.inference.preprocessing import PREPROCESSING, TOKENIZER, pair_encoder
from mangaops.inference.probes import PROBES_FILE
from mangaops.inference.session import MODEL
from mangaops.registry.permit import Permit
from mangaops.training import RECIPES, Trained
from tiny_pairs import SLANG, tiny_items

pytestmark = pytest.mark.xdist_group("pairs")

BAD = [
    "",
    " \n\t",
    "\0",
    "\ud800",
    "order " * 100_000,
    "[CLS] [PAD] [MASK]",
    "".join(map(chr, range(1, 2000))),
]
LOADERS: dict[str, Callable[..., Embedder | Reranker]] = {"adapter": load_embedder, "reranker": load_reranker}


def permit_of(made: Trained, folder: Path | None = None) -> Permit:
    """Leave to load it; a spoiled copy in `folder` is sealed anew and named with the old fingerprint."""
    return Permit(made.config["model"], "v1", seal(folder) if folder else made.digest, made.fingerprint)


@pytest.fixture(scope="module")
def embedder(adapter: Trained) -> Embedder:
    return load_embedder(adapter.folder, permit_of(adapter))


@pytest.fixture(scope="module")
def scorer(reranker: Trained) -> Reranker:
    return load_reranker(reranker.folder, permit_of(reranker))


@pytest.fixture(params=sorted(LOADERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(kind: str, request: pytest.FixtureRequest) -> Trained:
    trained: Trained = request.getfixturevalue(kind)
    return trained


@pytest.fixture
def spoilt(made: Trained, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made.folder, tmp_path / "artifact"))


# ---- what they answer


def test_vectors_are_unit_rows_in_the_order_of_the_texts(embedder: Embedder) -> None:
    texts = [*BAD, *tiny_items()["text"]]
    rows = embedder.vectors(texts)
    assert (rows.shape, rows.dtype) == ((len(texts), embedder.width), np.float32)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)
    assert embedder.vectors([]).shape == (0, embedder.width)
    assert embedder.name == "embedding-adapter@v1"


def test_a_vector_is_the_same_whatever_is_embedded_beside_it(embedder: Embedder) -> None:
    texts = tiny_items()["text"].to_list()
    rows = embedder.vectors(texts)
    assert np.array_equal(embedder.vectors(texts[::-1])[::-1], rows)
    assert np.array_equal(embedder.vectors(texts[3:4])[0], rows[3])
    assert np.array_equal(embedder.vector(texts[3]), rows[3])


def test_a_score_is_the_same_whatever_is_scored_beside_it(scorer: Reranker) -> None:
    texts = [*tiny_items()["text"], "order " * 1000, ""]
    near = np.linspace(0.9, 0.1, len(texts)).tolist()
    scores = scorer.scores("any glimmerfax please", texts, near)
    assert (scores.shape, scores.dtype) == ((len(texts),), np.float32)
    assert np.array_equal(scorer.scores("any glimmerfax please", texts[::-1], near[::-1])[::-1], scores)
    assert np.array_equal(scorer.scores("any glimmerfax please", texts[5:6], near[5:6]), scores[5:6])
    assert scorer.scores("any glimmerfax please", [], []).shape == (0,)


def test_threads_of_a_reranker_change_no_score(reranker: Trained, scorer: Reranker) -> None:
    texts = tiny_items()["text"].to_list()
    near = [0.5] * len(texts)
    both = load_reranker(reranker.folder, permit_of(reranker), threads=2)
    assert np.array_equal(both.scores("brontle", texts, near), scorer.scores("brontle", texts, near))


def test_of_equal_texts_the_nearer_scores_higher(scorer: Reranker) -> None:
    near, far = scorer.scores("any glimmerfax please", ["a chef cooks"] * 2, [0.9, 0.1])
    assert near > far


def test_what_was_learnt_is_what_is_answered(embedder: Embedder, scorer: Reranker) -> None:
    topics, texts = list(SLANG), [f"{text} in autumn" for text in SLANG.values()]
    near = embedder.vectors([f"is there {word}" for word in topics]) @ embedder.vectors(texts).T
    assert (near.argmax(axis=1) == np.arange(len(topics))).mean() > 0.8
    best = [int(scorer.scores(f"is there {word}", texts, [0.5] * len(texts)).argmax()) for word in topics]
    assert (np.asarray(best) == np.arange(len(topics))).mean() > 0.6


@pytest.mark.parametrize(
    "text", BAD, ids=["empty", "blank", "nul", "surrogate", "long", "special", "controls"]
)
def test_bad_texts_are_scored_on_both_sides(scorer: Reranker, text: str) -> None:
    assert np.isfinite(scorer.scores(text, [text, "a chef cooks"], [0.5, -1.0])).all()


def test_threads_may_share_them(embedder: Embedder, scorer: Reranker) -> None:
    texts = tiny_items()["text"].to_list()
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(embedder.vector, texts))
        scores = list(pool.map(lambda text: scorer.scores("brontle", [text], [0.5])[0], texts))
    assert np.array_equal(np.stack(rows), embedder.vectors(texts))
    assert np.array_equal(np.asarray(scores), scorer.scores("brontle", texts, [0.5] * len(texts)))


# ---- pairs


def test_the_text_is_cut_before_the_query_and_a_query_at_half(reranker: Trained) -> None:
    reads = pair_encoder(reranker.folder)
    most = reads.preprocessing.max_tokens
    long, short = "chef " * 100, "slow manga about cooking"
    ids, types = reads.ids(reads.query(short), long)
    assert len(ids) == len(types) == most
    assert reads.plain(short).ids == ids[1 : 1 + len(reads.plain(short).ids)]
    ids, types = reads.ids(reads.query(long), long)
    assert len(ids) == most
    assert abs(types.count(0) - types.count(1)) <= 2
    ids, types = reads.ids(reads.query(long), "a cat")
    assert reads.plain("a cat").ids == ids[-3:-1]


def test_a_special_token_in_a_pair_is_only_text(reranker: Trained) -> None:
    reads = pair_encoder(reranker.folder)
    frame, _ = reads.ids(reads.query(""), "")
    ids, _ = reads.ids(reads.query("[SEP]"), "[CLS]")
    assert len(frame) == 3
    assert sum(number in frame for number in ids) == 3


def test_a_query_may_be_read_once_for_many_texts(reranker: Trained) -> None:
    reads = pair_encoder(reranker.folder)
    read = reads.query("slow manga about cooking")
    first = reads.ids(read, "a chef " * 40)
    reads.ids(read, "a cat")
    assert reads.ids(read, "a chef " * 40) == first


# ---- the locks


def test_one_changed_byte_is_refused(made: Trained, spoilt: Path, kind: str) -> None:
    body = bytearray((spoilt / MODEL).read_bytes())
    body[len(body) // 2] ^= 1
    (spoilt / MODEL).write_bytes(bytes(body))
    with pytest.raises(ArtifactTampered, match=r"model\.onnx is changed"):
        LOADERS[kind](spoilt, permit_of(made))


def test_an_artifact_that_the_ledger_does_not_list_is_untracked(
    made: Trained, spoilt: Path, kind: str
) -> None:
    (spoilt / "training_config.yaml").write_text(f"family: {made.config['family']}\n")
    seal(spoilt)
    with pytest.raises(Untracked, match="lists no such artifact"):
        LOADERS[kind](spoilt, permit_of(made))


def test_another_reading_is_refused(made: Trained, spoilt: Path, kind: str) -> None:
    spec = json.loads((spoilt / PREPROCESSING).read_text())
    (spoilt / PREPROCESSING).write_text(json.dumps({**spec, "max_tokens": spec["max_tokens"] // 2}))
    with pytest.raises(FingerprintMismatch, match="read texts as it did in training"):
        LOADERS[kind](spoilt, permit_of(made, spoilt))


def test_other_answers_than_when_sealed_are_refused_and_near_ones_let_through(
    made: Trained, spoilt: Path, kind: str
) -> None:
    body = json.loads((spoilt / PROBES_FILE).read_text())
    first = body["answers"][0][0]
    for times, lets in ((0.5, True), (2.0, False)):
        body["answers"][0][0] = first + times * body["tolerance"]
        (spoilt / PROBES_FILE).write_text(json.dumps(body))
        assert probe(spoilt).holds == lets
    with pytest.raises(FingerprintMismatch, match="on this host"):
        LOADERS[kind](spoilt, permit_of(made, spoilt))


@pytest.mark.parametrize("file", [MODEL, TOKENIZER, PREPROCESSING, PROBES_FILE])
def test_junk_in_any_file_is_one_error_that_names_the_file(
    made: Trained, spoilt: Path, kind: str, file: str
) -> None:
    (spoilt / file).write_bytes(b"\x00\xff junk")
    with pytest.raises(ArtifactTampered) as caught:
        LOADERS[kind](spoilt, permit_of(made, spoilt))
    assert file in caught.value.refused


def test_the_one_is_not_loaded_as_the_other(adapter: Trained, reranker: Trained) -> None:
    with pytest.raises(ArtifactTampered, match="pairs of query and text"):
        load_embedder(reranker.folder, permit_of(reranker))
    with pytest.raises(ArtifactTampered, match="single texts"):
        load_reranker(adapter.folder, permit_of(adapter))


def test_a_classifier_gives_no_unit_vectors(trained: Trained) -> None:
    with pytest.raises(ArtifactTampered, match="no unit vectors"):
        load_embedder(trained.folder, permit_of(trained))


def test_a_graph_of_other_inputs_is_refused(reranker: Trained, trained: Trained, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(reranker.folder, tmp_path / "artifact"))
    shutil.copy(trained.folder / MODEL, folder / MODEL)
    with pytest.raises(ArtifactTampered, match="the graph takes"):
        load_reranker(folder, permit_of(reranker, folder))


def test_the_fingerprint_is_that_of_reading_and_not_of_weights(made: Trained, spoilt: Path) -> None:
    (spoilt / MODEL).write_bytes(b"other weights")
    assert fingerprint(spoilt) == made.fingerprint


def test_probes_of_a_family_that_is_unknown_are_refused(spoilt: Path) -> None:
    (spoilt / "training_config.yaml").write_text("family: oracle\n")
    with pytest.raises(ArtifactTampered, match=r"training_config\.yaml"):
        probe(spoilt)


def test_every_family_that_can_be_trained_can_be_assembled() -> None:
    assert set(ASSEMBLE) == set(RECIPES)


def test_probes_of_the_first_recipes_are_still_read(trained: Trained, tmp_path: Path) -> None:
    old = Path(shutil.copytree(trained.folder, tmp_path / "artifact"))
    body = json.loads((old / PROBES_FILE).read_text())
    body["probabilities"] = body.pop("answers")
    (old / PROBES_FILE).write_text(json.dumps(body))
    assert probe(old).holds


_WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "sentence_transformers", "onnx", "sklearn", "safetensors"):
    sys.modules[name] = None
from pathlib import Path
from mangaops import inference
from mangaops.registry.permit import Permit
folder, load, *digests = sys.argv[1:]
made = getattr(inference, load)(Path(folder), Permit("m", "v1", *digests))
embeds = load == "load_embedder"
print(made.vectors(["a", "b"]).shape[0] if embeds else made.scores("a", ["b", "c"], [0.5, 0.4]).size)
"""


def test_serving_needs_no_training_library(made: Trained, kind: str) -> None:
    arguments = [str(made.folder), LOADERS[kind].__name__, made.digest, made.fingerprint]
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False
    )
    assert (ran.stdout.strip(), ran.stderr) == ("2", "")
