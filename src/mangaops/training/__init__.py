"""Recipes, one a family, and the steps they share. The only room with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mangaops.training.candidates import draw_candidates
from mangaops.training.parameters import PARAMETERS, AdapterTraining, IntentTraining, RerankerTraining
from mangaops.training.reproduce import Reproduction, reproduce
from mangaops.training.request import Drawn, PairRequest, Progress, Recipe, Trained, TrainingRequest
from mangaops.training.steps.baseline import Baseline, baseline
from mangaops.vocabulary import Family


def _intent_classifier(request: TrainingRequest, folder: Path, progress: Progress | None) -> Trained:
    from mangaops.training.foreign import translated

    with translated("training"):
        from mangaops.training.recipes import intent_classifier

    return intent_classifier.train(request, folder, progress)


def _embedding_adapter(request: PairRequest, folder: Path, progress: Progress | None) -> Trained:
    from mangaops.training.foreign import translated

    with translated("training"):
        from mangaops.training.recipes import embedding_adapter

    return embedding_adapter.train(request, folder, progress)


def frozen_base(request: PairRequest, folder: Path, progress: Progress | None = None) -> Trained:
    """`folder` is a sealed embedder of the request's base alone: what a first adapter is measured against."""
    from mangaops.training.foreign import translated

    with translated("training"):
        from mangaops.training.recipes import embedding_adapter

    return embedding_adapter.frozen_base(request, folder, progress)


def _cross_encoder_reranker(request: PairRequest, folder: Path, progress: Progress | None) -> Trained:
    from mangaops.training.foreign import translated

    with translated("training"):
        from mangaops.training.recipes import cross_encoder_reranker

    return cross_encoder_reranker.train(request, folder, progress)


RECIPES: Final[dict[Family, Recipe]] = {
    Family.INTENT_CLASSIFIER: _intent_classifier,
    Family.EMBEDDING_ADAPTER: _embedding_adapter,
    Family.CROSS_ENCODER_RERANKER: _cross_encoder_reranker,
}
"""The recipe of each family that can be trained. Torch is imported when one is called."""

__all__ = [
    "PARAMETERS",
    "RECIPES",
    "AdapterTraining",
    "Baseline",
    "Drawn",
    "IntentTraining",
    "PairRequest",
    "Progress",
    "Recipe",
    "Reproduction",
    "RerankerTraining",
    "Trained",
    "TrainingRequest",
    "baseline",
    "draw_candidates",
    "frozen_base",
    "reproduce",
]
