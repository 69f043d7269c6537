"""What stack.yaml may say under `training:`, one model a family."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field, model_validator

from mangaops.stack import Strict
from mangaops.vocabulary import Family


class IntentTraining(Strict):
    """Parameters of the intent classifier's recipe.

    `class_weights`: `sqrt` weighs a label by 1/sqrt(share), `balanced` by 1/share, both with mean 1 over the
    rows. `frozen_layers`: so many first layers, and the embeddings, keep the weights of the base.
    `early_stopping`: stop after so many epochs without a better validation accuracy, 0 never; the best
    epoch is kept either way. `int8_agreement`: least share of rows that torch, fp32 and int8 answer alike.
    `precision`: `auto` is bf16 where the CPU has it in hardware. `threads`: 0 is one a core; another number
    gives other roundings, so that it is part of what is reproduced.
    """

    epochs: int = Field(default=3, ge=1, le=100)
    batch: int = Field(default=32, ge=1, le=1024)
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    head_learning_rate: float = Field(default=1e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    max_tokens: int = Field(default=64, ge=8, le=512)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    frozen_layers: int = Field(default=0, ge=0)
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = Field(default=2.0, ge=0, le=10)
    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: int = Field(default=2, ge=0)
    seed: int = Field(default=20260420, ge=0, lt=2**31)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    threads: int = Field(default=1, ge=0, le=1024)
    int8_agreement: float = Field(default=0.99, ge=0.99, le=1)


class AdapterTraining(Strict):
    """Parameters of the embedding adapter's recipe.

    `hidden`: width of the residual projection's inner layer. `temperature` divides the cosines of InfoNCE.
    `steps` batches of `batch` pairs of a query and a relevant item are seen; `checks` times, evenly spread,
    the adapter is judged on the validation queries by recall in the first `top` items, and the best is kept,
    the untrained one among them. `hard_negatives` a pair are drawn from the items that the base ranks from
    `mined_from` to `mined_to` for its query and that are not judged relevant: those above are often
    relevant and not judged. `int8_cosine`: the least cosine between the vectors that torch, fp32 and int8
    give any text of a sample. `precision` and `threads`: as with the intent classifier.
    """

    hidden: int = Field(default=256, ge=1, le=8192)
    temperature: float = Field(default=0.07, gt=0, le=1)
    steps: int = Field(default=600, ge=1, le=1_000_000)
    batch: int = Field(default=128, ge=2, le=8192)
    checks: int = Field(default=10, ge=1, le=1000)
    top: int = Field(default=10, ge=1, le=1000)
    hard_negatives: int = Field(default=4, ge=0, le=64)
    mined_from: int = Field(default=11, ge=1)
    mined_to: int = Field(default=110, ge=1, le=10_000)
    learning_rate: float = Field(default=3e-4, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    max_tokens: int = Field(default=128, ge=8, le=512)
    seed: int = Field(default=20260420, ge=0, lt=2**31)
    precision: Literal["auto", "bf16", "fp32"] = "fp32"
    threads: int = Field(default=1, ge=0, le=1024)
    int8_cosine: float = Field(default=0.98, ge=0.9, le=1)

    @model_validator(mode="after")
    def _depths(self) -> AdapterTraining:
        if self.mined_to < self.mined_from:
            raise ValueError("mined_to must not be less than mined_from")
        return self


class RerankerTraining(Strict):
    """Parameters of the cross-encoder reranker's recipe.

    `layers`: so many first layers of the base are used, 0 all. `depth`: so many candidates a query are
    reranked, in training, evaluation and serving. `queries` training queries at the most, evenly spread,
    train the network; all of them weigh similarity and matching words. A query is a list of `listed` of its
    candidates, half of them relevant where there are so many, drawn anew each epoch; `batch`: pairs a step
    at the most.
    `network`: `auto` leaves it out where it gains nothing on validation, `always` keeps the best epoch.
    `loss`: `softmax` is ListNet's, `lambda` LambdaLoss, of each list. `early_stopping`: as with the intent
    classifier, by NDCG in the first `top`. `int8_correlation`: the least correlation between the scores that
    torch, fp32 and int8 give. `precision` and `threads`: as with the intent classifier.
    """

    layers: int = Field(default=2, ge=0, le=64)
    depth: int = Field(default=20, ge=2, le=1000)
    max_tokens: int = Field(default=64, ge=16, le=512)
    queries: int = Field(default=2000, ge=1, le=1_000_000)
    epochs: int = Field(default=2, ge=1, le=100)
    batch: int = Field(default=64, ge=2, le=1024)
    listed: int = Field(default=8, ge=2, le=64)
    network: Literal["auto", "always"] = "auto"
    loss: Literal["softmax", "lambda"] = "softmax"
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    head_learning_rate: float = Field(default=1e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    early_stopping: int = Field(default=2, ge=0)
    top: int = Field(default=10, ge=1, le=1000)
    seed: int = Field(default=20260420, ge=0, lt=2**31)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    threads: int = Field(default=1, ge=0, le=1024)
    int8_correlation: float = Field(default=0.99, ge=0.9, le=1)


PARAMETERS: Final[dict[Family, type[BaseModel]]] = {
    Family.INTENT_CLASSIFIER: IntentTraining,
    Family.EMBEDDING_ADAPTER: AdapterTraining,
    Family.CROSS_ENCODER_RERANKER: RerankerTraining,
}
"""The parameters of each family that can be trained; what `stack.parse` wants as `families`."""
