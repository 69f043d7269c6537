"""What a step reads is part of its key: what changed is measured and trained again, and nothing else is."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Told, World, copied, make_world
from mangaops.pipeline.bench import Bench
from mangaops.pipeline.dataset_run import find_version
from mangaops.pipeline.measuring import Classifying
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.training_run import Making, train_model
from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import release_of, state
from mangaops.training import Trained
from mangaops.vocabulary import EvidenceKind, Family

pytestmark = pytest.mark.xdist_group("pipeline")

MEASURED = ["router/leakage", "router/fingerprint", "router/evaluation", "router/latency"]


def quiet(*_given: object) -> None:
    """Nothing is told."""


def steps_of(shop: Workshop) -> Steps:
    return Steps(shop.journal, "a-run", shop.seconds, quiet, quiet)


def already_measured(world: World) -> list[str]:
    """The measuring steps that were not done again."""
    shop = world.workshop()
    golden = find_version(shop, state(shop.desk, "router").models["intent-classifier@v2"].dataset)
    steps = steps_of(shop)
    bench = Bench(shop, steps, "router", "router-2", golden, 10**6, frozenset(), "a test", quiet)
    Classifying(bench).offline()
    return [step for step in steps.resumed if step in MEASURED]


def test_what_a_measurement_reads_is_measured_again_when_it_changed(told: Told, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    already_measured(world)
    assert already_measured(world) == MEASURED
    asked = world.folder / "asked.jsonl"
    asked.write_text('{"text": "i want a human", "label": "escalation"}\n')
    plain = world.stack.read_text()
    world.stack.write_text(
        plain.replace("rare_under: 0.4", f"rare_under: 0.4\n    critical_examples: {asked}")
    )
    assert already_measured(world) == ["router/leakage", "router/fingerprint", "router/latency"]
    asked.write_text('{"text": "give me a person", "label": "escalation"}\n')
    assert "router/evaluation" not in already_measured(world)
    assert asked_of(world) == ["give me a person"]
    world.stack.write_text(plain)
    assert "router/evaluation" not in already_measured(world)
    assert asked_of(world) == []
    assert already_measured(world) == MEASURED


def asked_of(world: World) -> list[str]:
    """The critical examples of the newest evaluation."""
    shop = world.workshop()
    ref = release_of(state(shop.desk, "router"), "router-2").latest(EvidenceKind.EVALUATION)
    assert ref is not None
    tables = shop.desk.evidence.get(ref.digest).tables
    return tables["critical_examples"]["text"].to_list() if "critical_examples" in tables else []


def test_another_base_under_the_same_name_is_trained_again(told: Told, base: Path, tmp_path: Path) -> None:
    world = copied(told, tmp_path)
    mine = Path(shutil.copytree(base, tmp_path / "base"))
    world.stack.write_text(world.stack.read_text().replace(str(base), str(mine)))
    known = state(world.workshop().desk, "router").models["intent-classifier@v2"]
    trained: list[str] = []

    def recipe(_request: object, folder: Path, _progress: object) -> Trained:
        trained.append("once")
        shutil.copytree(told.world.workshop().desk.artifacts.open(known.artifact), folder)
        return Trained(folder, known.artifact, known.fingerprint, dict(known.config), dict(known.metrics), {})

    def train() -> None:
        shop = replace(world.workshop(), recipes={Family.INTENT_CLASSIFIER: recipe})
        snapshot = find_version(shop, known.dataset)
        train_model(Making(shop, steps_of(shop), "router", snapshot, "t", quiet), "intent-classifier")

    train()
    train()
    assert trained == ["once"]
    with (mine / "model.safetensors").open("ab") as weights:
        weights.write(b"other")
    train()
    assert trained == ["once", "once"]


def test_what_a_killed_training_left_is_gone_at_the_next_one(base: Path, tmp_path: Path) -> None:
    shop = make_world(tmp_path / "w", base).workshop()
    killed = os.fork()
    if not killed:
        with shop.making() as folder:
            (folder / "weights").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(killed, 0)
    assert list(shop.staging.rglob("weights"))
    with shop.making() as mine:
        assert not list(shop.staging.rglob("weights"))
        (mine / "weights").write_bytes(b"being made")
        with shop.making():
            assert list(shop.staging.rglob("weights")) == [mine / "weights"]
    assert not list(shop.staging.rglob("weights"))
