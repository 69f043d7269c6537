"""A real classifier that is trained for a moment, and variants of it that say who answered.

For benches and tests of serving: the embedded base through the real recipe, sealed as any artifact is. A
variant has the same graph and other label names (`escalation.2`), so each answer tells which one gave it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.labels import LabelMap, label_map
from mangaops.inference.manifest import MANIFEST, seal
from mangaops.inference.probes import PROBES_FILE, SealedProbes, seal_probes
from mangaops.pipeline.workshop import Progress
from mangaops.stack import Actions, ModelSpec
from mangaops.training import RECIPES, IntentTraining, Trained, TrainingRequest
from mangaops.vocabulary import Digest, Family

WORDS: Final = {
    "order_tracking": "where is my order the parcel tracking says delivered but nothing arrived yet",
    "promotion": "is there a discount coupon code for the summer sale on box sets this week",
    "escalation": "i want to speak to a human agent right now this is a complaint please",
    "recommendation": "recommend a series like the last one i read with less fighting and more cooking",
}


def rows(count: int, seed: int) -> pl.DataFrame:
    """Rows `text, label` of 3 to 14 words."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        label = list(WORDS)[index % len(WORDS)]
        words = rng.choice(WORDS[label].split(), int(rng.integers(3, 15)))
        made.append({"text": " ".join(words), "label": label})
    return pl.DataFrame(made)


def scratch_model(folder: Path, progress: Progress | None = None, *, base: str = "minilm-l6") -> Trained:
    """`folder` is a sealed classifier of that base, int8 as the recipe makes it."""
    options = IntentTraining(epochs=2, frozen_layers=4)
    spec = ModelSpec(
        family=Family.INTENT_CLASSIFIER,
        base=base,
        data="bench",
        actions=Actions(clarify_below=0.2, offer_human=("escalation",)),
        training=options,
    )
    request = TrainingRequest(
        model="intent-classifier",
        version_hint="bench",
        spec=spec,
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name="bench",
        labels=tuple(WORDS),
        train=rows(320, 1),
        validation=rows(100, 2),
        seed=1,
        code_sha="0" * 40,
    )
    return RECIPES[Family.INTENT_CLASSIFIER](request, folder, progress)


def variant(artifact: Path, folder: Path, number: int) -> tuple[Digest, str]:
    """`folder` is the sealed artifact with `.number` after each label; gives its digest and fingerprint."""
    shutil.copytree(artifact, folder, ignore=shutil.ignore_patterns(MANIFEST, PROBES_FILE))
    means = label_map(artifact)
    renamed = LabelMap(
        labels=tuple(f"{label}.{number}" for label in means.labels),
        temperature=means.temperature,
        clarify_below=means.clarify_below,
        offer_human=tuple(f"{label}.{number}" for label in means.offer_human),
    )
    renamed.save(folder)
    sealed = SealedProbes.model_validate_json((artifact / PROBES_FILE).read_bytes())
    seal_probes(folder, sealed.tolerance)
    return seal(folder), fingerprint(folder)
