"""The four ways in which releases of chatbots fail silently: each is refused by the guard that is named here,
and goes through where that guard is taken away.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from desk_world import GATE_LIST, WHY, Rigged, World, make_snapshot, make_world, prove_by_seal

from mangaops.errors import FingerprintMismatch, Untracked
from mangaops.inference import load
from mangaops.inference.families import loaded
from mangaops.inference.manifest import seal
from mangaops.inference.predictor import assemble
from mangaops.registry import permit
from mangaops.release import checks, evaluate, judge
from mangaops.release.desk import state
from mangaops.release.judge import Acted
from mangaops.release.standing import Prove
from mangaops.training import Trained
from mangaops.vocabulary import Outcome, Purpose, Verdict
from tiny import tiny_artifact

FINGERPRINT = "\n      - {gate: fingerprint}"
BETTER = evaluate.Pair(Rigged("champion", 0.1), Rigged("better", 0.02))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A real sealed artifact."""
    return tiny_artifact(tmp_path_factory.mktemp("tiny") / "sealed")


def copy_of(trained: Trained, folder: Path) -> Path:
    return Path(shutil.copytree(trained.folder, folder))


def loads(world: World) -> Prove:
    """The loader that serving uses."""
    return lambda permits: loaded(
        {name: world.desk.artifacts.open(each.artifact) for name, each in permits.items()}, permits
    )


def decided(world: World, release: str, *, shadow: bool = True, prove=None) -> Acted:
    """The release measured, judged and acted upon."""
    desk = world.desk
    checks.check_fingerprints(desk, "router", release, dataset=world.dataset, reason=WHY)
    world.measure_offline(release, BETTER)
    judged = judge.judge_offline(desk, "router", release, dataset=world.dataset, reason=WHY)
    if judged is None:
        if shadow:
            world.shadowed(release, BETTER)
        judged = world.judged(release, traffic=shadow)
    return judge.act(desk, "router", release, judged, prove=prove or prove_by_seal(desk), reason=WHY)


def verdicts(world: World, release: str) -> dict[str, str]:
    return dict(state(world.desk, "router").releases[release].decisions[-1].verdicts)


# 1. train/serve skew


def skewed(trained: Trained, folder: Path, file: str) -> Path:
    """The artifact with another tokenizer or preprocessing, sealed anew so that its files add up."""
    copy = copy_of(trained, folder)
    body = json.loads((copy / file).read_text(encoding="utf-8"))
    if file == "tokenizer.json":
        body["normalizer"]["lowercase"] = not body["normalizer"]["lowercase"]
    else:
        body["max_tokens"] = 4
    (copy / file).write_text(json.dumps(body), encoding="utf-8")
    (copy / "MANIFEST.json").unlink()
    seal(copy)
    return copy


@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessing.json"])
def test_skew_is_refused_by_the_fingerprint_gate(tmp_path: Path, trained: Trained, file: str) -> None:
    world = make_world(tmp_path, GATE_LIST + FINGERPRINT)
    world.bootstrapped()
    folder = skewed(trained, tmp_path / "skewed", file)
    release = world.candidate(folder=folder, fingerprint=trained.fingerprint)
    acted = decided(world, release)
    assert acted.outcome == Outcome.REJECT
    assert verdicts(world, release)["fingerprint"] == Verdict.FAIL.name
    assert state(world.desk, "router").champion == "router-1"


def test_without_the_gate_the_loader_still_refuses_skew_at_the_promotion(
    tmp_path: Path, trained: Trained
) -> None:
    world = make_world(tmp_path)
    world.bootstrapped()
    folder = skewed(trained, tmp_path / "skewed", "tokenizer.json")
    release = world.candidate(folder=folder, fingerprint=trained.fingerprint)
    with pytest.raises(FingerprintMismatch):
        decided(world, release, prove=loads(world))
    assert state(world.desk, "router").champion == "router-1"


def test_without_gate_and_loader_skew_goes_through(tmp_path: Path, trained: Trained) -> None:
    world = make_world(tmp_path)
    world.bootstrapped()
    folder = skewed(trained, tmp_path / "skewed", "tokenizer.json")
    release = world.candidate(folder=folder, fingerprint=trained.fingerprint)
    assert decided(world, release).outcome == Outcome.PROMOTE


def test_an_artifact_that_reads_as_it_trained_passes_both_guards(tmp_path: Path, trained: Trained) -> None:
    world = make_world(tmp_path, GATE_LIST + FINGERPRINT.replace("}", ", dry_run: false}"))
    pair = evaluate.Pair(Rigged("plain baseline", 0.4, "plain"), Rigged("v1", 0.1))
    first = world.candidate(folder=trained.folder, fingerprint=trained.fingerprint)
    world.measure_offline(first, pair)
    judge.judge_offline(world.desk, "router", first, dataset=world.dataset, reason=WHY)
    world.act(first, world.judged(first, traffic=False))
    other = copy_of(trained, tmp_path / "other")
    with (other / "training_config.yaml").open("a") as config:
        config.write("remark: trained for longer\n")
    (other / "MANIFEST.json").unlink()
    seal(other)
    release = world.candidate(folder=other, fingerprint=trained.fingerprint)
    acted = decided(world, release, prove=loads(world))
    assert acted.outcome == Outcome.PROMOTE
    assert verdicts(world, release)["fingerprint"] == Verdict.PASS.name


# 2. silent leakage


def test_leakage_is_refused_by_the_leakage_gate(served: World) -> None:
    served.snapshot = make_snapshot(name="intent-data-2026-04-27", leak=30)
    release = served.candidate()
    acted = decided(served, release)
    assert acted.outcome != Outcome.PROMOTE
    assert verdicts(served, release)["leakage"] != Verdict.PASS.name
    assert acted.error_review is not None
    assert "take 30 training rows out" in acted.error_review.markdown.replace("\\", "")


def test_without_the_leakage_gate_it_goes_through(tmp_path: Path) -> None:
    world = make_world(tmp_path, GATE_LIST.replace("      - {gate: leakage}\n", ""))
    world.bootstrapped()
    world.snapshot = make_snapshot(name="intent-data-2026-04-27", leak=30)
    assert decided(world, world.candidate()).outcome == Outcome.PROMOTE


# 3. an untracked model, put in place by hand


def test_a_model_put_in_place_by_hand_is_refused_by_the_loader(tmp_path: Path, trained: Trained) -> None:
    world = make_world(tmp_path)
    first = world.candidate(folder=trained.folder, fingerprint=trained.fingerprint)
    permitted = permit(state(world.desk, "router"), first, Purpose.MEASURE)["intent-classifier"]
    by_hand = copy_of(trained, tmp_path / "by-hand")
    (by_hand / "training_config.yaml").write_text("epochs: 99\n")
    (by_hand / "MANIFEST.json").unlink()
    seal(by_hand)
    with pytest.raises(Untracked):
        load(by_hand, permitted)
    assert load(trained.folder, permitted).answer("where is my order").label == "order_tracking"


def test_without_the_loader_a_model_put_in_place_by_hand_answers(tmp_path: Path, trained: Trained) -> None:
    by_hand = copy_of(trained, tmp_path / "by-hand")
    (by_hand / "training_config.yaml").write_text("epochs: 99\n")
    assert assemble(by_hand, "by hand").answer("where is my order").label == "order_tracking"


def test_a_release_that_the_ledger_does_not_list_gets_no_permit(served: World) -> None:
    with pytest.raises(Untracked):
        permit(state(served.desk, "router"), "router-99", Purpose.SERVE)


# 4. shadow ignored


def test_without_shadow_nothing_is_promoted(served: World) -> None:
    release = served.candidate()
    acted = decided(served, release, shadow=False)
    assert acted.outcome == Outcome.HOLD
    assert verdicts(served, release)["disagreement"] == Verdict.ERROR.name
    assert acted.error_review is not None
    assert "no shadow evidence" in acted.error_review.markdown.replace("\\", "")


def test_without_the_shadow_gates_it_goes_through(tmp_path: Path) -> None:
    offline_only = "".join(
        line + "\n"
        for line in GATE_LIST.splitlines()
        if "disagreement" not in line and "shadow_review" not in line
    )
    world = make_world(tmp_path, offline_only)
    world.bootstrapped()
    assert decided(world, world.candidate(), shadow=False).outcome == Outcome.PROMOTE
