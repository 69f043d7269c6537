"""The fingerprint: whether two artifacts read a text the same way and mean the same by their columns."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from mangaops.inference.labels import label_map
from mangaops.inference.manifest import file_digest
from mangaops.inference.preprocessing import TOKENIZER, encoder

PROBES: Final = (
    "where is my order",
    "Do you have ONE PIECE vol. 103 in stock?",
    "i want to talk to a human!!! this is the 3rd time...",
    "返品したいです。どうすればいいですか",
    "ワンピース の 最新刊 ある? isekai please",
    "ｆｕｌｌ－ｗｉｄｔｈ ① ﬁrst edition",
    "😀👍🏽 lol thx 🇯🇵",
    "",
    "  \t\n  ",
    "[CLS] [SEP] [MASK] </s> <pad>",
    "nul\0byte and a lone \ud83d surrogate",
    "can I return a manga that arrived damaged, and how long does it take? " * 40,
)
"""Never change these: they are hashed into every fingerprint. Better ones are a new schema of it."""

_SCHEMA: Final = "fingerprint-1"


def fingerprint(folder: Path) -> str:
    """`sha256:` of tokenizer file, preprocessing spec, label order and the token ids of the fixed probes.

    Equal for two trainings of one base with the same labels: weights and thresholds are not part.

    Raises:
        ArtifactTampered: a file is missing or unreadable.
    """
    reads = encoder(folder)
    body = {
        "schema": _SCHEMA,
        "tokenizer": file_digest(folder / TOKENIZER),
        "preprocessing": reads.preprocessing.model_dump(),
        "labels": label_map(folder).labels,
        "probes": [reads.ids(text) for text in PROBES],
    }
    return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
