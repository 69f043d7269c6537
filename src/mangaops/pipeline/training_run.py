"""A dataset version to a registered release: each model is trained, sealed and registered once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mangaops.datasets import Snapshot
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import MangaopsError, UsageError
from mangaops.pipeline.pair_run import adapter_request, build_index, last_delta, reranker_request
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.steps import Output, Steps, code_sha
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import Permit, measuring
from mangaops.release.desk import release_of, state
from mangaops.release.register import register_model, register_release
from mangaops.training.steps import bases
from mangaops.vocabulary import Digest, Family, Part

Version = Snapshot | SearchSnapshot


@dataclass(frozen=True)
class Making:
    """What models are made with: the tools, the steps of the run, the unit and the dataset version.

    `drawn_by` is the version of the adapter that draws candidates, where a model of the unit learns on such.
    """

    shop: Workshop
    steps: Steps
    unit: str
    snapshot: Version
    reason: str
    progress: Progress
    drawn_by: Permit | None = None


def build_release(making: Making, plan: Plan) -> str:
    """The unit's models, trained on the snapshot, as a registered release; its name.

    Where the plan names one model alone, the others are the champion's versions.

    Raises:
        UsageError: the plan names a model that the unit lacks, or there is no champion to take others from.
    """
    shop, unit = making.shop, making.unit
    kept = kept_versions(shop, plan)
    models: dict[str, str] = {}
    for model in shop.desk.stack.units[unit].models:
        name = f"{model}@{kept[model]}" if model in kept else train_model(making, model)
        models[model] = name.split("@")[1]
        if shop.desk.stack.models[model].family == Family.EMBEDDING_ADAPTER:
            making = replace(making, drawn_by=measuring(state(shop.desk, unit), name))
    return register_release(
        shop.desk,
        unit,
        models,
        parts=_parts(making),
        because=plan.because,
        reason=plan.reason,
    )


def kept_versions(shop: Workshop, plan: Plan) -> dict[str, str]:
    """The champion's version of each model that the plan leaves as it is.

    Raises:
        UsageError: the plan names a model that the unit lacks, or there is no champion to take others from.
    """
    if plan.only is None:
        return {}
    models, current = shop.desk.stack.units[plan.unit].models, state(shop.desk, plan.unit)
    if plan.only not in models or len(models) == 1:
        raise UsageError(
            f"--only {plan.only} was refused",
            found=f"{plan.unit} consists of {', '.join(models)}",
            accepted=" or ".join(models) if len(models) > 1 else "nothing: the unit has one model",
            next_step="leave --only out, or name one model of the unit",
        )
    if current.champion is None:
        raise UsageError(
            f"--only {plan.only} was refused: {plan.unit} has no champion to take the others from",
            found=f"generation {current.generation}, and no champion",
            accepted="a unit that a release serves",
            next_step="leave --only out: all models are trained and judged",
        )
    champion = release_of(current, current.champion)
    return {model: version for model, version in champion.models.items() if model != plan.only}


def _parts(making: Making) -> dict[str, Digest]:
    """What belongs to the release beside its models: the index of the catalogue, by its own adapter."""
    adapter, shop = making.drawn_by, making.shop
    if adapter is None:
        return {}
    snapshot, parameters = searched(making.snapshot), shop.desk.stack.units[making.unit].index
    made = making.steps.do(
        "index",
        {
            "adapter": adapter.artifact,
            "snapshot": snapshot.digest,
            "parameters": parameters.model_dump(mode="json"),
            "deltas": last_delta(shop, shop.desk.stack.models[adapter.model].data),
        },
        lambda: {"artifact": build_index(shop, adapter, snapshot, parameters, making.progress)},
        holds=lambda output: _stored(shop, output["artifact"]),
    )
    return {Part.INDEX: made["artifact"]}


def train_model(making: Making, model: str) -> str:
    """`model@version`, trained on the snapshot, or found where equal inputs were trained on before."""
    shop, snapshot = making.shop, making.snapshot
    spec = shop.desk.stack.models[model]
    drawn_by = making.drawn_by if spec.family == Family.CROSS_ENCODER_RERANKER else None
    inputs = {
        "model": model,
        "spec": spec.model_dump(mode="json"),
        "base": bases.files(spec.base),
        "snapshot": snapshot.digest,
        **({"candidates from": vars(drawn_by)} if drawn_by else {}),
    }
    made = making.steps.do(
        f"train/{model}",
        inputs,
        lambda: _trained(making, model),
        holds=lambda output: _stored(shop, output["artifact"]),
    )
    return register_model(
        shop.desk,
        making.unit,
        model,
        folder=shop.desk.artifacts.open(made["artifact"]),
        fingerprint=made["fingerprint"],
        dataset_version=snapshot.name,
        dataset=snapshot.digest,
        training_code_sha=code_sha(),
        config=made["config"],
        metrics=made["metrics"],
        reason=making.reason,
    )


def training_request(making: Making, model: str) -> Any:
    """What the recipe of the model's family is asked to train."""
    return REQUESTS[making.shop.desk.stack.models[model].family](making, model)


def _labelled(making: Making, model: str) -> Any:
    from mangaops.training import TrainingRequest

    spec, snapshot = making.shop.desk.stack.models[model], making.snapshot
    assert isinstance(snapshot, Snapshot)
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


def _adapter(making: Making, model: str) -> Any:
    return adapter_request(making.shop, model, searched(making.snapshot))


def _reranker(making: Making, model: str) -> Any:
    if making.drawn_by is None:
        raise UsageError(
            f"training {model} was refused: no adapter draws its candidates",
            accepted="a registered version of the unit's embedding adapter",
            next_step=f"mangaops train {model} --adapter NAME@VERSION; mangaops registry list shows them",
        )
    return reranker_request(making.shop, model, searched(making.snapshot), making.drawn_by, making.progress)


REQUESTS: dict[Family, Callable[[Making, str], Any]] = {
    Family.INTENT_CLASSIFIER: _labelled,
    Family.EMBEDDING_ADAPTER: _adapter,
    Family.CROSS_ENCODER_RERANKER: _reranker,
}
"""What a recipe of each family is asked, one entry a family that can be trained."""


def searched(snapshot: Version) -> SearchSnapshot:
    """The snapshot, which is one of search data: the stack's models learn from data of their kind."""
    assert isinstance(snapshot, SearchSnapshot)
    return snapshot


def _stored(shop: Workshop, artifact: Digest) -> bool:
    try:
        shop.desk.artifacts.open(artifact)
    except MangaopsError:
        return False
    return True


def _trained(making: Making, model: str) -> Output:
    shop = making.shop
    recipe = shop.recipes[shop.desk.stack.models[model].family]
    with shop.making() as folder:
        trained = recipe(training_request(making, model), folder / "artifact", making.progress)
        artifact = shop.desk.artifacts.put(trained.folder)
    return {
        "artifact": artifact,
        "fingerprint": trained.fingerprint,
        "config": dict(trained.config),
        "metrics": dict(trained.metrics),
        "parity": dict(trained.parity),
    }
