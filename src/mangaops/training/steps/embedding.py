"""The embedding network: an encoder, its pooling, perhaps an adapter, and vectors of length 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from mangaops.errors import TrainingError

Pooling = Literal["mean", "cls"]
_KNOWN: Final = ("Transformer", "Pooling", "Normalize")


class Adapter(nn.Module):
    """A residual projection of unit vectors: x + W2 gelu(W1 LayerNorm(x)), of length 1 again.

    W2 begins at zero, so that the untrained adapter gives exactly what it is given.

    Source: Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP, section 2.1 (near-identity).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Unit vectors of shape (rows, width) to such."""
        moved = self.out(functional.gelu(self.into(self.norm(vectors))))
        return functional.normalize(vectors + moved, dim=-1)


class Embedding(nn.Module):
    """Token ids and mask of shape (rows, tokens) to unit vectors of shape (rows, width)."""

    def __init__(self, encoder: Any, pooling: Pooling, adapter: Adapter | None = None) -> None:
        super().__init__()
        self.encoder, self.pooling, self.adapter = encoder, pooling, adapter

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Unit vectors; tokens under a mask of 0 count for nothing."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        vectors = functional.normalize(pooled, dim=-1)
        return vectors if self.adapter is None else self.adapter(vectors)

    def vectors(self, texts: Sequence[list[int]]) -> NDArray[np.float32]:
        """The vector of each text's ids, computed alone, of shape (texts, width)."""
        self.eval()
        with torch.inference_mode():
            alone = [torch.tensor([ids]) for ids in texts]
            return np.concatenate([self(ids, torch.ones_like(ids)).numpy() for ids in alone])


def pooling(folder: Path) -> Pooling:
    """How the base in `folder` pools its tokens, as sentence-transformers reads it; the mean without modules.

    Every vector is brought to length 1, whether the base does so itself or not: retrieval is by cosine.

    Raises:
        TrainingError: the base has a module or a pooling that is not followed here.
    """
    listed = folder / "modules.json"
    if not listed.is_file():
        return "mean"
    modules = json.loads(listed.read_text(encoding="utf-8"))
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if strange := sorted(set(kinds) - set(_KNOWN)):
        raise _unknown(f"the modules {', '.join(strange)}", ", ".join(_KNOWN))
    places = [module["path"] for module, kind in zip(modules, kinds, strict=True) if kind == "Pooling"]
    if not places:
        return "mean"
    config = json.loads((folder / places[0] / "config.json").read_text(encoding="utf-8"))
    active = [
        key.removeprefix("pooling_mode_")
        for key, on in config.items()
        if key.startswith("pooling_mode_") and on
    ]
    mode = config.get("pooling_mode") or (active[0] if len(active) == 1 else active)
    chosen = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}.get(str(mode))
    if chosen is None:
        raise _unknown(f"the pooling {mode}", "mean or cls")
    return "mean" if chosen == "mean" else "cls"


def _unknown(found: str, accepted: str) -> TrainingError:
    return TrainingError(
        "the base encoder was refused: it does more than is followed here",
        found=found,
        accepted=accepted,
        next_step="name another base in stack.yaml, for example minilm-l6",
    )


def embedding(folder: Path) -> Embedding:
    """The frozen base in `folder` as sentence-transformers would run it, in float32, without an adapter.

    Raises:
        TrainingError: as `pooling` does.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    how = pooling(folder)
    logging.disable_progress_bar()
    encoder: Any = AutoModel.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    return Embedding(encoder, how).requires_grad_(False).eval()
