"""One seed for everything that draws, so that the same request gives the same artifact on one machine."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, threads: int = 0) -> Iterator[np.random.Generator]:
    """Inside, torch draws from `seed` and refuses operations that are not deterministic; restored after.

    Roundings depend on the number of threads: `threads`, or one a core where it is 0.
    Yields a generator of its own for the order of the rows.
    """
    was_deterministic, had_threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        random.seed(seed)
        torch.use_deterministic_algorithms(True)
        try:
            yield np.random.default_rng(seed)
        finally:
            torch.use_deterministic_algorithms(was_deterministic)
            torch.set_num_threads(had_threads)
