"""A desk of a unit that searches: plain functions in the places of models, a real snapshot and ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from desk_world import WHY, make_desk, sealed_folder
from pair_world import (
    ITEMS,
    NEW_ADAPTER,
    NEW_RERANKER,
    NUMBER,
    OLD_ADAPTER,
    OLD_RERANKER,
    RETRAINED,
    number,
    pair,
)

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import Binding, Evidence
from mangaops.gates import GATES, Case, Decision, judge
from mangaops.inference.retrieval import Listed
from mangaops.metrics import METRICS
from mangaops.registry import DecisionRef
from mangaops.release import register, shadow
from mangaops.release.desk import Desk, bind, record_evidence, release_of, state, unit_spec
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.pairs import compare_pairs
from mangaops.stack import DataSpec, Rule, parse
from mangaops.training import PARAMETERS
from mangaops.vocabulary import Because, EvidenceKind
from shop_rows import data_of, frozen

STACK = """
stack: manga-test
simulated: true
data:
  shop: {kind: search}
models:
  adapter: {family: embedding-adapter, base: minilm-l6, data: shop, training: {}}
  reranker: {family: cross-encoder-reranker, base: minilm-l6, data: shop, training: {}}
units:
  retrieval:
    models: [adapter, reranker]
    fallback: no_results
    shadow: {share: 1.0, min_requests: 100, min_hours: 1}
    review: {budget: 40, planted: 6, floor: 0.8}
    gates:
      - {gate: pair, margin: 0.01, unjudged: irrelevant, min_judged: 0.0}
      - {gate: at_least, metric: recall@3, on: adapter, value: 0.3, unjudged: irrelevant, min_judged: 0.0}
      - {gate: disagreement, review_over: 0.05}
      - {gate: non_inferior, metric: preference, on: shadow_review, margin: 0.02}
"""

CHAMPION = pair(OLD_ADAPTER, OLD_RERANKER, "adapter@v1", "reranker@v1")
NEXT = pair(NEW_ADAPTER, RETRAINED, "adapter@v2", "reranker@v2")
APART = pair(NEW_ADAPTER, NEW_RERANKER, "adapter@v2", "reranker@v2")
"""Two models that are each a gain beside the old partner, and a loss together."""


@dataclass
class Lists:
    """Answers with the items at these distances from the one that is asked for, in this order."""

    name: str
    offsets: Sequence[int]
    weak: Sequence[int] = ()
    """Where the asked item's number is odd, if it is another list."""

    def answer(self, text: str) -> Listed:
        at = number(text)
        offsets = self.weak if self.weak and at % 2 else self.offsets
        found = tuple(f"i{(at + offset) % ITEMS}" for offset in offsets)
        return Listed(found, tuple(1.0 / place for place in range(1, len(found) + 1)), 3, {"encode": 1.0})


OLD = Lists("champion", (1, 2, 0, 3, 4))
NEW = Lists("challenger", (0, 1, 5, 3, 4), (1, 2, 0, 4, 3))
"""Right at the top for every other item; for the rest it differs from `OLD` below the third place alone."""


def traffic(requests: int = 300) -> shadow.Traffic:
    names, begins = list(NUMBER), datetime(2026, 4, 18, tzinfo=UTC)
    return shadow.Traffic(
        pl.DataFrame(
            {
                "row_id": [f"s{n:05}" for n in range(requests)],
                "group": [f"u{n // 2}" for n in range(requests)],
                "text": [f"{names[n % ITEMS]} manga" for n in range(requests)],
                "at": [begins + timedelta(minutes=n) for n in range(requests)],
            }
        )
    )


@dataclass
class SearchWorld:
    """The desk, the snapshot, and the release `retrieval-1`."""

    desk: Desk
    snapshot: SearchSnapshot
    release: str

    @property
    def binding(self) -> Binding:
        current = state(self.desk, "retrieval")
        return bind(current, release_of(current, self.release), self.snapshot.digest)

    def ranked(self, baseline: Any, release: Any) -> Evidence:
        """Ranking evidence of two pairs is recorded."""
        lists = compare_pairs(baseline, release, self.snapshot, new=["i1", "i3", "i5"])
        facts = {**lists.facts, "golden_judgements": 1}
        evidence = Evidence(EvidenceKind.RANKING, self.binding, facts, lists.tables)
        return record_evidence(self.desk, "retrieval", self.release, evidence, reason=WHY)

    def shadowed(self, ours: Any = NEW, theirs: Any = OLD, window: shadow.Traffic | None = None) -> Evidence:
        both = shadow.Searches(theirs, ours)
        rows = window or traffic()
        return shadow.replay(self.desk, "retrieval", self.release, both, rows, reason=WHY)

    def grades(self) -> pl.DataFrame:
        """The hidden grades: of each query its own item."""
        rows = [(f"{title} MANGA!", f"i{at}", 2) for title, at in NUMBER.items()]
        return pl.DataFrame(rows, schema=["query", "item_id", "grade"], orient="row")

    def judged(self, gates: Sequence[Rule] = ()) -> Dossier:
        """All that is known of the release, with the decision on it."""
        known = dossier(self.desk, "retrieval", self.release)
        shadowed = known.evidence.get(EvidenceKind.SHADOW)
        unit = unit_spec(self.desk, "retrieval")
        case = Case(
            binding=self.binding,
            evidence=known.evidence,
            unit=unit,
            model=known.model,
            data=DataSpec(),
            traffic=shadowed.binding.dataset if shadowed else None,
            simulated=True,
        )
        rules = list(gates or unit.gates)
        decision = judge(rules, case)
        told = tuple(rule.as_dict() for rule in rules)
        return replace(known, decision=decision, decided=_reference(decision), rules=told)


def _reference(decision: Decision) -> DecisionRef:
    return DecisionRef(
        digest="sha256:" + "d" * 64,
        outcome=decision.outcome,
        verdicts=decision.verdicts,
        look=1,
        generation=0,
        revision=9,
        at="2026-04-20T00:00:00.000000Z",
        reason=WHY,
    )


def search_world(folder: Path, **metrics: dict[str, float]) -> SearchWorld:
    """`metrics`: what training says of a model, by its name."""
    known = {name: gate.params for name, gate in GATES.items()}
    stack = parse(STACK, gates=known, metrics=METRICS, families=PARAMETERS)
    desk = replace(make_desk(folder), stack=stack)
    snapshot = frozen(data_of(folder / "shop"))
    register.record_search_data(desk, "shop", snapshot, reason=WHY)
    versions = {}
    for model in ("adapter", "reranker"):
        name = register.register_model(
            desk,
            "retrieval",
            model,
            folder=sealed_folder(folder / model, model),
            fingerprint="sha256:" + "f" * 64,
            dataset_version=snapshot.name,
            dataset=snapshot.digest,
            training_code_sha="0" * 40,
            config={"epochs": 3},
            metrics=metrics.get(model, {}),
            reason=WHY,
        )
        versions[model] = name.split("@")[1]
    release = register.register_release(desk, "retrieval", versions, because=Because.SCHEDULE, reason=WHY)
    return SearchWorld(desk, snapshot, release)
