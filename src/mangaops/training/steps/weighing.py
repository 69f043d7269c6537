"""Weighing: what similarity and matches count, learnt over all queries before the network is."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from mangaops.inference.session import SIMILARITY
from mangaops.training.parameters import RerankerTraining
from mangaops.training.request import PairRequest
from mangaops.training.steps import precision
from mangaops.training.steps.crossing import Crossing, Weighing
from mangaops.training.steps.judged import Shortlists
from mangaops.training.steps.matches import NUMBERS
from mangaops.training.steps.run import Run

_MOST: Final = 2000
_PASSES: Final = 20
_TOGETHER: Final = 128
_RATE: Final = 0.02


def telling(training: Shortlists, most: int | None = None) -> list[int]:
    """The queries whose lists say what is better than what, at most so many and evenly spread."""
    grades = (training.relevant(row) for row in range(len(training.queries)))
    rows = [row for row, found in enumerate(grades) if (found > 0).any() and (found <= 0).any()]
    if most is None or len(rows) <= most:
        return rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, most).round().astype(int).tolist()]


def weigh(
    run: Run[PairRequest, RerankerTraining], model: Crossing, training: Shortlists, rng: np.random.Generator
) -> None:
    """The model's weighing is trained by ListNet's loss over the whole lists of telling queries.

    Source: Cao et al. 2007, Learning to Rank: From Pairwise Approach to Listwise Approach, section 4.2.
    """
    rows = telling(training, _MOST)
    if not rows:
        return
    read = _read(run, model, training, rows)
    optimizer = torch.optim.Adam(model.scoring.weighing.parameters(), lr=_RATE)
    steps = _PASSES * -(-len(rows) // _TOGETHER)
    rates = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for done in range(1, _PASSES + 1):
        order = torch.from_numpy(rng.permutation(len(rows)))
        for start in range(0, len(rows), _TOGETHER):
            chosen = order[start : start + _TOGETHER]
            loss = _loss(model.scoring.weighing, *(each[chosen] for each in read))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
        run.say(f"weighing, loss {loss.item():.3f}", done, _PASSES)


def _loss(
    weighing: Weighing, near: torch.Tensor, found: torch.Tensor, there: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    scores: torch.Tensor = weighing(near.reshape(-1, 1), found.flatten(0, 1)).view_as(near)
    logs = scores.masked_fill(~there, -torch.inf).log_softmax(1)
    return -(shares * logs.masked_fill(~there, 0.0)).sum(1).mean()


def _read(
    run: Run[PairRequest, RerankerTraining], model: Crossing, training: Shortlists, rows: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Similarities, matches, which places of a list are filled, and each candidate's share of the grades."""
    shape = (len(rows), max(len(training.candidates[row]) for row in rows))
    near, shares = torch.zeros(shape), torch.zeros(shape)
    found, there = torch.zeros(*shape, NUMBERS), torch.zeros(shape, dtype=torch.bool)
    for place, row in enumerate(rows):
        offered = training.offered(row, range(len(training.candidates[row])))
        pairs = model.preprocess([(training.queries.queries[row], each) for each in offered])
        to = slice(0, len(offered))
        near[place, to], there[place, to] = pairs[SIMILARITY].squeeze(1), True
        grades = training.relevant(row)
        shares[place, to] = torch.from_numpy(grades / grades.sum())
        with torch.inference_mode():
            on = [pairs[name].to(precision.device()) for name in ("input_ids", "token_type_ids")]
            found[place, to] = model.scoring.matches(*on).cpu()
        if place % 100 == 0:
            run.say("reading candidates", place, len(rows))
    device = precision.device()
    return near.to(device), found.to(device), there.to(device), shares.to(device)
