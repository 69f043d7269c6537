"""A model that is real and small: a base made on the spot, and an artifact that the real recipe trains."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from mangaops.stack import Actions, ModelSpec
from mangaops.training import RECIPES, IntentTraining, Trained, TrainingRequest
from mangaops.vocabulary import Family

LABELS = ("order_tracking", "promotion", "escalation")
_WORDS = {
    "order_tracking": "where is my order parcel tracking delivery late shipped",
    "promotion": "discount coupon sale code offer cheap deal percent",
    "escalation": "human agent complaint manager angry person speak now",
}
_FILLER = "please the a for my i want to manga volume one can you tell me thanks"
_WIDTH = 32


def tiny_rows(rows: int, seed: int = 0, labels: Sequence[str] = LABELS) -> pl.DataFrame:
    """Rows `text, label` that a tiny model can learn; unknown labels get words of their own."""
    rng = np.random.default_rng(seed)
    filler = _FILLER.split()
    made = []
    for index in range(rows):
        label = labels[index % len(labels)]
        words = _WORDS.get(label, f"{label} {label}ish about{label}").split()
        chosen = [*rng.choice(words, 3), *rng.choice(filler, int(rng.integers(1, 6)))]
        made.append({"text": " ".join(rng.permutation(chosen).tolist()), "label": label})
    return pl.DataFrame(made)


def tiny_base(folder: Path, labels: Sequence[str] = LABELS) -> Path:
    """`folder` holds a BertModel of two layers and width 32, and a tokenizer trained on a few rows."""
    import torch
    from tokenizers.implementations import BertWordPieceTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    texts = tiny_rows(300, labels=labels).get_column("text").to_list()
    tokenizer.train_from_iterator(texts, vocab_size=400, show_progress=False)
    special = [(word, tokenizer.token_to_id(word)) for word in ("[SEP]", "[CLS]")]
    tokenizer._tokenizer.post_processor = BertProcessing(*special)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=128,
    )
    logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertModel(config).save_pretrained(str(folder))
    return folder


def tiny_request(base: Path, labels: Sequence[str] = LABELS, **training: object) -> TrainingRequest:
    """A request that trains in seconds: 240 rows, and parameters that suit the tiny base."""
    parameters = {"epochs": 4, "learning_rate": 5e-3, "head_learning_rate": 2e-2, "threads": 1, **training}
    spec = ModelSpec(
        family=Family.INTENT_CLASSIFIER,
        base=str(base),
        data="intent-data",
        actions=Actions(clarify_below=0.4, offer_human=tuple({"escalation"} & set(labels))),
        training=IntentTraining.model_validate(parameters),
    )
    return TrainingRequest(
        model="intent-classifier",
        version_hint="v1",
        spec=spec,
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name="intent-data-2026-04-20",
        labels=tuple(labels),
        train=tiny_rows(240, seed=1, labels=labels),
        validation=tiny_rows(90, seed=2, labels=labels),
        seed=11,
        code_sha="0" * 40,
    )


def tiny_artifact(folder: Path, labels: Sequence[str] = LABELS, **training: object) -> Trained:
    """`folder` is a sealed artifact, made by the real recipe on a base that is made beside it."""
    base = tiny_base(folder.parent / f"{folder.name}-base", labels)
    request = tiny_request(base, labels, **training)
    return RECIPES[Family.INTENT_CLASSIFIER](request, folder, None)


def shared_artifact(folder: Path) -> Trained:
    """The one tiny artifact that lies in `folder`, made by whoever comes first; processes may race for it."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "trained.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            made = tiny_artifact(folder / "artifact")
            told.write_text(json.dumps({**asdict(made), "folder": str(made.folder)}))
    facts = json.loads(told.read_text())
    return Trained(**{**facts, "folder": Path(facts["folder"])})
