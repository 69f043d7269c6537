"""Matches: how the words of a query and of a text match, token by token, as a few numbers a pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

COVERED: Final = (None, 24, 8)
"""The query's share of words that are in the whole text, and in so many first tokens of it."""
MET: Final = (8, 4, 2)
"""The share of so many first tokens of the text, where a title stands, that are in the query."""
SATURATION: Final = 1.2
NUMBERS: Final = len(COVERED) + len(MET) + 4


def rarity(tokenizer: Tokenizer, texts: Iterable[Iterable[int]]) -> NDArray[np.float32]:
    """How telling each token is, by the share of `texts` (token ids) that have it; 0 for special tokens.

    Source: Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond", equation
    3.15's inverse document frequency, as Lucene keeps it over 0.
    """
    kinds = [sorted(set(ids)) for ids in texts]
    found = np.zeros(tokenizer.get_vocab_size(), dtype=np.float64)
    for each in kinds:
        found[each] += 1
    telling = np.log1p((len(kinds) - found + 0.5) / (found + 0.5))
    special = [at for at, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    telling[[0, *special]] = 0.0
    return telling.astype(np.float32)


class Matches(nn.Module):
    """Ids and types of pairs to numbers of shape (pairs, NUMBERS), most of them shares in 0..1; not trained.

    Words count by their rarity. Beside the shares of `COVERED` and `MET`: what is covered, saturating with
    each repetition; the share of the query's word pairs that stand side by side in the text, and in its
    first 8 tokens; and the product of the narrow shares.

    Source: after Guo et al. 2016, A Deep Relevance Matching Model for Ad-hoc Retrieval, of which exact
    matches are kept; equation 2 of Robertson and Zaragoza's saturation with k1 = 1.2 and b = 0.
    """

    rarity: torch.Tensor

    def __init__(self, rarity: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("rarity", torch.from_numpy(rarity))

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """`token_type_ids` is 1 from the text's first token on; padding counts for nothing."""
        telling = self.rarity[input_ids]
        is_text = token_type_ids.to(telling.dtype)
        asked, offered = telling * (1 - is_text), telling * is_text
        equal = (input_ids.unsqueeze(2) == input_ids.unsqueeze(1)).to(telling.dtype)
        equal = (
            equal * (asked > 0).to(telling.dtype).unsqueeze(2) * (offered > 0).to(telling.dtype).unsqueeze(1)
        )
        place = is_text.cumsum(1) * is_text  # 1 for the text's first token
        beside = equal * nn.functional.pad(equal, (0, 1, 0, 1))[:, 1:, 1:]
        both = asked + nn.functional.pad(asked, (0, 1))[:, 1:]
        both = both * (nn.functional.pad(asked, (0, 1))[:, 1:] > 0) * (asked > 0)

        def first(tokens: int | None) -> torch.Tensor:
            within = is_text if tokens is None else is_text * (place <= tokens)
            return within.unsqueeze(1)

        covered = [_share(asked, (equal * first(k)).amax(2)) for k in COVERED]
        met = [_share(offered * first(k).squeeze(1), equal.amax(1)) for k in MET]
        often = equal.sum(2)
        saturating = (asked * often / (often + SATURATION)).sum(1) / 10
        phrases = [_share(both, (beside * first(k)).amax(2)) for k in (None, 8)]
        return torch.stack([*covered, *met, saturating, *phrases, covered[2] * met[1]], dim=1)


def _share(weights: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The weighted share of what is there, a pair; 0 where nothing has a weight."""
    return (weights * there).sum(1) / weights.sum(1).clamp(min=1e-6)
