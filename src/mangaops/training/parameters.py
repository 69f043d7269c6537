"""What stack.yaml may say under `training:`, one model a family."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mangaops.vocabulary import Family


class IntentTraining(BaseModel):
    """Parameters of the intent classifier's recipe.

    `class_weights`: `sqrt` weighs a label by 1/sqrt(share), `balanced` by 1/share, both with mean 1 over the
    rows. `frozen_layers`: so many first layers, and the embeddings, keep the weights of the base.
    `early_stopping`: stop after so many epochs without a better validation accuracy, 0 never; the best
    epoch is kept either way. `int8_agreement`: least share of rows that torch, fp32 and int8 answer alike.
    `precision`: `auto` is bf16 where the CPU has it in hardware. `threads`: 0 is one a core; another number
    gives other roundings, so that it is part of what is reproduced.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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


PARAMETERS: Final[dict[Family, type[BaseModel]]] = {Family.INTENT_CLASSIFIER: IntentTraining}
"""The parameters of each family that can be trained; what `stack.parse` wants as `families`."""
