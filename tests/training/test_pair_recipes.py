"""Embedding adapter and reranker, each trained on the embedded base: what is sealed, and that it repeats."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from mangaops.errors import TrainingError
from mangaops.inference import Reranker, load_embedder
from mangaops.inference.assembling import assembled
from mangaops.inference.embedder import assemble_embedder
from mangaops.inference.manifest import verify
from mangaops.registry.permit import Permit
from mangaops.training import RECIPES, Trained, frozen_base
from mangaops.vocabulary import Family
from tiny import tiny_base
from tiny_pairs import adapter_request, place, reranker_request, tiny_items

pytestmark = pytest.mark.xdist_group("pairs")

FILES = {
    "MANIFEST.json",
    "model.onnx",
    "preprocessing.json",
    "probes.json",
    "tokenizer.json",
    "training_config.yaml",
}


@pytest.mark.parametrize("kind", ["adapter", "reranker"])
def test_the_artifact_has_every_file_and_verifies(kind: str, request: pytest.FixtureRequest) -> None:
    made: Trained = request.getfixturevalue(kind)
    assert {path.name for path in made.folder.iterdir()} == FILES
    assert verify(made.folder) == made.digest
    config = yaml.safe_load((made.folder / "training_config.yaml").read_text())
    assert config == made.config
    assert {"seed", "libraries", "snapshot", "base_weights", "code_sha", "threads"} <= set(config)
    assert set(made.seconds) == {"setup", "fit", "export", "parity", "seal"}
    assert b"site-packages" not in (made.folder / "model.onnx").read_bytes()
    assert not [path for path in made.folder.parent.iterdir() if path.name.startswith(".")]


def test_training_lifts_recall_far_over_the_base(adapter: Trained) -> None:
    assert adapter.metrics["validation_recall"] > adapter.metrics["base_recall"] + 0.5
    assert adapter.metrics["best_step"] > 0
    assert min(adapter.parity["least_cosine"].values()) >= 0.98


def test_reranking_lifts_ndcg_over_the_order_drawn(reranker: Trained) -> None:
    assert reranker.metrics["validation_ndcg"] > reranker.metrics["drawn_ndcg"] + 0.2
    assert reranker.parity["correlation"]["torch/fp32"] > 0.9999


def test_the_record_of_a_reranker_names_the_adapter_that_drew_its_candidates(reranker: Trained) -> None:
    named = {"version": "embedding-adapter@v3", "digest": "sha256:" + "a" * 64}
    assert reranker.config["candidates_from"] == named
    assert reranker.config["libraries"]["sentence-transformers"]
    assert reranker.config["layers"] == 2


def test_equal_requests_give_equal_adapters_with_and_without_kept_vectors(
    adapter: Trained, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = RECIPES[Family.EMBEDDING_ADAPTER](
        adapter_request("minilm-l6", place(tmp_path_factory) / "kept"), tmp_path / "artifact", None
    )
    assert again.digest == adapter.digest


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """Rerankers of a base that cannot learn the slang in one short epoch, as `network` says."""
    folder = tmp_path_factory.mktemp("flat")
    base = str(tiny_base(folder / "base"))
    made = {}
    for network in ("auto", "always"):
        request = reranker_request(
            base, layers=1, epochs=1, learning_rate=1e-9, head_learning_rate=1e-9, network=network
        )
        made[network] = RECIPES[Family.CROSS_ENCODER_RERANKER](request, folder / network, None)
    return made


def test_a_network_that_gains_nothing_is_left_out(flat: dict[str, Trained]) -> None:
    made = flat["auto"]
    assert (made.config["layers"], made.metrics["epochs"]) == (0, 0.0)
    assert made.metrics["validation_ndcg"] >= made.metrics["drawn_ndcg"]
    reranker = assembled(made.folder, "flat")
    assert isinstance(reranker, Reranker)
    near, far = reranker.scores("brontle", ["a chef cooks"] * 2, [0.9, 0.1])
    assert near > far


def test_a_network_is_kept_where_the_stack_says_so(flat: dict[str, Trained]) -> None:
    made = flat["always"]
    assert (made.config["layers"], made.metrics["epochs"]) == (1, 1.0)
    sizes = {name: (each.folder / "model.onnx").stat().st_size for name, each in flat.items()}
    assert sizes["always"] > sizes["auto"]


def test_equal_requests_give_equal_rerankers(reranker: Trained, tmp_path: Path) -> None:
    again = RECIPES[Family.CROSS_ENCODER_RERANKER](reranker_request("minilm-l6"), tmp_path / "artifact", None)
    assert again.digest == reranker.digest
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_the_frozen_base_is_sealed_like_an_adapter(adapter: Trained, tmp_path: Path) -> None:
    base = frozen_base(adapter_request(str(tiny_base(tmp_path / "base"))), tmp_path / "artifact")
    assert {path.name for path in base.folder.iterdir()} == FILES
    assert base.config["adapter"] is False
    embedder = load_embedder(base.folder, Permit("embedding-adapter", "v0", base.digest, base.fingerprint))
    assert embedder.vectors(["a", "b"]).shape == (2, 32)
    assert base.metrics["validation_recall"] == pytest.approx(base.metrics["base_recall"], abs=0.1)


def test_a_broken_graph_is_found_by_parity(adapter: Trained, tmp_path: Path) -> None:
    """The parity guard on a real graph of which one layer's weights were lost on the way."""
    import onnx
    from onnx import numpy_helper

    from mangaops.training.steps import parity

    broken = Path(shutil.copytree(adapter.folder, tmp_path / "artifact"))
    graph = onnx.load(str(broken / "model.onnx"))
    lost = max(
        (each for each in graph.graph.initializer if "adapter" in each.name),
        key=lambda each: len(each.raw_data),
    )
    lost.CopyFrom(numpy_helper.from_array(np.ones_like(numpy_helper.to_array(lost)), lost.name))
    onnx.save(graph, str(broken / "model.onnx"))
    texts = tiny_items()["text"].to_list()
    sound = assembled(adapter.folder, "sealed")
    rows = {"torch": sound.vectors(texts), "int8": assemble_embedder(broken, "broken").vectors(texts)}
    found = parity.under(parity.compare_vectors(rows)["least_cosine"], 0.98, "a text at cosine")
    with pytest.raises(TrainingError, match="do not answer alike"):
        parity.refuse(found, "cosine 0.98", "train again")
    rows["int8"] = rows["torch"]
    assert parity.under(parity.compare_vectors(rows)["least_cosine"], 0.98, "a text at cosine") == []


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny import tiny_base
from tiny_pairs import adapter_request
from mangaops.training import RECIPES
def kill(what, done, total):
    if sys.argv[4] in what:
        os.kill(os.getpid(), signal.SIGKILL)
request = adapter_request(sys.argv[2])
RECIPES[request.spec.family](request, Path(sys.argv[3]), kill)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["step 30", "sealing"])
def test_a_kill_leaves_no_artifact(tmp_path: Path, moment: str) -> None:
    base = tiny_base(tmp_path / "base")
    arguments = [str(Path(__file__).parent.parent), str(base), str(tmp_path / "artifact"), moment]
    ended = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not (tmp_path / "artifact").exists()
    assert ended.stdout + ended.stderr == b""


def test_a_reranker_whose_loss_is_not_a_number_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from mangaops.training.steps import bases

    spoiled = Path(shutil.copytree(bases.find("minilm-l6").folder, tmp_path / "base"))
    weights = load_file(spoiled / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"].fill_(float("nan"))
    save_file(weights, spoiled / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="diverged") as caught:
        RECIPES[Family.CROSS_ENCODER_RERANKER](reranker_request(str(spoiled)), tmp_path / "artifact", None)
    assert caught.value.found == "a loss of nan in epoch 1"
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
