"""A scratch world to search in: each release has an adapter, an index and a reranker of its own.

The gate list is the shortest that promotes: the record and the fingerprint, which loads the whole release.
That a pair is judged as one is asked of every unit that searches; here it counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final, cast

import polars as pl

from mangaops.datasets.search_data import SearchData, collect_items, collect_judgments, item_text
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.datasets.source import Source
from mangaops.inference.retrieval import Retrieval
from mangaops.pipeline.gateway_world import WHY, GatewayWorld
from mangaops.pipeline.scratch_pair import (
    DATA,
    FAMILIES,
    INDEX,
    PairVariant,
    pair_variant,
    questions,
    titles,
)
from mangaops.pipeline.search_data_run import take_search_snapshot
from mangaops.registry import permit
from mangaops.release import checks, latency, ranking, register
from mangaops.release.pairs import Finds, PairModels
from mangaops.simulation.load import SEARCH, Question, Way
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import Because, Digest, EvidenceKind, Part, Purpose

UNIT: Final = "retrieval"

STACK: Final = """\
# A scratch world of `mangaops bench gateway --unit retrieval`: the shortest gate list that promotes.
stack: bench
simulated: true
data:
  bench: {kind: search}
models:
  adapter: {family: embedding-adapter, base: minilm-l6, data: bench, training: {}}
  reranker: {family: cross-encoder-reranker, base: minilm-l6, data: bench, training: {}}
units:
  retrieval:
    models: [adapter, reranker]
    fallback: no_items
    shadow: {share: 1.0, min_requests: 100, min_hours: 0}
    bootstrap: [{gate: release_record}, {gate: fingerprint}]
    gates:
      - {gate: release_record}
      - {gate: fingerprint}
      - {gate: pair, metric: ndcg@10, margin: 0.0, unjudged: irrelevant, min_judged: 0.0, dry_run: true}
"""


@dataclass
class RetrievalWorld(GatewayWorld):
    """The world in `folder`, whose releases are variants of the pair in `artifact`."""

    unit: ClassVar[str] = UNIT
    way: ClassVar[Way] = SEARCH
    shows: ClassVar[EvidenceKind] = EvidenceKind.FINGERPRINT

    def own(self, number: int) -> tuple[str, ...]:
        """The mark of the answer of the release of that number to each question."""
        return self.variant(number).marks

    def variant(self, number: int) -> PairVariant:
        """What the release of that number is made of."""
        return pair_variant(self.artifact, self.folder / "variants" / str(number), number)

    @classmethod
    def strangers(cls, seed: int) -> tuple[Question, ...]:  # noqa: ARG003 - there is one set of them
        """What is asked of somebody else's gateway."""
        return tuple(Question(text) for text in questions())

    def questions(self, count: int = 0, seed: int = 0) -> tuple[Question, ...]:  # noqa: ARG002 - as asked
        """What users of this world search for: every question that releases are told by, in turn."""
        return tuple(Question(text, f"c{place}", f"u{place}") for place, text in enumerate(questions()))

    @property
    def dataset(self) -> Digest:
        """The digest of the only dataset version."""
        return self.judged.digest

    @cached_property
    def judged(self) -> SearchSnapshot:
        """The only dataset version, which the ledger lists."""
        spec = self.shop.desk.stack.search_data[DATA]
        with self.shop.making() as folder:
            rows = [{"item_id": item_id, **item} for item_id, item in titles().items()]
            pl.DataFrame(rows).write_parquet(folder / "items.parquet")
            _judged().write_parquet(folder / "judgments.parquet")
            found = SearchData(
                collect_items(Source((str(folder / "items.parquet"),)), spec),
                collect_judgments(Source((str(folder / "judgments.parquet"),)), spec),
            )
        return take_search_snapshot(self.shop, DATA, found, reason=WHY, progress=lambda *_told: None)

    def _register(self) -> str:
        """Another variant is a release: the unit's first one is its bootstrap."""
        desk, number = self.shop.desk, len(self.state().releases) + 1
        made = self.variant(number)
        versions = {}
        for name in FAMILIES:
            registered = register.register_model(
                desk,
                UNIT,
                name,
                folder=made.folder / name,
                fingerprint=made.fingerprints[name],
                dataset_version=self.judged.name,
                dataset=self.judged.digest,
                training_code_sha="0" * 40,
                config={"variant": number},
                metrics={},
                reason=WHY,
            )
            versions[name] = registered.partition("@")[2]
        parts = {str(Part.INDEX): desk.artifacts.put(made.folder / INDEX)}
        return register.register_release(
            desk, UNIT, versions, parts=parts, because=Because.MANUAL, reason=WHY
        )

    def _measure(self, release: str) -> None:
        """Lists, latency and fingerprints of the release beside today's champion are on record."""
        desk, golden = self.shop.desk, self.judged
        theirs, ours = self._champion(), self._loaded(release)
        champion = self.state().champion
        ranked = self._models(champion, theirs) if champion and isinstance(theirs, Retrieval) else theirs
        assert not isinstance(ranked, Retrieval)
        ranking.rank_pair(desk, UNIT, release, ranked, self._models(release, ours), golden, reason=WHY)
        latency.time_searches(
            desk,
            UNIT,
            release,
            theirs,
            ours,
            golden.golden["query"].to_list(),
            dataset=golden.digest,
            reason=WHY,
            plan=latency.Plan(blocks=2, requests=5, warm_up=5),
        )
        checks.check_fingerprints(desk, UNIT, release, dataset=golden.digest, reason=WHY)

    def _champion(self) -> Retrieval | Finds:
        """What a release is compared with: today's champion, or a plain search over words without one."""
        champion = self.state().champion
        if champion is not None:
            return self._loaded(champion)
        items = self.judged.items
        return lexical(items.select("item_id", text=item_text(items)))

    def _loaded(self, release: str) -> Retrieval:
        return cast(Retrieval, self.shop.load(permit(self.state(), release, Purpose.MEASURE)))

    def _models(self, release: str, loaded: Retrieval) -> PairModels:
        return ranking.pair_models(loaded, permit(self.state(), release, Purpose.MEASURE))


def _judged() -> pl.DataFrame:
    """Each question with a title that it may be about: what dataset versions need, and nobody learns from."""
    asked = zip(questions(), titles(), strict=False)
    return pl.DataFrame([{"query": query, "item_id": item_id, "grade": 1} for query, item_id in asked])
