"""Correcting: what the network adds to what is weighed, learnt on lists of what the adapter drew."""

from __future__ import annotations

import copy

import numpy as np
import torch

from mangaops.training.parameters import RerankerTraining
from mangaops.training.request import PairRequest
from mangaops.training.steps import precision
from mangaops.training.steps.crossing import Crossing, Loss, Offered
from mangaops.training.steps.judged import Shortlists
from mangaops.training.steps.run import Pace, Run, diverged
from mangaops.training.steps.weighing import telling


class Teacher:
    """One optimizer over one model, and lists of what the adapter drew for a query, relevant and not."""

    def __init__(
        self,
        run: Run[PairRequest, RerankerTraining],
        model: Crossing,
        training: Shortlists,
        rng: np.random.Generator,
    ) -> None:
        self.run, self.model, self.training, self.rng, options = run, model, training, rng, run.options
        self.before = copy.deepcopy(model.state_dict())
        self.rows = telling(training, options.queries)
        self.loss = Loss(model, options.loss)
        scoring = model.scoring
        heads = [*scoring.weighing.parameters(), scoring.head]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [*scoring.encoder.parameters()], "lr": options.learning_rate},
                {"params": heads, "lr": options.head_learning_rate, "weight_decay": 0.0},
            ],
            weight_decay=options.weight_decay,
        )
        self.each = max(1, options.batch // options.listed)
        self.pace = Pace(run, options.epochs * -(-len(self.rows) // self.each), options.warm_up)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.pace)

    def batches(self) -> list[list[Offered]]:
        """Every query's list once, drawn anew, in another order."""
        rows = self.rng.permutation(self.rows).tolist()
        starts = range(0, len(rows), self.each)
        return [[self._list(row) for row in rows[start : start + self.each]] for start in starts]

    def _list(self, row: int) -> Offered:
        grades = self.training.relevant(row)
        right, wrong = (self.rng.permutation(np.flatnonzero(some)) for some in (grades > 0, grades <= 0))
        half = right[: self.run.options.listed // 2]
        places = [*half.tolist(), *wrong[: self.run.options.listed - len(half)].tolist()]
        query = self.training.queries.queries[row]
        return Offered(query, self.training.offered(row, places), grades[places].tolist())

    def step(self, epoch: int, batch: list[Offered]) -> None:
        """The weights are one batch better.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        with precision.autocast(self.run.options.precision):
            loss = self.loss(batch)
        if not torch.isfinite(loss):
            raise diverged(f"epoch {epoch}", loss.item())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.pace.stepped(f"epoch {epoch}/{self.run.options.epochs}", loss.item())
