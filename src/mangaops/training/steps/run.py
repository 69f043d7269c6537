"""What the parts of one training share: its request, its options, who is told, and what each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from mangaops.errors import TrainingError
from mangaops.training.parameters import AdapterTraining, IntentTraining, RerankerTraining
from mangaops.training.request import PairRequest, Progress, TrainingRequest
from mangaops.training.steps import precision, sealing
from mangaops.training.steps.bases import Base

Request = TypeVar("Request", TrainingRequest, PairRequest)
Options = TypeVar("Options", IntentTraining, AdapterTraining, RerankerTraining)


@dataclass
class Run(Generic[Request, Options]):
    """One training."""

    request: Request
    options: Options
    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, what: str, done: int, total: int) -> None:
        """Progress, where somebody looks."""
        if self.progress is not None:
            self.progress(f"{self.request.model}: {what}", done, total)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """The wall time of a step is in `seconds`."""
        start = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - start, 3)

    def config(self, base: Base) -> dict[str, Any]:
        """All that any training depends on; a recipe adds what its family depends on beside."""
        request = self.request
        return {
            "model": request.model,
            "family": str(request.spec.family),
            "base": base.name,
            "base_weights": base.weights,
            "data": request.spec.data,
            "training": self.options.model_dump(mode="json"),
            "snapshot": {"name": request.snapshot_name, "digest": request.snapshot_digest},
            "seed": request.seed,
            "code_sha": request.code_sha,
            "precision": precision.resolved(self.options.precision),
            "threads": torch.get_num_threads(),
            "libraries": sealing.libraries(),
        }


class Pace:
    """A learning rate that rises in the first `warm_up` share of `total` steps, then falls to zero."""

    def __init__(self, run: Run[Any, Any], total: int, warm_up: float) -> None:
        self.run, self.done, self.total = run, 0, total
        self._rise = max(1, round(total * warm_up))

    def __call__(self, step: int) -> float:
        """The share of the full learning rate at a step, counted from 0."""
        if step < self._rise:
            return (step + 1) / self._rise
        return (self.total - step) / max(1, self.total - self._rise)

    def stepped(self, epoch: str, loss: float) -> None:
        """One step more is done; who looks is told the loss; how long the rest takes says the bar."""
        self.done += 1
        self.run.say(f"{epoch}, loss {loss:.3f}", self.done, self.total)


def diverged(epoch: str, value: float) -> TrainingError:
    """The error of a training whose loss is no number."""
    return TrainingError(
        "training diverged; nothing was sealed",
        found=f"a loss of {value} in {epoch}",
        accepted="a finite loss",
        next_step="lower the learning rates in stack.yaml, or raise warm_up",
    )
