"""A whole workshop that searches: real stores, recipes, index and gates on a shop of a made-up slang."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mangaops.datasets import Source
from mangaops.pipeline import release_run
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.release_run import RunResult
from mangaops.pipeline.search_data_run import SearchSources
from mangaops.pipeline.workshop import Announce, Workshop
from mangaops.wiring import Settings, open_workshop
from tiny_pairs import SLANG, tiny_items

UNIT = "retrieval"
STACK = """
stack: tiny-shop
simulated: true
data:
  shop-data:
    kind: search
    splits: {train: 0.5, validation: 0.2, golden: 0.3}
models:
  adapter:
    family: embedding-adapter
    base: minilm-l6
    data: shop-data
    training:
      {hidden: 32, steps: STEPS, batch: 32, checks: 4, top: 4, hard_negatives: 2, mined_from: 1, mined_to: 12,
       learning_rate: 5e-3, max_tokens: 32}
  reranker:
    family: cross-encoder-reranker
    base: minilm-l6
    data: shop-data
    training:
      {layers: 2, depth: 8, max_tokens: 32, epochs: 2, top: 4, learning_rate: 1e-3, int8_correlation: 0.9}
units:
  retrieval:
    models: [adapter, reranker]
    shadow: {min_requests: 20, min_hours: 0}
    review: {budget: 50, planted: 2, floor: 0.5}
    bootstrap:
      - {gate: release_record}
      - {gate: leakage}
      - {gate: fingerprint}
      - {gate: at_least, metric: "recall@3", on: search, unjudged: irrelevant, min_judged: 0.0, value: 0.05}
      - {gate: latency, quantile: 0.95, below_ms: 2000}
    gates:
      - {gate: release_record}
      - {gate: leakage}
      - {gate: fingerprint}
      - {gate: pair, metric: "ndcg@10", unjudged: irrelevant, min_judged: 0.0, margin: 0.3}
      - {gate: latency, quantile: 0.95, below_ms: 2000}
"""

_ASKED = (
    "any {} please",
    "i want {} manga",
    "new {} series",
    "more {} like last week",
    "is there {}",
    "{} for my sister",
    "cheap {} volumes",
    "best {} ever",
    "do you sell {}",
    "{} box set",
    "something with {}",
    "long {} stories",
)
START = datetime(2026, 4, 6, tzinfo=UTC)


def catalogue(topics: int = 8) -> pl.DataFrame:
    """Four titles a topic."""
    items = tiny_items().head(4 * topics)
    return items.select("item_id", title="text").with_columns(
        price=pl.Series([400 + 10 * n for n in range(items.height)]),
        stock=pl.Series([n % 3 for n in range(items.height)]),
    )


def judgments(topics: int = 8) -> pl.DataFrame:
    """Every query in slang with its topic's titles, and one that is not relevant."""
    rows = []
    known = list(SLANG)[:topics]
    for number, topic in enumerate(known):
        for form, words in enumerate(_ASKED):
            query = {"query_id": f"{topic}-{form}", "query": words.format(topic)}
            rows += [{**query, "item_id": f"{topic}-{n}", "grade": 1 + n % 2} for n in range(4)]
            rows.append({**query, "item_id": f"{known[number - 1]}-0", "grade": 0})
    return pl.DataFrame(rows)


def wrongly_joined() -> pl.DataFrame:
    """The judgments with the titles of the next topic in place of a query's own."""
    topics = list(SLANG)[:8]
    following = dict(zip(topics, [*topics[1:], topics[0]], strict=True))
    topic, number = (
        pl.col("item_id").str.split("-").list.first(),
        pl.col("item_id").str.split("-").list.last(),
    )
    return judgments().with_columns(item_id=topic.replace_strict(following) + "-" + number)


def searches(count: int = 40, seed: int = 3) -> pl.DataFrame:
    """A log of what was asked, one shown title a search; of words that no judged query has."""
    rng = np.random.default_rng(seed)
    topics = list(SLANG)
    rows = [
        {
            "search_id": f"s{seed}-{n}",
            "query": f"{topics[int(rng.integers(8))]} shelf {n}",
            "user_id": f"u{n % 9}",
            "session_id": f"x{n}",
            "at": START + timedelta(hours=n),
            "item_id": f"{topics[n % 8]}-0",
            "rank": 1,
            "clicked": n % 2 == 0,
        }
        for n in range(count)
    ]
    return pl.DataFrame(rows)


def truth(asked: pl.DataFrame) -> pl.DataFrame:
    """What a search of the log is really about: its topic's titles."""
    rows = [
        {"query": query, "item_id": item, "grade": 2.0 * item.startswith(query.split()[0])}
        for query in asked["query"].unique()
        for item in catalogue()["item_id"]
    ]
    return pl.DataFrame(rows)


def quiet(*_given: object) -> None:
    """Nothing is told."""


@dataclass
class SearchWorld:
    """Files and a way to open the workshop on them again, as another process would."""

    folder: Path

    @property
    def stack(self) -> Path:
        return self.folder / "stack.yaml"

    def workshop(self, actor: str = "tester") -> Workshop:
        return open_workshop(Settings(self.stack, self.folder / "home", None, None, actor))

    def say(self, **changed: str) -> None:
        """The stack with other words in the places of some."""
        text = self.stack.read_text()
        for old, new in changed.values():
            assert old in text
            text = text.replace(old, new)
        self.stack.write_text(text)

    def source(self, name: str) -> Source:
        return Source((str(self.folder / f"{name}.parquet"),))

    @property
    def sources(self) -> SearchSources:
        return SearchSources(self.source("catalogue"), self.source("judgments"), self.source("searches"))

    def run(self, announce: Announce = quiet, **options: Any) -> RunResult:
        plan = Plan(UNIT, self.sources, reason="a test", **options)
        return release_run.run(self.workshop(), plan, quiet, announce)

    def copied(self, folder: Path) -> SearchWorld:
        """A world of its own in the same state."""
        shutil.copytree(self.folder, folder)
        return SearchWorld(folder)


def make_search_world(folder: Path) -> SearchWorld:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stack.yaml").write_text(STACK.replace("STEPS", "40"))
    catalogue().write_parquet(folder / "catalogue.parquet")
    judgments().write_parquet(folder / "judgments.parquet")
    searches().write_parquet(folder / "searches.parquet")
    window = searches(seed=4)
    window.write_parquet(folder / "traffic.parquet")
    truth(window).write_parquet(folder / "truth.parquet")
    return SearchWorld(folder)


@pytest.fixture(scope="session")
def bootstrapped(tmp_path_factory: pytest.TempPathFactory) -> SearchWorld:
    world = make_search_world(tmp_path_factory.mktemp("search") / "world")
    world.run(bootstrap=True)
    return world
