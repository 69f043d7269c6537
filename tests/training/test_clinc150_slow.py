"""The default recipe on a real dataset of 150 intents and out-of-scope."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mangaops.inference import answers, load
from mangaops.registry.permit import Permit
from mangaops.stack import ModelSpec
from mangaops.training import RECIPES, IntentTraining, TrainingRequest
from mangaops.vocabulary import Family


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_default_recipe_reaches_955_of_1000_with_the_int8_artifact(tmp_path: Path) -> None:
    path = os.environ.get("MANGAOPS_CLINC150")
    if not path:
        pytest.skip("set MANGAOPS_CLINC150 to the Parquet file of CLINC150")
    rows = pl.read_parquet(path).filter("in_full").select("text", "split", label="intent")
    request = TrainingRequest(
        model="intent-classifier",
        version_hint="v1",
        spec=ModelSpec(
            family=Family.INTENT_CLASSIFIER, base="minilm-l6", data="clinc150", training=IntentTraining()
        ),
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name="clinc150",
        labels=tuple(rows.get_column("label").unique().sort()),
        train=rows.filter(pl.col("split") == "train"),
        validation=rows.filter(pl.col("split") == "validation"),
        seed=20260420,
        code_sha="0" * 40,
    )
    start = time.monotonic()
    trained = RECIPES[Family.INTENT_CLASSIFIER](request, tmp_path / "artifact", None)
    seconds = time.monotonic() - start
    permit = Permit("intent-classifier", "v1", trained.digest, trained.fingerprint)
    test = rows.filter(pl.col("split") == "test")
    given = answers(load(trained.folder, permit), test.get_column("text"))
    right = np.array([a.label == b for a, b in zip(given, test.get_column("label"), strict=True)])
    in_scope = (test.get_column("label") != "oos").to_numpy()
    size = sum(file.stat().st_size for file in trained.folder.iterdir()) / 2**20
    print(
        f"\nin scope {right[in_scope].mean():.4f} of {in_scope.sum()}, all {right.mean():.4f} of {len(right)}"
    )
    print(f"{seconds:.0f} s {dict(trained.seconds)}, {size:.0f} MiB\n{trained.parity}\n{trained.metrics}")
    assert in_scope.sum() == 4500
    assert right[in_scope].mean() >= 0.955
