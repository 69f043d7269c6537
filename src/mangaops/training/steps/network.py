"""The network: an encoder that AutoModel knows, mean pooling, dropout, one linear head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mangaops.errors import TrainingError
from mangaops.training.parameters import IntentTraining


class Classifier(nn.Module):
    """Token ids and mask of shape (rows, tokens) to logits of shape (rows, labels)."""

    def __init__(self, encoder: Any, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits; tokens under a mask of 0 count for nothing."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        logits: torch.Tensor = self.head(self.dropout(pooled))
        return logits


def classifier(folder: Path, labels: int, options: IntentTraining) -> Classifier:
    """A classifier on the base in `folder`, in float32, with a fresh head and its first layers frozen.

    Raises:
        TrainingError: more layers shall be frozen than the base has.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    encoder: Any = AutoModel.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    network = Classifier(encoder, encoder.config.hidden_size, labels, options.dropout)
    if options.frozen_layers:
        _freeze(encoder, options.frozen_layers)
    return network


class UsedTokens(nn.Module):
    """An embedding of the tokens in use alone; it answers for these as the whole one does."""

    place: torch.Tensor

    def __init__(self, whole: nn.Embedding, used: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[used], requires_grad=whole.weight.requires_grad)
        place = torch.full((whole.num_embeddings,), -1, device=used.device)
        self.register_buffer(
            "place", place.index_copy(0, used, torch.arange(used.numel(), device=used.device))
        )

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Vectors of token ids of any shape; an id that is not in use is an IndexError."""
        return nn.functional.embedding(self.place[input_ids], self.weight)


@contextmanager
def used_tokens(encoder: Any, texts: Iterable[list[int]]) -> Iterator[None]:
    """Inside, only the embeddings of tokens of these texts, and of padding, are there for `encoder` to train.

    The optimizer then need not visit tens of thousands of vectors without a gradient at every step. After it
    the whole embedding is back, with what was learned; a vector that was not in use is what it was.
    """
    whole = encoder.get_input_embeddings()
    listed = sorted({0}.union(*texts))
    used = torch.tensor(listed, device=whole.weight.device)
    part = UsedTokens(whole, used)
    encoder.set_input_embeddings(part)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[used] = part.weight
        encoder.set_input_embeddings(whole)


def _freeze(encoder: Any, layers: int) -> None:
    depth = encoder.config.num_hidden_layers
    stacks = [m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if layers > depth or not stacks:
        raise TrainingError(
            f"{layers} layers cannot be frozen",
            found=f"the base has {depth} layers",
            accepted=f"frozen_layers from 0 to {depth}",
            next_step="mend `training: frozen_layers` in stack.yaml",
        )
    for part in [encoder.embeddings, *list(stacks[0])[:layers]]:
        part.requires_grad_(False)
