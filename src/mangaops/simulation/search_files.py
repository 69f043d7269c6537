"""The shop, its queries, judgments and search logs written as files. All of it simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.errors import UsageError
from mangaops.simulation.asked import about
from mangaops.simulation.queries import POOL, queries
from mangaops.simulation.searches import ETA, searches, span
from mangaops.simulation.shop import shop
from mangaops.simulation.written import FORMATS, require_own, write_frames

Progress = Callable[[str, int, int], None]

COMMAND: Final = "simulate searches"
NAMES: Final = ("catalogue", "queries", "judgments", "searches")
README: Final = """All of this is simulated. No customer searched, clicked or bought; no such titles,
authors or users exist.

Written by `mangaops simulate searches`, seed {seed}: {titles} titles, {weeks} weeks of {sessions} sessions.

catalogue.{suffix}  the invented titles; `theme` and `tone` are the hidden truth that judgments follow, so an
    engine that reads these two columns cheats; `released` may lie ahead
queries.{suffix}    what was typed in these weeks
judgments.{suffix}  grades 0 to 3 of {pool} titles a query; a title that is not judged may be relevant
searches.{suffix}   one row a shown title: {from_} to {to};
    rank r was examined with probability r ** -{eta}, so clicks are biased by position
"""


def write_searches(
    folder: Path | str,
    *,
    seed: int,
    weeks: int,
    sessions: int,
    titles: int,
    format: str = "parquet",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The folder holds a simulated catalogue, queries, judgments, searches and README.txt, each file whole.

    `searches` has `weeks` weeks from the world's beginning, each of `sessions` sessions; `queries` has every
    query that is about in them. The rows of fewer weeks are the beginning of those of more. Returns the
    paths, the row counts and the time span of the searches, as JSON values.

    Raises:
        UsageError: no week, no session, a number of titles outside the shop's limits, an unknown format,
            or a folder with other such files.
        SetupError: the folder cannot be written.
    """
    if weeks < 1 or sessions < 1 or format not in FORMATS:
        raise UsageError(
            "simulated searches were refused",
            found=f"{weeks} weeks of {sessions} sessions as {format}",
            accepted=f"at least 1 week of 1 session, as {', '.join(FORMATS)}",
            next_step="give other options",
        )
    require_own(Path(folder), NAMES, COMMAND)
    titles_on_sale = shop(seed, titles, progress)
    asked_for, judged = queries(seed, about(weeks - 1).stop, titles_on_sale, progress)
    found = [searches(seed, week, sessions, titles_on_sale, progress=progress) for week in range(weeks)]
    frames = {
        "catalogue": titles_on_sale,
        "queries": asked_for,
        "judgments": judged,
        "searches": pl.concat(found),
    }
    spans = {"from_": span(0)[0].isoformat(), "to": span(weeks - 1)[1].isoformat()}
    counts = {"seed": seed, "weeks": weeks, "sessions": sessions, "titles": titles}
    readme = README.format(**counts, **spans, suffix=format, pool=POOL, eta=ETA)
    paths = write_frames(Path(folder), frames, readme, format, COMMAND)
    return {
        "simulated": True,
        **counts,
        "eta": ETA,
        "files": {name: str(path) for name, path in paths.items()},
        "rows": {name: frame.height for name, frame in frames.items()},
        "searches": {"from": spans["from_"], "to": spans["to"]},
    }
