"""The recipe, on a base of two layers: what it seals, what it refuses, and that it is repeatable."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from mangaops.errors import SetupError, TrainingError, UsageError
from mangaops.inference.manifest import verify
from mangaops.registry.state import ModelRecord
from mangaops.training import RECIPES, Trained, TrainingRequest, reproduce
from mangaops.vocabulary import Family
from tiny import LABELS, tiny_request

RECIPE = RECIPES[Family.INTENT_CLASSIFIER]
FILES = {
    "MANIFEST.json",
    "labels.json",
    "model.onnx",
    "preprocessing.json",
    "probes.json",
    "tokenizer.json",
    "training_config.yaml",
}


def _record(trained: Trained, **config: object) -> ModelRecord:
    return ModelRecord(
        model="intent-classifier",
        version="v1",
        family=Family.INTENT_CLASSIFIER,
        artifact=trained.digest,
        fingerprint=trained.fingerprint,
        dataset_version="intent-data-2026-04-20",
        dataset="sha256:" + "0" * 64,
        training_code_sha="0" * 40,
        config={**trained.config, **config},
        metrics=trained.metrics,
        at="2026-04-20T00:00:00Z",
        revision=1,
    )


def test_the_artifact_has_every_file_and_verifies(trained: Trained) -> None:
    assert {path.name for path in trained.folder.iterdir()} == FILES
    assert verify(trained.folder) == trained.digest
    assert yaml.safe_load((trained.folder / "training_config.yaml").read_text()) == trained.config


def test_nothing_is_left_beside_the_artifact(trained: Trained) -> None:
    assert not [path for path in trained.folder.parent.iterdir() if path.name.startswith(".")]


def test_the_figures_of_training_are_told(trained: Trained) -> None:
    assert trained.metrics["validation_accuracy"] > 0.9
    assert 0 <= trained.metrics["calibration_error"] <= 1
    assert trained.parity["rows"] == 90
    assert set(trained.parity["agreement"]) == {"torch/fp32", "torch/int8", "fp32/int8"}
    assert set(trained.seconds) == {"setup", "fit", "export", "parity", "seal"}


def test_the_graph_tells_nothing_of_the_machine_it_was_made_on(trained: Trained, base: Path) -> None:
    graph = (trained.folder / "model.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert str(base.parent).encode() not in graph


def test_retraining_from_the_record_gives_the_identical_artifact(
    trained: Trained, base: Path, tmp_path: Path
) -> None:
    """The stack has moved on: other parameters and another seed today; the record's count."""
    today = replace(tiny_request(base, epochs=1, learning_rate=1e-4), seed=99, code_sha="1" * 40)
    told: list[str] = []
    found = reproduce(
        RECIPE,
        today,
        _record(trained),
        trained.folder,
        "1" * 40,
        lambda what, done, total: told.append(what),
        scratch=tmp_path,
    )
    assert found.identical, found.text()
    assert (found.answers, found.differing) == ({}, {})
    assert "other code" in found.text()
    assert any("loss" in what for what in told)
    assert not any("left" in what for what in told), "the bar says that, and says it once"


def test_another_outcome_is_told_file_by_file_and_answer_by_answer(
    trained: Trained, base: Path, tmp_path: Path
) -> None:
    def colder(request: TrainingRequest, folder: Path, progress: object) -> Trained:
        from mangaops.inference.labels import label_map
        from mangaops.inference.manifest import seal

        shutil.copytree(trained.folder, folder)
        label_map(folder).model_copy(update={"temperature": 9.0}).save(folder)
        return replace(trained, folder=folder, digest=seal(folder))

    record = _record(trained)
    found = reproduce(colder, tiny_request(base), record, trained.folder, "0" * 40, scratch=tmp_path)
    assert not found.identical
    assert set(found.differing) == {"MANIFEST.json", "labels.json"}
    assert found.answers["agreement"] == 1.0
    assert found.answers["probability_gap"] > 0.1
    assert "labels.json" in found.text()
    assert found.as_dict()["rows"] == 90


def _rows(*labels: str) -> pl.DataFrame:
    return pl.DataFrame({"text": [f"text {n}" for n in range(len(labels))], "label": list(labels)})


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"validation": _rows().cast(pl.String)}, "0 validation rows"),
        ({"train": _rows("promotion", "escalation")}, "2 training rows"),
        ({"train": _rows(*["promotion"] * 20)}, "the one label 'promotion'"),
        ({"train": _rows(*["promotion", "refund"] * 20)}, "training labels ['refund']"),
        ({"validation": _rows("refund")}, "validation labels ['refund']"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_one_plain_error(
    base: Path, tmp_path: Path, changes: dict[str, pl.DataFrame], found: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        RECIPE(replace(tiny_request(base), **changes), tmp_path / "artifact", None)
    assert found in caught.value.found
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_a_number_is_refused_and_nothing_is_left(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    spoiled = tmp_path / "base"
    shutil.copytree(base, spoiled)
    weights = load_file(spoiled / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"].fill_(float("nan"))
    save_file(weights, spoiled / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="diverged") as caught:
        RECIPE(tiny_request(spoiled), tmp_path / "artifact", None)
    assert caught.value.found == "a loss of nan in epoch 1"
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_folder_that_holds_other_files_is_not_touched(base: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        RECIPE(tiny_request(base), tmp_path, None)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_base_that_is_nowhere_is_one_error_with_a_next_step(base: Path, tmp_path: Path) -> None:
    request = tiny_request(base)
    nowhere = replace(request, spec=request.spec.model_copy(update={"base": "no such/base at all"}))
    with pytest.raises(SetupError, match="minilm-l6"):
        RECIPE(nowhere, tmp_path / "artifact", None)


def test_a_base_of_pickled_weights_is_refused(base: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "base"
    shutil.copytree(base, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(TrainingError, match=r"no model\.safetensors"):
        RECIPE(tiny_request(pickled), tmp_path / "artifact", None)


def test_a_base_with_broken_weights_is_one_error(base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "base"
    shutil.copytree(base, broken)
    (broken / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(TrainingError, match="failed; nothing was sealed"):
        RECIPE(tiny_request(broken), tmp_path / "artifact", None)


def test_more_frozen_layers_than_there_are_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the base has 2 layers"):
        RECIPE(tiny_request(base, frozen_layers=3), tmp_path / "artifact", None)


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny import tiny_request
from mangaops.training import RECIPES
def kill(what, done, total):
    if sys.argv[4] in what:
        os.kill(os.getpid(), signal.SIGKILL)
request = tiny_request(Path(sys.argv[2]))
RECIPES[request.spec.family](request, Path(sys.argv[3]), kill)
"""


@pytest.mark.parametrize("moment", ["epoch 2", pytest.param("sealing", marks=pytest.mark.slow)])
def test_a_kill_leaves_no_artifact(base: Path, tmp_path: Path, moment: str) -> None:
    here = Path(__file__).parent.parent
    arguments = [str(here), str(base), str(tmp_path / "artifact"), moment]
    ended = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not (tmp_path / "artifact").exists()
    assert ended.stdout + ended.stderr == b""


@pytest.mark.slow
def test_focal_loss_frozen_layers_and_two_labels_train_too(base: Path, tmp_path: Path) -> None:
    request = tiny_request(base, LABELS[:2], loss="focal", frozen_layers=1, label_smoothing=0.1, epochs=6)
    trained = RECIPE(request, tmp_path / "artifact", None)
    assert trained.metrics["validation_accuracy"] > 0.9


@pytest.mark.slow
def test_another_seed_gives_another_artifact_in_place_of_the_old_one(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    first = RECIPE(tiny_request(base), folder, None)
    second = RECIPE(replace(tiny_request(base), seed=12), folder, None)
    assert first.digest != second.digest
    assert first.fingerprint == second.fingerprint
    assert verify(folder) == second.digest
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
