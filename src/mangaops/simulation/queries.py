"""Queries for offline evaluation: what was typed, and graded judgments of a pool of titles. All simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.errors import UsageError
from mangaops.simulation.asked import Asked, asked
from mangaops.simulation.engine import Lexical
from mangaops.simulation.relevance import Traits
from mangaops.simulation.shop import readable

Progress = Callable[[str, int, int], None]

POOL: Final = 24
"""How many titles are judged a query."""

JUDGED: Final[dict[int, int]] = {3: 12, 2: 5, 1: 3}
"""How many titles of each grade at most, others stay unjudged; the rest of the pool has grade 0."""

TEMPTING: Final = 3
"""Titles of grade 0 in the pool that share most words with the query; the others of grade 0 are random."""

QUERY_SCHEMA: Final[dict[str, Any]] = {
    "query_id": pl.String,
    "query": pl.String,
    "language": pl.String,
    "kind": pl.String,
}

JUDGMENT_SCHEMA: Final[dict[str, Any]] = {
    "query_id": pl.String,
    "query": pl.String,
    "item_id": pl.String,
    "grade": pl.Int64,
}


def queries(
    seed: int, count: int, shop: pl.DataFrame, progress: Progress | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first `count` queries of that shop's shoppers, and a judged pool of titles for each.

    Queries: query_id, query, language (en, ja-en), kind. Judgments: query_id, query, item_id, grade 0 to 3
    (`relevance.py` says what a grade means). Fewer queries of the same seed and shop are a prefix of more.

    Raises:
        UsageError: the seed is negative, or there is not one query.
    """
    if seed < 0 or count < 1:
        raise UsageError(
            "simulated queries were refused",
            found=f"seed {seed}, {count} queries",
            accepted="a seed from 0, with at least 1 query",
            next_step="give other numbers",
        )
    traits, engine, items = Traits(shop), Lexical(readable(shop)), shop["item_id"].to_list()
    rows, judged = [], []
    for number, one in enumerate(asked(seed, range(count), shop)):
        rows.append((one.query_id, one.query, one.language, one.kind))
        rng = np.random.default_rng([seed, 13, number])
        grades = traits.grades(one.wanted)
        pool = _pool(one, items, grades, engine, rng)
        judged += [(one.query_id, one.query, items[at], int(grades[at])) for at in pool]
        if progress and number % 200 == 199:
            progress("judging queries", number + 1, count)
    return (
        pl.DataFrame(rows, schema=QUERY_SCHEMA, orient="row"),
        pl.DataFrame(judged, schema=JUDGMENT_SCHEMA, orient="row"),
    )


def _pool(
    one: Asked, items: list[str], grades: NDArray[np.int64], engine: Lexical, rng: np.random.Generator
) -> list[int]:
    """The places of the judged titles, ascending: relevant ones, near misses, tempting and random ones."""
    source = items.index(one.source)
    pool = {source}
    for grade, most in JUDGED.items():
        pool |= set(rng.permutation(np.flatnonzero(grades == grade))[:most].tolist())
    nothing = grades == 0
    tempting = [at for at in engine.best(one.query, POOL).tolist() if nothing[at]]
    pool |= set(tempting[:TEMPTING])
    others = [at for at in rng.permutation(np.flatnonzero(nothing)).tolist() if at not in pool]
    return sorted(pool | set(others[: max(0, POOL - len(pool))]))
