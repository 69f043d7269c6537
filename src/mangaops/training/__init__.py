"""Recipes, one a family, and the steps they share. The only room with torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from mangaops.training.parameters import PARAMETERS, IntentTraining
from mangaops.training.reproduce import Reproduction, reproduce
from mangaops.training.request import Progress, Recipe, Trained, TrainingRequest
from mangaops.training.steps.baseline import Baseline, baseline
from mangaops.vocabulary import Family


def _intent_classifier(request: TrainingRequest, folder: Path, progress: Progress | None) -> Trained:
    from mangaops.training.foreign import translated

    # Before torch loads OpenMP: threads that wait in a spin cost a shared machine ten times the wall time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
