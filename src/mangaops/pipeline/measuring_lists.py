"""The measuring steps of a unit that ranks: each finds its inputs and calls one verb."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import polars as pl

from mangaops.datasets.search_leakage import with_others
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import Evidence
from mangaops.inference.index import build
from mangaops.inference.retrieval import Retrieval
from mangaops.pipeline.bench import Bench, as_json
from mangaops.pipeline.pair_run import catalogue_digest, catalogue_of, embedded, read_items
from mangaops.pipeline.search_data_run import find_search_version
from mangaops.pipeline.traffic import read_grades
from mangaops.pipeline.training_run import searched
from mangaops.pipeline.workshop import Plain
from mangaops.release import checks, index_check, latency, ranking
from mangaops.release.desk import unit_spec
from mangaops.release.pairs import PairModels
from mangaops.release.shadow import Searches, Traffic
from mangaops.stack import SearchDataSpec
from mangaops.vocabulary import EvidenceKind, Family, Side

TIMED_QUERIES = 500
"""Golden queries that the latency test asks, round and round."""

TIMED = latency.Plan(blocks=20, requests=25, warm_up=25)
"""Searches take tens of ms: half as many as of a classifier's answers still bound P95."""


class Ranking:
    """A release of a pair on the bench, beside the champion's pair or BM25."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.golden, self.desk = bench, searched(bench.golden), bench.shop.desk
        self.models = unit_spec(self.desk, bench.unit).models
        self.spec: SearchDataSpec = self.desk.stack.search_data[self.desk.stack.models[self.models[0]].data]

    @cached_property
    def ours(self) -> Retrieval:
        """The release, over the golden version's catalogue."""
        return self._over_golden(self.bench.release)

    @cached_property
    def theirs(self) -> Retrieval | Plain:
        """The champion, or BM25, over the same items: whose catalogue is older is no matter of models."""
        if self.bench.champion:
            return self._over_golden(self.bench.champion)
        return self.bench.shop.lexical(read_items(self.golden))

    @cached_property
    def training(self) -> dict[Side, SearchSnapshot]:
        """What the models of each side learnt from; BM25 learns nothing, and reads our items."""
        bench = self.bench
        ours = self._learnt(bench.release)
        return {Side.BASELINE: self._learnt(bench.champion) if bench.champion else ours, Side.RELEASE: ours}

    def offline(self) -> None:
        """Leakage, fingerprints, lists, index recall and latency of the release are in the ledger."""
        bench, dataset, spec = self.bench, self.golden.digest, as_json(data=self.spec)
        bench.measured(EvidenceKind.LEAKAGE, dataset, self._leakage, spec)
        bench.measured(EvidenceKind.FINGERPRINT, dataset, bench.fingerprints)
        bench.measured(EvidenceKind.RANKING, dataset, self._ranked, spec)
        bench.measured(EvidenceKind.INDEX, dataset, self._index)
        bench.measured(EvidenceKind.LATENCY, dataset, self._timed)

    def replayed(self, traffic: Traffic) -> Evidence:
        """Both sides' lists for a window of searches are in the ledger."""
        sides = Searches(self.theirs, self.ours, self.bench.against)
        return self.bench.replayed(sides, traffic, as_json(data=self.spec))

    def truth(self, location: str) -> pl.DataFrame:
        """The hidden grades that answer a review in a simulated stack: query, item_id, grade."""
        return read_grades(self.bench.shop, self.spec, location)

    def _over_golden(self, release: str) -> Retrieval:
        """The release as it serves; its adapter's own index of the golden items where it sealed another's."""
        permits = self.bench.permits(release)
        loaded = cast(Retrieval, self.bench.shop.load(permits))
        if loaded.catalogue.digest == catalogue_digest(self.golden):
            return loaded
        adapter = next(each for each in permits.values() if each.family == Family.EMBEDDING_ADAPTER)
        vectors = embedded(self.bench.shop, adapter, self.golden, self.bench.progress)
        data = self.desk.stack.models[adapter.model].data
        items = catalogue_of(self.bench.shop, data, self.golden)
        index = build(vectors, loaded.index.parameters)
        return Retrieval(loaded.embedder, loaded.reranker, index, items, loaded.depth)

    def _learnt(self, release: str) -> SearchSnapshot:
        """The version that the release's models learnt from; where they learnt from several, all of these."""
        names = dict.fromkeys(self.bench.record(release, model).dataset for model in self.models)
        first, *others = (find_search_version(self.bench.shop, name) for name in names)
        return with_others(first, others)

    def _leakage(self) -> Evidence:
        bench = self.bench
        return checks.check_leakage(
            self.desk,
            bench.unit,
            bench.release,
            self.golden,
            self.training,
            reason=bench.reason,
            against=bench.against,
        )

    def _ranked(self) -> Evidence:
        bench, theirs = self.bench, self.theirs
        return ranking.rank_pair(
            self.desk,
            bench.unit,
            bench.release,
            self._pair(str(bench.champion), theirs) if isinstance(theirs, Retrieval) else theirs,
            self._pair(bench.release, self.ours),
            self.golden,
            against=bench.against,
            new=ranking.new_titles(self.golden, self.training[Side.BASELINE]),
            reason=bench.reason,
            progress=bench.progress,
        )

    def _pair(self, release: str, over_golden: Retrieval) -> PairModels:
        return ranking.pair_models(over_golden, self.bench.permits(release))

    def _index(self) -> Evidence:
        bench = self.bench
        return index_check.check_index(
            self.desk,
            bench.unit,
            bench.release,
            self.ours,
            self.golden.golden,
            dataset=self.golden.digest,
            against=bench.against,
            reason=bench.reason,
            progress=bench.progress,
        )

    def _timed(self) -> Evidence:
        bench = self.bench
        return latency.time_searches(
            self.desk,
            bench.unit,
            bench.release,
            self.theirs,
            self.ours,
            self.golden.golden["query"].head(TIMED_QUERIES).to_list(),
            plan=TIMED,
            against=bench.against,
            dataset=self.golden.digest,
            reason=bench.reason,
            progress=bench.progress,
        )
