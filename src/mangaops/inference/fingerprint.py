"""The fingerprint: whether two artifacts read a text the same way and mean the same by their columns."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from mangaops.inference.labels import LABELS, label_map
from mangaops.inference.manifest import file_digest
from mangaops.inference.preprocessing import TOKENIZER, Encoder, PairEncoder, reading

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
PAIR_PROBES: Final = (
    (
        "slow manga about cooking",
        "A chef opens a small diner by the harbour. Slow, warm, food on every page.",
    ),
    ("slow manga about cooking", "Pilots of giant robots fight over the ruins of a moon base."),
    ("ONE PIECE vol. 103", "ONE PIECE, volume 103: the Straw Hats reach the top floor of the castle."),
    ("ワンピース 最新刊", "ONE PIECE, volume 103: the Straw Hats reach the top floor of the castle."),
    ("ｆｕｌｌ－ｗｉｄｔｈ ① ﬁrst edition", "First edition, full-width cover, signed."),
    ("😀👍🏽 lol thx 🇯🇵", "\ud83d a lone surrogate and a nul\0byte"),
    ("", ""),
    ("[CLS] [SEP] [MASK] </s> <pad>", "[SEP] [CLS]"),
    ("isekai please", "a hero wakes in another world, again " * 60),
    ("a very long wish for a very particular series " * 40, "a very particular series " * 40),
)
"""Never change these: they are hashed into every fingerprint. Better ones are a new schema of it."""

_SCHEMA: Final = "fingerprint-1"


def fingerprint(folder: Path) -> str:
    """`sha256:` of tokenizer file, preprocessing spec, label order and the token ids of the fixed probes.

    What reads pairs is probed with pairs; what has no labels has none in its fingerprint. Equal for two
    trainings of one base with the same labels: weights and thresholds are not part.

    Raises:
        ArtifactTampered: a file is missing or unreadable.
    """
    reads = reading(folder)
    body: dict[str, Any] = {
        "schema": _SCHEMA,
        "tokenizer": file_digest(folder / TOKENIZER),
        "preprocessing": reads.preprocessing.model_dump(),
        "probes": _read(reads),
    }
    if (folder / LABELS).is_file():
        body["labels"] = label_map(folder).labels
    return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read(reads: Encoder | PairEncoder) -> list[Any]:
    if isinstance(reads, PairEncoder):
        return [reads.ids(reads.query(query), text) for query, text in PAIR_PROBES]
    return [reads.ids(text) for text in PROBES]
