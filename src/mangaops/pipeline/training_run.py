"""A dataset version to a registered release: each model is trained, sealed and registered once."""

from __future__ import annotations

from typing import Any

from mangaops.datasets import Snapshot
from mangaops.errors import MangaopsError
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.steps import Output, Steps, code_sha
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release.register import register_model, register_release
from mangaops.training.steps import bases
from mangaops.vocabulary import Digest


def build_release(shop: Workshop, steps: Steps, plan: Plan, snapshot: Snapshot, progress: Progress) -> str:
    """The unit's models, trained on the snapshot, as a registered release; its name."""
    models = {}
    for model in shop.desk.stack.units[plan.unit].models:
        registered = train_model(
            shop, steps, plan.unit, model, snapshot, reason=plan.reason, progress=progress
        )
        models[model] = registered.split("@")[1]
    return register_release(
        shop.desk, plan.unit, models, because=plan.because, reason=plan.reason, bootstrap=plan.bootstrap
    )


def train_model(
    shop: Workshop,
    steps: Steps,
    unit: str,
    model: str,
    snapshot: Snapshot,
    *,
    reason: str,
    progress: Progress,
) -> str:
    """`model@version`, trained on the snapshot, or found where equal inputs were trained on before."""
    spec = shop.desk.stack.models[model]
    inputs = {
        "model": model,
        "spec": spec.model_dump(mode="json"),
        "base": bases.files(spec.base),
        "snapshot": snapshot.digest,
    }
    made = steps.do(
        f"train/{model}",
        inputs,
        lambda: _trained(shop, model, snapshot, progress),
        holds=lambda output: _stored(shop, output["artifact"]),
    )
    return register_model(
        shop.desk,
        unit,
        model,
        folder=shop.desk.artifacts.open(made["artifact"]),
        fingerprint=made["fingerprint"],
        dataset_version=snapshot.name,
        dataset=snapshot.digest,
        training_code_sha=code_sha(),
        config=made["config"],
        metrics=made["metrics"],
        reason=reason,
    )


def training_request(shop: Workshop, model: str, snapshot: Snapshot) -> Any:
    """What a recipe is asked to train."""
    from mangaops.training import TrainingRequest

    spec = shop.desk.stack.models[model]
    return TrainingRequest(
        model=model,
        version_hint=snapshot.name,
        spec=spec,
        snapshot_digest=snapshot.digest,
        snapshot_name=snapshot.name,
        labels=snapshot.labels,
        train=snapshot.train,
        validation=snapshot.validation,
        seed=int(getattr(spec.training, "seed", 0)),
        code_sha=code_sha(),
    )


def _stored(shop: Workshop, artifact: Digest) -> bool:
    try:
        shop.desk.artifacts.open(artifact)
    except MangaopsError:
        return False
    return True


def _trained(shop: Workshop, model: str, snapshot: Snapshot, progress: Progress) -> Output:
    recipe = shop.recipes[shop.desk.stack.models[model].family]
    with shop.making() as folder:
        trained = recipe(training_request(shop, model, snapshot), folder / "artifact", progress)
        artifact = shop.desk.artifacts.put(trained.folder)
    return {
        "artifact": artifact,
        "fingerprint": trained.fingerprint,
        "config": dict(trained.config),
        "metrics": dict(trained.metrics),
        "parity": dict(trained.parity),
    }
