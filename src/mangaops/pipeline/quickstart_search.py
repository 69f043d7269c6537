"""The quickstart's story of a search: a pair released and judged as one, a spoiled adapter, a rollback.

weeks 1       ─▶ bootstrap: the first pair, against BM25
weeks 1, 2    ─▶ run: more judged queries and new titles; shadowed live by a gateway whose shoppers search
                 what they searched in week 3, reviewed, promoted
              ─▶ run --only adapter on judgments of a wrong join, bestsellers for all: refused, error review
              ─▶ rollback while shoppers search, audit
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mangaops.datasets import Source
from mangaops.errors import UsageError
from mangaops.pipeline.live_traffic import LiveTraffic
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.quickstart import Teller, audited, ran, refused, tell_story, undo, weekly
from mangaops.pipeline.search_data_run import SearchSources
from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import state
from mangaops.simulation.load import SEARCH, Question
from mangaops.stack import Stack
from mangaops.vocabulary import Because, Outcome, ShadowMode

UNIT = "retrieval"

TITLES, LATER = 800, 60
"""Titles of the shop, and how many of them come with the second week."""

FIRST, SECOND = 500, 900
"""Judged queries of the first version, and of the second."""

SESSIONS = 250
"""Sessions a simulated week."""

WEEKS = 3

BESTSELLERS = 8
"""Titles that the wrong join names for every query."""


def tell_search_story(
    shop: Workshop, folder: Path, stack: Path, *, seed: int, teller: Teller
) -> dict[str, Any]:
    """The releases have happened; what they showed, as JSON values.

    Raises:
        MangaopsError: a release was not decided as the story needs it; the message names its report.
    """
    teller.line("\n1. A simulated shop: invented titles, judged queries, three weeks of searches")
    world = _world(folder, seed, teller)
    teller.line("\n2. Bootstrap: the first adapter, reranker and index, judged as a pair against BM25")
    first = ran(
        shop, Plan(UNIT, world.sources(1), reason="first champion", bootstrap=True), Outcome.PROMOTE, teller
    )
    teller.line("\n3. The weekly release: a gateway serves, the new pair answers a copy of its live searches")
    with LiveTraffic(stack, folder / "home", world.questions(), way=SEARCH) as live:
        teller.line(f"   the gateway serves {first.release} on {live.url}")
        second, moved = weekly(shop, _weekly(world), live, teller)
        teller.line("\n4. A new adapter alone; a wrong join judged the bestsellers right for every query")
        spoiled = Plan(
            UNIT,
            world.sources(2, "-spoiled"),
            only="adapter",
            because=Because.SCHEDULE,
            reason="weekly release, spoiled on purpose",
        )
        third = refused(shop, UNIT, spoiled, teller)
        teller.line("\n5. Rollback while shoppers search: adapter, reranker and index go back together")
        back, undone = undo(shop, UNIT, live, "shoppers found other titles", teller)
    return {
        "simulated": True,
        "folder": str(folder),
        "runs": [each.as_dict() for each in (first, second, third)],
        "cutover_under_load": vars(moved),
        "rollback": back,
        "rollback_under_load": vars(undone),
        "audit": audited(shop, teller),
        "champion": state(shop.desk, UNIT).champion,
    }


def _weekly(world: _World) -> Plan:
    return Plan(
        UNIT,
        world.sources(2),
        shadow=ShadowMode.LIVE,
        truth=str(world.folder / "truth.parquet"),
        because=Because.SCHEDULE,
        reason="weekly release",
    )


@dataclass(frozen=True)
class _World:
    folder: Path

    def source(self, *names: str) -> Source:
        return Source(tuple(str(self.folder / f"{name}.parquet") for name in names))

    def questions(self) -> tuple[Question, ...]:
        """What shoppers type in the last week, in order of time."""
        last = pl.read_parquet(self.folder / f"searches-{WEEKS}.parquet")
        asked = last.unique("search_id", keep="first", maintain_order=True).sort("at")
        return tuple(
            Question(query, session, user)
            for query, session, user in asked.select("query", "session_id", "user_id").iter_rows()
        )

    def sources(self, weeks: int, spoiled: str = "") -> SearchSources:
        """What the shop knows after so many weeks."""
        return SearchSources(
            self.source(f"catalogue-{weeks}"),
            self.source(f"judgments-{weeks}{spoiled}"),
            self.source(*(f"searches-{week}" for week in range(1, weeks + 1))),
        )


def _world(folder: Path, seed: int, teller: Teller) -> _World:
    from mangaops.simulation.asked import about
    from mangaops.simulation.queries import queries
    from mangaops.simulation.searches import searches
    from mangaops.simulation.shop import shop

    place = folder / "world"
    place.mkdir()
    titles = shop(seed, TITLES, teller.progress)
    _, every = queries(seed, about(WEEKS - 1).stop, titles, teller.progress)
    judged = every.filter(pl.col("query_id").rank("dense") <= SECOND)
    early = titles.head(TITLES - LATER)
    searched = [searches(seed, week, SESSIONS, titles, progress=teller.progress) for week in range(WEEKS)]
    first = judged.join(early.select("item_id"), on="item_id", how="semi").filter(
        pl.col("query_id").rank("dense") <= FIRST
    )
    for name, frame in {
        "catalogue-1": early,
        "catalogue-2": titles,
        "judgments-1": first,
        "judgments-2": judged,
        "judgments-2-spoiled": _bestsellers(judged, searched[0]),
        "truth": every,
        **{f"searches-{week}": frame for week, frame in enumerate(searched, 1)},
    }.items():
        frame.write_parquet(place / f"{name}.parquet")
    teller.line(f"   {TITLES:,} invented titles, {SECOND:,} judged queries, under {place}")
    return _World(place)


def _bestsellers(judged: pl.DataFrame, searched: pl.DataFrame) -> pl.DataFrame:
    """The judgments after the wrong join: of every query the titles that were bought most, all right."""
    bought = (
        searched.filter("bought").group_by("item_id").len().sort("len", "item_id", descending=[True, False])
    )
    asked = judged.select("query_id", "query").unique(maintain_order=True)
    return asked.join(bought.head(BESTSELLERS).select("item_id"), how="cross").with_columns(grade=3)


Story = Callable[..., dict[str, Any]]


def story_of(stack: Stack, path: Path) -> tuple[str, Story]:
    """The only unit of a simulated stack, and the function that tells its story.

    Raises:
        UsageError: the stack is not simulated, or not of one unit with a story.
    """
    if not stack.simulated:
        raise UsageError(
            f"the quickstart with {path} was refused: its world is invented, and this stack is not",
            found="simulated: false",
            accepted="a stack.yaml that says `simulated: true`",
            next_step="mangaops quickstart --stack examples/quickstart/stack.yaml",
        )
    stories: dict[str, Story] = {"router": tell_story, "retrieval": tell_search_story}
    if len(stack.units) != 1 or (unit := next(iter(stack.units))) not in stories:
        raise UsageError(
            f"the quickstart with {path} was refused: it tells of one unit",
            found=f"units {', '.join(stack.units)}",
            accepted=" or ".join(stories),
            next_step="mangaops quickstart --stack examples/quickstart/stack.yaml",
        )
    return unit, stories[unit]
