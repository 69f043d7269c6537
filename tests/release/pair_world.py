"""A desk that releases pairs: plain functions in the places of models, sealed folders for their artifacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from desk_world import WHY, make_desk, prove_by_seal, sealed_folder

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import Evidence
from mangaops.gates import GATES
from mangaops.inference.search import Filter, Floats, Search
from mangaops.metrics import METRICS
from mangaops.release import checks, judge, latency, ranking, register
from mangaops.release.desk import Desk, state
from mangaops.release.pairs import NO_RERANKER, Finds, PairModels
from mangaops.stack import Stack, parse
from mangaops.training import PARAMETERS
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import Because, Part, Side
from shop_rows import items

ITEMS = 60
NUMBER = MappingProxyType({row["title"]: int(row["item_id"][1:]) for row in items().to_dicts()})

STACK = """
stack: shop-test
simulated: true
data:
  shop: {{kind: search}}
models:
  adapter: {{family: embedding-adapter, base: minilm-l6, data: shop, training: {{}}}}
  reranker: {{family: cross-encoder-reranker, base: minilm-l6, data: shop, training: {{}}}}
units:
  retrieval:
    models: [adapter, reranker]
    fallback: nothing
    bootstrap:
{bootstrap}
    gates:
{gates}
"""

FIRST = """\
      - {gate: pair, metric: mrr@10, margin: 0.0, unjudged: irrelevant, min_judged: 0.0}
      - {gate: at_least, metric: recall@3, on: search, value: 0.9, unjudged: irrelevant, min_judged: 0.0}
"""
PAIR_RULE = "{gate: pair, metric: mrr@10, margin: 0.01, unjudged: irrelevant, min_judged: 0.0}"
APART = """\
      - {gate: leakage}
      - {gate: latency, below_ms: 1000}
      - {gate: non_inferior, metric: mrr@10, on: adapter, margin: 0.0, unjudged: irrelevant, min_judged: 0.0}
      - {gate: non_inferior, metric: mrr@10, on: reranker, margin: 0.0, unjudged: irrelevant, min_judged: 0.0}
"""
"""Rules that look at each part by itself."""

GATE_LIST = f"      - {PAIR_RULE}\n{APART}"


def number(query: str) -> int:
    """The item that a query asks for."""
    return NUMBER[query.removesuffix(" manga")]


class Names:
    """An encoder whose vector is the number of the asked item."""

    def vectors(self, texts: Sequence[str]) -> Floats:
        return np.array([[number(text)] for text in texts], dtype=np.float32)


class Offsets:
    """A shelf that finds, for item n, the items at these distances from it, in this order."""

    generation = 0

    def __init__(self, *offsets: int) -> None:
        self.offsets = offsets

    def nearest(self, vector: Floats, k: int, keep: Filter | None) -> list[tuple[str, float]]:
        found = [f"i{(int(vector[0]) + offset) % ITEMS}" for offset in self.offsets]
        return [(each, -float(at)) for at, each in enumerate(found) if keep is None or keep(each)][:k]

    def text(self, item_id: str) -> str:
        return item_id


class Worth:
    """A reranker that knows what each distance is worth, and counts what it is asked."""

    def __init__(self, worth: Mapping[int, float], other: float) -> None:
        self.worth, self.other, self.asked = worth, other, Counter[tuple[str, str, float]]()

    def scores(self, query: str, texts: Sequence[str], similarities: Sequence[float]) -> Floats:
        self.asked.update((query, *each) for each in zip(texts, similarities, strict=True))
        offsets = [(int(text[1:]) - number(query)) % ITEMS for text in texts]
        return np.array([self.worth.get(each, self.other) for each in offsets], dtype=np.float32)


OLD_ADAPTER = Offsets(1, 2, 0, 3, 4)
NEW_ADAPTER = Offsets(31, 0, 32, 33, 34)
OLD_RERANKER = Worth({0: 1.0, 1: 1.5, 31: 0.8, 32: 0.8, 33: 0.8, 34: 0.8}, 0.5)
"""It mistakes one of the old adapter's candidates, and none of the new one's."""
NEW_RERANKER = Worth({0: 1.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, 2.0)
"""Trained on the old adapter's candidates, it has never seen the new one's, and prefers them all."""
RETRAINED = Worth({0: 1.0}, 0.0)


def pair(
    shelf: Offsets, reranks: Worth | None, adapter: str, reranker: str = NO_RERANKER, depth: int = 5
) -> PairModels:
    return PairModels(adapter, Names(), shelf, reranker, reranks, depth)


def searching(models: PairModels) -> Search:
    """The pair as a search."""
    shelf = models.shelf
    return Search("pair", models.encodes, lambda: shelf, models.reranks, depth=models.depth)


def pair_stack(gates: str = GATE_LIST, bootstrap: str = FIRST) -> Stack:
    text = STACK.format(gates=gates.rstrip("\n"), bootstrap=bootstrap.rstrip("\n"))
    known = {name: gate.params for name, gate in GATES.items()}
    return parse(text, gates=known, metrics=METRICS, families=PARAMETERS)


def weak_baseline(snapshot: SearchSnapshot) -> Finds:
    """BM25 over the first word of each title."""
    return lexical(snapshot.items.select("item_id", text=pl.col("title").str.split(" ").list.first()))


@dataclass
class PairWorld:
    """A desk that releases pairs, with the steps of a release in a line each."""

    desk: Desk
    folder: Path
    snapshot: SearchSnapshot
    sides: dict[str, PairModels] = field(default_factory=dict)
    together: Callable[..., PairModels] = pair
    """An adapter, a reranker and their digests to the pair that is compared."""

    def artifact(self, name: str) -> Path:
        """A sealed folder that is called so and always the same."""
        folder = self.folder / f"sealed-{name}"
        return folder if folder.exists() else sealed_folder(folder, name)

    def model(self, model: str, name: str) -> str:
        """The version of the model whose artifact is called so."""
        registered = register.register_model(
            self.desk,
            "retrieval",
            model,
            folder=self.artifact(name),
            fingerprint="sha256:" + "f" * 64,
            dataset_version=self.snapshot.name,
            dataset=self.snapshot.digest,
            training_code_sha="0" * 40,
            config={"depth": 5},
            metrics={},
            reason=WHY,
        )
        return registered.partition("@")[2]

    def candidate(
        self,
        adapter: tuple[str, Any],
        reranker: tuple[str, Any],
        *,
        index: str | None = "index",
    ) -> str:
        """A release of these models, each called by a name that stands for its artifact."""
        register.record_search_data(self.desk, "shop", self.snapshot, reason=WHY)
        models = {
            model: self.model(model, name)
            for model, (name, _) in (("adapter", adapter), ("reranker", reranker))
        }
        parts = {} if index is None else {Part.INDEX: self.desk.artifacts.put(self.artifact(index))}
        release = register.register_release(
            self.desk,
            "retrieval",
            models,
            parts=parts,
            because=Because.SCHEDULE,
            reason=WHY,
        )
        known = state(self.desk, "retrieval").models
        digests = [known[f"{model}@{version}"].artifact for model, version in models.items()]
        self.sides[release] = self.together(adapter[1], reranker[1], *digests)
        return release

    def baseline(self) -> PairModels | Finds:
        champion = state(self.desk, "retrieval").champion
        return weak_baseline(self.snapshot) if champion is None else self.sides[champion]

    def ranked(self, release: str) -> Evidence:
        ours = self.sides[release]
        return ranking.rank_pair(
            self.desk, "retrieval", release, self.baseline(), ours, self.snapshot, reason=WHY
        )

    def timed(self, release: str) -> Evidence:
        theirs, ours = self.baseline(), searching(self.sides[release])
        return latency.time_searches(
            self.desk,
            "retrieval",
            release,
            searching(theirs) if isinstance(theirs, PairModels) else theirs,
            ours,
            self.snapshot.golden["query"].to_list(),
            dataset=self.snapshot.digest,
            reason=WHY,
            plan=latency.Plan(blocks=4, requests=25, warm_up=2),
        )

    def measured(self, release: str) -> None:
        training = {Side.BASELINE: self.snapshot, Side.RELEASE: self.snapshot}
        checks.check_leakage(self.desk, "retrieval", release, self.snapshot, training, reason=WHY)
        self.ranked(release)
        self.timed(release)

    def judged(self, release: str) -> judge.Judged:
        dataset = self.snapshot.digest
        checks.record_parts(self.desk, "retrieval", release, dataset=dataset, reason=WHY)
        return judge.judge(self.desk, "retrieval", release, dataset=dataset, traffic=None, reason=WHY)

    def run(
        self, adapter: tuple[str, Any], reranker: tuple[str, Any]
    ) -> tuple[str, judge.Judged, judge.Acted]:
        """One whole release, offline: from candidate to what was done with it."""
        release = self.candidate(adapter, reranker)
        self.measured(release)
        dataset = self.snapshot.digest
        refused = judge.judge_offline(self.desk, "retrieval", release, dataset=dataset, reason=WHY)
        judged = refused or self.judged(release)
        prove = prove_by_seal(self.desk)
        return release, judged, judge.act(self.desk, "retrieval", release, judged, prove=prove, reason=WHY)

    def bootstrapped(self) -> str:
        """The first champion: the old adapter and the old reranker."""
        return self.run(("a1", OLD_ADAPTER), ("r1", OLD_RERANKER))[0]


def make_pair_world(
    folder: Path, snapshot: SearchSnapshot, gates: str = GATE_LIST, bootstrap: str = FIRST
) -> PairWorld:
    return PairWorld(replace(make_desk(folder), stack=pair_stack(gates, bootstrap)), folder, snapshot)
