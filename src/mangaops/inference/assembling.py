"""How the files of each family's artifact become what answers; unverified, so never for serving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from mangaops.inference.embedder import Embedder, assemble_embedder
from mangaops.inference.foreign import translated
from mangaops.inference.predictor import IntentPredictor, assemble
from mangaops.inference.reranker import Reranker, assemble_reranker
from mangaops.vocabulary import Family

CONFIG: Final = "training_config.yaml"

Assembled = IntentPredictor | Embedder | Reranker

ASSEMBLE: Final[Mapping[Family, Callable[[Path, str], Assembled]]] = {
    Family.INTENT_CLASSIFIER: assemble,
    Family.EMBEDDING_ADAPTER: assemble_embedder,
    Family.CROSS_ENCODER_RERANKER: assemble_reranker,
}
"""One entry a family that can be trained."""


def assembled(folder: Path, name: str) -> Assembled:
    """What answers from the files of `folder`, by the family that its training config names.

    Raises:
        ArtifactTampered: a file is missing or unreadable.
    """
    with translated(folder, f"reading {CONFIG}"):
        family = Family(yaml.safe_load((folder / CONFIG).read_bytes())["family"])
        make = ASSEMBLE[family]
    return make(folder, name)
