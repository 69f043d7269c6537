"""The registry record of a model version, field for field as its readers expect it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mangaops.errors import Untracked
from mangaops.registry.state import UnitState

UNRELEASED = "registered"
"""The status of a model version that no release holds."""


def record(state: UnitState, model_version: str) -> dict[str, Any]:
    """The record of `model@version`, as a dict of exactly six fields.

    `model_name, version, dataset_version, training_code_sha, metrics, status`: `metrics` has what was
    measured so far, sorted by name; `status` is the state of the newest release that holds the version, or
    `registered`.

    Raises:
        Untracked: the ledger knows no such model version.
    """
    model = state.models.get(model_version)
    if model is None:
        raise Untracked(
            f"model version {model_version} was refused: the ledger does not list it",
            accepted=", ".join(list(state.models)[-5:]) or "nothing: no model is registered",
            next_step="mangaops registry list",
        )
    holders = [r for r in state.releases.values() if r.models.get(model.model) == model.version]
    return {
        "model_name": model.model,
        "version": model.version,
        "dataset_version": model.dataset_version,
        "training_code_sha": model.training_code_sha,
        "metrics": dict(sorted(model.metrics.items())),
        "status": str(holders[-1].state) if holders else UNRELEASED,
    }


def untrained(name: str, metrics: Mapping[str, float]) -> str:
    """That the model version answers as it did before it learnt, in a sentence; empty where it learnt.

    Adapters and rerankers keep the weights that did best on validation queries: these may be the first.
    """
    told = "nothing that it learnt did better on the validation queries"
    if metrics.get("best_step") == 0:
        return f"{name} is its untrained base: {told}"
    weighed, drawn = metrics.get("weighed_ndcg"), metrics.get("drawn_ndcg")
    if metrics.get("epochs") == 0 and weighed is not None and drawn is not None and weighed <= drawn:
        return f"{name} leaves the order of retrieval alone: {told}"
    return ""
