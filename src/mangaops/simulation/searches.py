"""Search logs of the simulated shop: what its engine showed, what users clicked and bought. All simulated.

The engine is BM25 (`engine.Lexical`) over the titles that are out, its score as a share of the best one plus
normal noise, so the same query shows the same title at varying ranks. A user examines rank r with probability
r**-eta and clicks what was examined by its grade, the position-based model:

    P(click | query, title, rank) = P(examined | rank) * P(attracted | grade),    P(examined | r) = r**-eta

Sources: Joachims, Granka, Pan, Hembrooke and Gay (SIGIR 2005), "Accurately interpreting clickthrough data as
implicit feedback": users look at, and click, what stands high. Craswell, Zoeter, Taylor and Ramsey (WSDM
2008), "An experimental comparison of click position-bias models": the examination hypothesis, which is the
product above. Joachims, Swaminathan and Schnabel (WSDM 2017), "Unbiased learning-to-rank with biased
feedback": the power of the rank.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.errors import UsageError
from mangaops.simulation.asked import Asked, about, asked
from mangaops.simulation.engine import Lexical
from mangaops.simulation.people import SWITCHES, persona, visitor
from mangaops.simulation.relevance import Traits
from mangaops.simulation.shop import readable
from mangaops.simulation.world import BEGINS, WEEK, opening

Progress = Callable[[str, int, int], None]

ETA: Final = 0.8
"""Severity of the position bias: 0 has none, 1 halves attention from rank 1 to rank 2."""

SHOWN: Final = 10
CANDIDATES: Final = 40
NOISE: Final = 0.12
"""Standard deviation of what is added to a score that is 1 for the best title and 0 without a shared word."""

CLICKED: Final = (0.04, 0.20, 0.50, 0.80)
"""Probability that a user clicks what they examined, by grade."""

BOUGHT: Final = (0.01, 0.05, 0.12, 0.25)
"""Probability that a user buys what they clicked and is in stock, by grade."""

SCHEMA: Final[dict[str, Any]] = {
    "search_id": pl.String,
    "query_id": pl.String,
    "query": pl.String,
    "user_id": pl.String,
    "session_id": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "item_id": pl.String,
    "rank": pl.Int64,
    "clicked": pl.Boolean,
    "bought": pl.Boolean,
}


def searches(
    seed: int,
    week: int,
    sessions: int,
    shop: pl.DataFrame,
    *,
    eta: float = ETA,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """One row for each title that was shown in that week, in the order of time and rank.

    search_id, query_id, query, user_id, session_id, at (UTC), item_id, rank (from 1), clicked, bought. A
    query is that of `queries(seed, ...)` with the same id; users come and go as in traffic with as many
    conversations. A week does not depend on which were generated before it.

    Raises:
        UsageError: a number is negative, or there is no session, or eta is not from 0 to 3.
    """
    if seed < 0 or week < 0 or sessions < 1 or not 0.0 <= eta <= 3.0:
        raise UsageError(
            "simulated searches were refused",
            found=f"seed {seed}, week {week}, {sessions} sessions, eta {eta}",
            accepted="a seed and a week from 0, with at least 1 session, and eta from 0 to 3",
            next_step="give other numbers",
        )
    rng = np.random.default_rng([seed, 14, week])
    counter = _Counter(seed, week, shop, eta, rng)
    rows: list[tuple[object, ...]] = []
    for number in range(sessions):
        rows += counter.session(number, visitor(week, sessions, rng))
        if progress and number % 500 == 499:
            progress(f"simulating searches of week {week}", number + 1, sessions)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("at", "search_id", "rank")


class _Counter:
    """Serves the searches of one week."""

    def __init__(
        self, seed: int, week: int, shop: pl.DataFrame, eta: float, rng: np.random.Generator
    ) -> None:
        self._seed, self._week, self._rng = seed, week, rng
        asks = list(asked(seed, about(week), shop))
        self._asks = {mixed: [one for one in asks if (one.language != "en") == mixed] for mixed in (0, 1)}
        self._appeals = {mixed: list(accumulate(one.appeal for one in self._asks[mixed])) for mixed in (0, 1)}
        self._page = _Page(shop.filter(pl.col("released") < BEGINS + (week + 1) * WEEK), eta, rng)

    def session(self, number: int, user: int) -> list[tuple[object, ...]]:
        """The rows of one visit: one to four searches of one user."""
        name = f"w{self._week:02d}-{number:06d}"
        at = BEGINS + self._week * WEEK + opening(self._rng)
        bilingual = persona(self._seed, user).bilingual
        rows: list[tuple[object, ...]] = []
        for turn in range(1, min(4, int(self._rng.geometric(0.65))) + 1):
            one = self._query(mixed=bilingual and self._rng.random() < SWITCHES)
            ids = (f"sim-search-{name}-{turn}", one.query_id, one.query)
            who = (f"sim-user-{user:07d}", f"sim-s-{name}")
            rows += [(*ids, *who, at, *shown) for shown in self._page.show(one)]
            at += _later(self._rng)
        return rows

    def _query(self, mixed: bool) -> Asked:
        appeals = self._appeals[mixed]
        return self._asks[mixed][bisect_right(appeals, self._rng.random() * appeals[-1], hi=len(appeals) - 1)]


class _Page:
    """Shows results and has them examined, clicked and bought."""

    def __init__(self, out: pl.DataFrame, eta: float, rng: np.random.Generator) -> None:
        self._engine, self._traits, self._rng = Lexical(readable(out)), Traits(out), rng
        self._items: Sequence[str] = out["item_id"].to_list()
        self._in_stock = (out["stock"] > 0).to_numpy()
        self._examined = np.arange(1, SHOWN + 1) ** -eta
        self._known: dict[str, tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]] = {}

    def show(self, one: Asked) -> list[tuple[str, int, bool, bool]]:
        """(item_id, rank, clicked, bought) of what was shown, by rank."""
        places, scores, grades = self._candidates(one)
        order = np.argsort(-(scores + NOISE * self._rng.standard_normal(len(scores))))[:SHOWN]
        places, grades = places[order], grades[order]
        examined = self._rng.random(len(order)) < self._examined[: len(order)]
        clicked = examined & (self._rng.random(len(order)) < np.array(CLICKED)[grades])
        wanted = clicked & (self._rng.random(len(order)) < np.array(BOUGHT)[grades])
        bought = wanted & self._in_stock[places]
        return [
            (self._items[place], rank, bool(click), bool(buy))
            for rank, (place, click, buy) in enumerate(zip(places, clicked, bought, strict=True), start=1)
        ]

    def _candidates(self, one: Asked) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Titles that the noise may bring to the top, their scores as shares of the best, their grades."""
        if one.query_id not in self._known:
            scores = self._engine.scores(one.query)
            places = np.argsort(-scores, kind="stable")[:CANDIDATES]
            shares = scores[places] / max(float(scores.max()), 1e-9)
            self._known[one.query_id] = (places, shares, self._traits.grades(one.wanted)[places])
        return self._known[one.query_id]


def _later(rng: np.random.Generator) -> timedelta:
    return timedelta(seconds=20 + int(rng.exponential(60.0)) % 300)


def span(week: int) -> tuple[datetime, datetime]:
    """When that week begins, and when it is over."""
    return BEGINS + week * WEEK, BEGINS + (week + 1) * WEEK
