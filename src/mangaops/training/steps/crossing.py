"""The cross-encoder: sentence-transformers' model and losses, on tokens read as they are in serving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.cross_encoder import CrossEncoder
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, LambdaLoss
from torch import nn

from mangaops.errors import TrainingError
from mangaops.inference.preprocessing import PairEncoder
from mangaops.training.steps import precision

_TOGETHER = 64


class Crossing(CrossEncoder):  # type: ignore[misc]
    """A CrossEncoder of one score a pair that reads pairs with the encoder that will be sealed."""

    reads: PairEncoder

    def preprocess(self, inputs: Sequence[tuple[str, str]], *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        """Ids, mask and, where the model takes them, types of shape (pairs, longest of them)."""
        read = [self.reads.ids(self.reads.query(query), text) for query, text in inputs]
        longest = max(len(ids) for ids, _ in read)
        shape = (len(read), longest)
        made = {name: np.zeros(shape, dtype=np.int64) for name in self.reads.inputs}
        for place, (ids, types) in enumerate(read):
            made["input_ids"][place, : len(ids)] = ids
            made["attention_mask"][place, : len(ids)] = 1
            if types is not None:
                made["token_type_ids"][place, : len(ids)] = types
        return {name: torch.from_numpy(rows) for name, rows in made.items()}


class Scoring(nn.Module):
    """The network inside, with plain inputs: what is exported."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits of shape (pairs, 1)."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: torch.Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, **types
        ).logits
        return logits


def token_types(folder: Path) -> bool:
    """Whether the base in `folder` is told which token is the query's and which the text's."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return int(getattr(config, "type_vocab_size", 0) or 0) > 1


def crossing(folder: Path, layers: int, reads: PairEncoder) -> Crossing:
    """The base in `folder` with its first `layers` layers (0: all) and, where it has none, a fresh head.

    Raises:
        TrainingError: the base has fewer layers.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    if layers > config.num_hidden_layers:
        raise TrainingError(
            f"a reranker of {layers} layers was refused",
            found=f"the base has {config.num_hidden_layers} layers",
            accepted=f"layers from 0 (all) to {config.num_hidden_layers}",
            next_step="mend `training: layers` in stack.yaml",
        )
    logging.disable_progress_bar()
    model = Crossing(
        str(folder),
        num_labels=1,
        device="cpu",
        local_files_only=True,
        trust_remote_code=False,
        config_kwargs={"num_hidden_layers": layers} if layers else {},
        model_kwargs={"use_safetensors": True, "dtype": torch.float32},
    )
    model.reads = reads
    return model


class Loss:
    """The loss of lists: each a query, texts, and a grade a text (0: not relevant)."""

    def __init__(self, model: Crossing, kind: str) -> None:
        self._lists = LambdaLoss(model) if kind == "lambda" else None
        self._pairs = BinaryCrossEntropyLoss(model)

    def __call__(self, lists: Sequence[tuple[str, list[str], list[float]]]) -> torch.Tensor:
        """The mean over pairs of texts (`lambda`) or over texts (`binary`)."""
        queries = [query for query, _, _ in lists]
        loss: torch.Tensor
        if self._lists is not None:
            grades = [torch.tensor(grades) for _, _, grades in lists]
            loss = self._lists([queries, [texts for _, texts, _ in lists]], grades)
            return loss
        asked = [query for query, texts, _ in lists for _ in texts]
        offered = [text for _, texts, _ in lists for text in texts]
        right = torch.tensor([float(grade > 0) for _, _, grades in lists for grade in grades])
        loss = self._pairs([asked, offered], right.to(precision.device()))
        return loss


def scores(
    model: Crossing, asked: Sequence[tuple[str, list[str]]], how: precision.Precision
) -> list[NDArray[np.float32]]:
    """The logits of each query's texts, without dropout; pairs share batches by length of their texts."""
    model.eval()
    pairs = [(query, text) for query, texts in asked for text in texts]
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
    given = np.empty(len(pairs), dtype=np.float32)
    with torch.inference_mode(), precision.autocast(how):
        for start in range(0, len(order), _TOGETHER):
            places = order[start : start + _TOGETHER]
            features = model.preprocess([pairs[place] for place in places])
            on = {name: rows.to(precision.device()) for name, rows in features.items()}
            given[places] = model(on)["scores"].view(-1).float().cpu().numpy()
    cuts = np.cumsum([len(texts) for _, texts in asked])[:-1]
    return np.split(given, cuts)
