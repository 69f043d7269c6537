"""One seed for everything that draws, so that the same request gives the same artifact on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.utils.deterministic

_MEMORY: Any = torch.utils.deterministic


@contextmanager
def seeded(seed: int, threads: int = 0) -> Iterator[np.random.Generator]:
    """Inside, torch draws from `seed` and refuses operations that are not deterministic; restored after.

    Roundings depend on the number of threads: `threads`, or one a core where it is 0. New memory is not
    filled with NaN first, which torch does by default then and which costs a fifth of the time of a step.
    Yields a generator of its own for the order of the rows.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    strict, fills = torch.are_deterministic_algorithms_enabled(), _MEMORY.fill_uninitialized_memory
    had_threads = torch.get_num_threads()
    with torch.random.fork_rng():
        try:
            torch.manual_seed(seed)
            torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
            torch.use_deterministic_algorithms(True)
            _MEMORY.fill_uninitialized_memory = False
            yield np.random.default_rng(seed)
        finally:
            torch.use_deterministic_algorithms(strict)
            _MEMORY.fill_uninitialized_memory = fills
            torch.set_num_threads(had_threads)
