"""The network: an encoder that AutoModel knows, mean pooling, dropout, one linear head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from mangaops.errors import TrainingError
from mangaops.training.parameters import IntentTraining


class Classifier(nn.Module):
    """Token ids and mask of shape (rows, tokens) to logits of shape (rows, labels)."""

    def __init__(self, encoder: nn.Module, width: int, labels: int, dropout: float) -> None:
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
