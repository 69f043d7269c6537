"""A small shop: items, judged queries and searches, for the tests of several rooms."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from mangaops.datasets.search_data import SearchData, collect_items, collect_judgments, collect_searches
from mangaops.datasets.search_snapshot import SearchSnapshot, search_snapshot
from mangaops.datasets.source import Source
from mangaops.stack import SearchDataSpec

SPEC = SearchDataSpec()
TODAY = date(2026, 4, 20)
ADJECTIVES = ("red", "silent", "last", "paper", "hollow", "winter", "iron", "small", "golden", "lost")
NOUNS = ("garden", "samurai", "library", "river", "planet", "kitchen", "dragon", "school", "violin", "storm")


def items(count: int = 60) -> pl.DataFrame:
    names = [f"{a} {b}" for a in ADJECTIVES for b in NOUNS][:count]
    return pl.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(count)],
            "title": names,
            "synopsis": [f"a story of the {name}, number {n}" for n, name in enumerate(names)],
            "tags": [["long", "sad"] if n % 2 else ["short"] for n in range(count)],
            "price": [500 + n for n in range(count)],
            "stock": [n % 7 for n in range(count)],
            "released": [2000 + n % 20 for n in range(count)],
        }
    )


def judgments(queries: int = 60) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    names = items()["title"]
    rows = []
    for n in range(queries):
        rows.append((f"q{n}", f"{names[n]} manga", f"i{n}", 2))
        rows += [
            (f"q{n}", f"{names[n]} manga", f"i{m}", 0) for m in rng.integers(0, 60, 3).tolist() if m != n
        ]
    frame = pl.DataFrame(rows, schema=["query_id", "query", "item_id", "grade"], orient="row")
    return frame.unique(["query_id", "item_id"], maintain_order=True)


def searches(count: int = 300, users: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(6)
    names, begins, rows = items()["title"], datetime(2026, 4, 1, tzinfo=UTC), []
    for n in range(count):
        at = int(min(59, rng.geometric(0.08) - 1))
        who = int(rng.integers(users))
        for rank in (1, 2, 3):
            shown = f"i{(at + rank - 1) % 60}"
            rows.append(
                (
                    f"s{n}",
                    f"{names[at]} manga",
                    f"u{who}",
                    f"x{who}-{n % 3}",
                    begins + timedelta(hours=n),
                    shown,
                    rank,
                    rank == 1,
                )
            )
    names_ = ["search_id", "query", "user_id", "session_id", "at", "item_id", "rank", "clicked"]
    return pl.DataFrame(rows, schema=names_, orient="row")


def written(folder: Path, name: str, frame: pl.DataFrame) -> Source:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return Source((str(path),))


def data_of(
    folder: Path,
    catalogue: pl.DataFrame | None = None,
    judged: pl.DataFrame | None = None,
    logs: pl.DataFrame | None = None,
    spec: SearchDataSpec = SPEC,
) -> SearchData:
    folder.mkdir(exist_ok=True)
    found = SearchData(
        collect_items(written(folder, "items", items() if catalogue is None else catalogue), spec),
        collect_judgments(written(folder, "judgments", judgments() if judged is None else judged), spec),
    )
    if logs is None:
        return found
    return SearchData(found.items, found.judgments, collect_searches(written(folder, "searches", logs), spec))


def frozen(
    data: SearchData, spec: SearchDataSpec = SPEC, previous: SearchSnapshot | None = None
) -> SearchSnapshot:
    return search_snapshot(data, spec, name="shop", at=TODAY, previous=previous)
