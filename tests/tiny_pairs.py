"""Invented pairs of query and item that an encoder does not know and can learn: a made-up slang."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mangaops.stack import ModelSpec
from mangaops.training import RECIPES, AdapterTraining, Drawn, PairRequest, RerankerTraining, Trained
from mangaops.vocabulary import Family

SLANG = {
    "glimmerfax": "a chef cooks warm food in a small diner",
    "brontle": "pilots of giant robots fight in space",
    "quissom": "two shy students fall in love at school",
    "vandrip": "a ghost haunts an old house at night",
    "ottermoot": "a swordsman travels through old Japan",
    "plinkett": "a football team trains for the final match",
    "sorrelby": "a detective solves a murder by the sea",
    "dwimsy": "a witch learns magic from a talking cat",
}
_ASKED = ("any {} please", "i want {} manga", "new {} series", "more {} like last week", "is there {}")
_PLACES = ("in autumn", "on an island", "with friends", "after the war")


def tiny_items() -> pl.DataFrame:
    """Four items a topic."""
    rows = [
        {"item_id": f"{topic}-{number}", "text": f"{text} {place}"}
        for topic, text in SLANG.items()
        for number, place in enumerate(_PLACES)
    ]
    return pl.DataFrame(rows)


def tiny_judgments(side: str, asked: tuple[str, ...]) -> pl.DataFrame:
    """Queries in slang, each with its topic's items (grades 1 and 2), and one that is not relevant."""
    rows = []
    topics = list(SLANG)
    for number, topic in enumerate(topics):
        for form, words in enumerate(asked):
            query = {"query_id": f"{side}-{topic}-{form}", "query": words.format(topic)}
            rows += [{**query, "item_id": f"{topic}-{n}", "grade": 1 + n % 2} for n in range(len(_PLACES))]
            rows.append({**query, "item_id": f"{topics[number - 1]}-0", "grade": 0})
    return pl.DataFrame(rows)


def tiny_candidates(*sides: pl.DataFrame) -> pl.DataFrame:
    """Twelve candidates a query: two relevant ones among ten others, in an order that says nothing.

    They are nearly alike to the adapter, so that what is learnt from the words decides.
    """
    rng = np.random.default_rng(5)
    items = tiny_items().get_column("item_id").to_list()
    rows = []
    for side in sides:
        for (query,), group in side.group_by("query_id", maintain_order=True):
            right = group.filter(pl.col("grade") > 0).get_column("item_id").to_list()
            others = [item for item in items if item not in right]
            drawn = [*rng.choice(right, 2, replace=False), *rng.choice(others, 10, replace=False)]
            ranks = enumerate(rng.permutation(drawn).tolist(), start=1)
            rows += [
                {"query_id": query, "item_id": item, "rank": rank, "similarity": 0.5 - 0.001 * rank}
                for rank, item in ranks
            ]
    return pl.DataFrame(rows)


def adapter_request(base: str, cache: Path | None = None, **training: object) -> PairRequest:
    """A request for an adapter that trains in a second or two."""
    parameters = {"hidden": 32, "steps": 60, "batch": 32, "checks": 4, "top": 4, "hard_negatives": 2}
    parameters |= {"mined_from": 1, "mined_to": 12, "learning_rate": 5e-3, "max_tokens": 32, **training}
    return _request(Family.EMBEDDING_ADAPTER, base, AdapterTraining.model_validate(parameters), cache)


def reranker_request(base: str, **training: object) -> PairRequest:
    """A request for a reranker that trains in seconds."""
    parameters = {"layers": 2, "depth": 12, "max_tokens": 32, "epochs": 4, "top": 4, "learning_rate": 1e-3}
    parameters |= {"batch": 32, "head_learning_rate": 1e-2}
    options = RerankerTraining.model_validate({**parameters, "int8_correlation": 0.95, **training})
    made = _request(Family.CROSS_ENCODER_RERANKER, base, options, None)
    drawn = tiny_candidates(made.train, made.validation)
    by = Drawn("embedding-adapter@v3", "sha256:" + "a" * 64)
    return PairRequest(**{**vars(made), "candidates": drawn, "candidates_from": by})


def _request(family: Family, base: str, options: object, cache: Path | None) -> PairRequest:
    spec = ModelSpec.model_validate(
        {"family": family, "base": base, "data": "search-data", "training": options}
    )
    return PairRequest(
        model=str(family),
        version_hint="v1",
        spec=spec,
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name="search-data-2026-04-20",
        items=tiny_items(),
        train=tiny_judgments("train", _ASKED[:3]),
        validation=tiny_judgments("validation", _ASKED[3:]),
        seed=11,
        code_sha="0" * 40,
        cache=cache,
    )


def shared(folder: Path, family: Family) -> Trained:
    """The one artifact of a family on the embedded base in `folder`, made by whoever comes first."""
    mine = folder / str(family)
    mine.mkdir(parents=True, exist_ok=True)
    told = mine / "trained.json"
    with (mine / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            if family == Family.EMBEDDING_ADAPTER:
                request = adapter_request("minilm-l6", folder / "kept")
            else:
                request = reranker_request("minilm-l6")
            made = RECIPES[family](request, mine / "artifact", None)
            told.write_text(json.dumps({**asdict(made), "folder": str(made.folder)}))
    facts = json.loads(told.read_text())
    return Trained(**{**facts, "folder": Path(facts["folder"])})


def place(factory: pytest.TempPathFactory) -> Path:
    """The folder for `shared` that all workers of a session have in common."""
    mine = factory.getbasetemp()
    return (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "pairs"
