"""The cross-encoder: sentence-transformers' model and losses over a network that starts from retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.cross_encoder import CrossEncoder
from sentence_transformers.cross_encoder.losses import LambdaLoss, ListNetLoss
from torch import nn

from mangaops.errors import TrainingError
from mangaops.inference.preprocessing import PairEncoder
from mangaops.inference.session import SIMILARITY
from mangaops.training.steps import precision
from mangaops.training.steps.judged import Candidate
from mangaops.training.steps.matches import NUMBERS, Matches

PRIOR: Final = 15.0
"""What a similarity counts before anything is learnt: about one over the adapter's temperature."""
HIDDEN: Final = 16
_TOGETHER = 64


class Offered(NamedTuple):
    """A query's candidates with a grade each (0: not relevant), as a loss takes them."""

    query: str
    candidates: list[Candidate]
    grades: list[float]


class Weighing(nn.Module):
    """Similarity and matches to a score: PRIOR times the similarity, until something is learnt.

    Products are sums of elements, which stay in float32 in an int8 graph: it is a few hundred numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.tensor(PRIOR))
        self.into = nn.Parameter(torch.empty(1 + NUMBERS, HIDDEN))
        self.bias = nn.Parameter(torch.zeros(HIDDEN))
        self.out = nn.Parameter(torch.zeros(HIDDEN))
        nn.init.normal_(self.into, std=(1 + NUMBERS) ** -0.5)

    def forward(self, similarity: torch.Tensor, matches: torch.Tensor) -> torch.Tensor:
        """Shapes (pairs, 1) and (pairs, NUMBERS) to (pairs,)."""
        read = torch.cat([similarity, matches], dim=1)
        inner = nn.functional.gelu((read.unsqueeze(2) * self.into).sum(1) + self.bias)
        score: torch.Tensor = self.prior * similarity.squeeze(1) + (inner * self.out).sum(1)
        return score


class Scoring(nn.Module):
    """The network with plain inputs, which is exported: what weighing says, and the encoder's correction.

    The correction is linear in the mean of the encoder's states over both texts, and 0 until it is learnt.
    Once `encoder` is None there is none.
    """

    def __init__(self, encoder: Any, rarity: NDArray[np.float32], *, typed: bool) -> None:
        super().__init__()
        self.encoder, self.typed = encoder, typed
        self.matches, self.weighing = Matches(rarity), Weighing()
        self.head = nn.Parameter(torch.zeros(encoder.config.hidden_size))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        similarity: torch.Tensor,
    ) -> torch.Tensor:
        """Logits of shape (pairs, 1)."""
        score: torch.Tensor = self.weighing(similarity, self.matches(input_ids, token_type_ids))
        if self.encoder is not None:
            types = {"token_type_ids": token_type_ids} if self.typed else {}
            states = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, **types
            ).last_hidden_state.float()
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            score = score + (pooled * self.head).sum(1)
        return score.unsqueeze(1)

    @property
    def layers(self) -> int:
        """How many layers the encoder has; 0 without one."""
        return self.encoder.config.num_hidden_layers if self.encoder is not None else 0


class _Scores(nn.Module):
    """The network as sentence-transformers calls it."""

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The features with `scores` of shape (pairs, 1)."""
        return {**features, "scores": self.scoring(**features)}


class Crossing(CrossEncoder):  # type: ignore[misc]
    """A CrossEncoder of one score a pair that reads pairs with the encoder that will be sealed."""

    reads: PairEncoder

    @property
    def scoring(self) -> Scoring:
        """The network inside."""
        inside: Scoring = self[0].scoring
        return inside

    def preprocess(
        self, inputs: Sequence[tuple[str, Candidate]], *_: Any, **__: Any
    ) -> dict[str, torch.Tensor]:
        """Ids, mask and types of shape (pairs, longest of them), and similarities of shape (pairs, 1)."""
        asked = {query: self.reads.query(query) for query in dict.fromkeys(query for query, _ in inputs)}
        read = [self.reads.ids(asked[query], offered.text) for query, offered in inputs]
        longest = max(len(ids) for ids, _ in read)
        names = ("input_ids", "attention_mask", "token_type_ids")
        made = {name: np.zeros((len(read), longest), dtype=np.int64) for name in names}
        for place, (ids, types) in enumerate(read):
            for name, row in zip(names, (ids, [1] * len(ids), types), strict=True):
                made[name][place, : len(ids)] = row
        near = np.asarray([[offered.similarity] for _, offered in inputs], dtype=np.float32)
        return {name: torch.from_numpy(rows) for name, rows in made.items()} | {
            SIMILARITY: torch.from_numpy(near)
        }


def crossing(folder: Path, layers: int, reads: PairEncoder, rarity: NDArray[np.float32]) -> Crossing:
    """The base in `folder` with its first `layers` layers (0: all), which scores as retrieval does.

    Raises:
        TrainingError: the base has fewer layers.
    """
    from transformers import AutoConfig, AutoModel
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
    loud = logging.get_verbosity()
    logging.set_verbosity_error()  # each layer that is left out is a warning
    try:
        encoder = AutoModel.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **({"num_hidden_layers": layers} if layers else {}),
        )
    finally:
        logging.set_verbosity(loud)
    typed = int(getattr(config, "type_vocab_size", 0) or 0) > 1
    model = Crossing(modules=[_Scores(Scoring(encoder, rarity, typed=typed))], device="cpu")
    model.reads = reads
    return model


class Loss:
    """The loss of lists: `softmax` (ListNet) or `lambda` (LambdaLoss).

    ListNet is told the logarithms of the grades, whose softmax is each grade's share of their sum.

    Source: Cao et al. 2007, Learning to Rank: From Pairwise Approach to Listwise Approach, section 4.2; Wang
    et al. 2018, The LambdaLoss Framework for Ranking Metric Optimization, section 4.
    """

    def __init__(self, model: Crossing, kind: str) -> None:
        self._logarithms = kind == "softmax"
        self._loss = ListNetLoss(model) if self._logarithms else LambdaLoss(model)

    def __call__(self, lists: Sequence[Offered]) -> torch.Tensor:
        """The mean over lists (`softmax`) or pairs of candidates (`lambda`)."""
        grades = [torch.tensor(each.grades) for each in lists]
        told = [torch.log(each) for each in grades] if self._logarithms else grades
        loss: torch.Tensor = self._loss(
            [[each.query for each in lists], [each.candidates for each in lists]], told
        )
        return loss


def scores(
    model: Crossing, asked: Sequence[tuple[str, list[Candidate]]], how: precision.Precision
) -> list[NDArray[np.float32]]:
    """The logits of each query's candidates, without dropout; pairs of like length share batches."""
    model.eval()
    pairs = [(query, each) for query, offered in asked for each in offered]
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1].text))
    given = np.empty(len(pairs), dtype=np.float32)
    with torch.inference_mode(), precision.autocast(how):
        for start in range(0, len(order), _TOGETHER):
            places = order[start : start + _TOGETHER]
            features = model.preprocess([pairs[place] for place in places])
            on = {name: rows.to(precision.device()) for name, rows in features.items()}
            given[places] = model(on)["scores"].view(-1).float().cpu().numpy()
    cuts = np.cumsum([len(offered) for _, offered in asked])[:-1]
    return np.split(given, cuts)
