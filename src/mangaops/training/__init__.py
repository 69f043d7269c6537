"""Recipes, one a family, and the steps they share. The only room with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mangaops.training.parameters import PARAMETERS, IntentTraining
from mangaops.training.reproduce import Reproduction, reproduce
from mangaops.training.request import Progress, Recipe, Trained, TrainingRequest
from mangaops.training.steps.baseline import Baseline, baseline
from mangaops.vocabulary import Family


def _intent_classifier(request: TrainingRequest, folder: Path, progress: Progress | None) -> Trained:
    from mangaops.training.foreign import translated

    with translated("training"):
        from mangaops.training.recipes import intent_classifier

    return intent_classifier.train(request, folder, progress)


RECIPES: Final[dict[Family, Recipe]] = {Family.INTENT_CLASSIFIER: _intent_classifier}
"""The recipe of each family that can be trained. Torch is imported when one is called."""

__all__ = [
    "PARAMETERS",
    "RECIPES",
    "Baseline",
    "IntentTraining",
    "Progress",
    "Recipe",
    "Reproduction",
    "Trained",
    "TrainingRequest",
    "baseline",
    "reproduce",
]
