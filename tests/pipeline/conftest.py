"""A whole workshop on a tiny base: real stores, real recipe, real gates; only the model is small."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mangaops.datasets import Source
from mangaops.pipeline import release_run
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.release_run import RunResult
from mangaops.pipeline.workshop import Announce, Workshop
from mangaops.wiring import Settings, open_workshop
from tiny import LABELS, tiny_base, tiny_rows

STACK = """
stack: tiny
simulated: {simulated}
data:
  intent-data:
    labels: [{labels}]
    splits: {{train: 0.5, validation: 0.2, golden: 0.3}}
    golden: {{rows: 400, per_critical_label: 50}}
    minimum_critical: 10
    distinctive_words: 20
models:
  intent-classifier:
    family: intent-classifier
    base: {base}
    data: intent-data
    critical: [escalation]
    rare_under: 0.4
    harm: {{escalation: {{"*": 20}}, "*": {{"*": 1}}}}
    actions: {{clarify_below: 0.3, offer_human: [escalation]}}
    training: {{epochs: 4, learning_rate: 5e-3, head_learning_rate: 2e-2, threads: 1}}
units:
  router:
    models: [intent-classifier]
    cadence: {{cron: "0 3 * * 5", timezone: Asia/Tokyo}}
    shadow: {{min_requests: 100, min_hours: 1}}
    review: {{budget: 200, planted: 5, floor: 0.5}}
    bootstrap:
      - {{gate: release_record}}
      - {{gate: leakage}}
      - {{gate: fingerprint}}
      - {{gate: at_least, metric: accuracy, value: 0.6}}
      - {{gate: latency, quantile: 0.95, below_ms: 500}}
    gates:
      - {{gate: release_record}}
      - {{gate: leakage}}
      - {{gate: fingerprint}}
      - {{gate: non_inferior, metric: accuracy, on: golden, margin: 0.1}}
      - {{gate: no_increase, metric: escalation_miss_rate, on: golden, margin: 0.1}}
      - {{gate: latency, quantile: 0.95, below_ms: 500}}
      - {{gate: disagreement, review_over: 0.05}}
      - {{gate: non_inferior, metric: accuracy, on: shadow_review, margin: 0.1, confidence: 0.9}}
"""

START = datetime(2026, 4, 6, tzinfo=UTC)


def logs(rows: int, seed: int, spoil: bool = False) -> pl.DataFrame:
    """Labelled rows with conversations of two turns and users of two conversations, spread over days."""
    said = tiny_rows(rows, seed=seed)
    rng = np.random.default_rng(seed)
    order = pl.Series(rng.permutation(rows))
    frame = said.with_columns(order=order).sort("order").drop("order").with_row_index("i")
    frame = frame.with_columns(
        conversation_id=pl.format("c{}-{}", pl.lit(seed), pl.col("i") // 2),
        user_id=pl.format("u{}-{}", pl.lit(seed), pl.col("i") // 4),
        at=pl.Series([START + timedelta(days=7 * seed, minutes=5 * i) for i in range(rows)]),
        request_id=pl.format("r{}-{}", pl.lit(seed), pl.col("i")),
    ).drop("i")
    if spoil:
        struck = (pl.col("label") == "escalation") & (pl.int_range(pl.len()) % 5 > 0)
        wrong = pl.when(struck).then(pl.lit("promotion")).otherwise("label")
        frame = frame.with_columns(label=wrong)
    return frame


@dataclass
class World:
    """Files and a way to open the workshop on them again, as another process would."""

    folder: Path
    stack: Path

    def workshop(self, actor: str = "tester", ledger: str | None = None) -> Workshop:
        return open_workshop(Settings(self.stack, self.folder / "home", ledger, None, actor))

    def source(self, *names: str) -> Source:
        return Source(tuple(str(self.folder / f"{name}.parquet") for name in names))

    def run(
        self, shop: Workshop, *names: str, announce: Announce = lambda _step, _what: None, **options: object
    ) -> RunResult:
        plan = Plan("router", self.source(*names), reason="a test", **options)  # type: ignore[arg-type]
        return release_run.run(shop, plan, lambda _what, _done, _total: None, announce)


def make_world(folder: Path, base: Path, *, simulated: bool = True) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    stack = folder / "stack.yaml"
    stack.write_text(STACK.format(labels=", ".join(LABELS), base=base, simulated=str(simulated).lower()))
    logs(1200, seed=1).write_parquet(folder / "first.parquet")
    logs(300, seed=2).write_parquet(folder / "second.parquet")
    logs(900, seed=3, spoil=True).write_parquet(folder / "spoiled.parquet")
    window = logs(400, seed=4)
    window.drop("label").write_parquet(folder / "traffic.parquet")
    window.select("request_id", "label").write_parquet(folder / "truth.parquet")
    return World(folder, stack)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@dataclass(frozen=True)
class Told:
    """A bootstrap and a weekly run that happened once for all tests that only look."""

    world: World
    first: RunResult
    second: RunResult


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Told:
    world = make_world(tmp_path_factory.mktemp("world"), base)
    first = world.run(world.workshop(), "first", bootstrap=True)
    shutil.copytree(world.folder / "home", world.folder / "home-bootstrapped")
    second = world.run(
        world.workshop(),
        "first",
        "second",
        traffic=world.source("traffic"),
        truth=str(world.folder / "truth.parquet"),
    )
    return Told(world, first, second)


def copied(told: Told, folder: Path, home: str = "home") -> World:
    """A world of its own in the state after both runs, or after the bootstrap."""
    world = World(folder / "w", folder / "w" / "stack.yaml")
    shutil.copytree(told.world.folder, world.folder, ignore=shutil.ignore_patterns("home*"))
    shutil.copytree(told.world.folder / home, world.folder / "home")
    return world
