"""The measuring steps of a unit that ranks: each finds its inputs and calls one verb."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import polars as pl

from mangaops.datasets import Source
from mangaops.datasets.search_data import collect_asked, item_text
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import Evidence
from mangaops.inference.index import build
from mangaops.inference.retrieval import Retrieval
from mangaops.inference.shelf import IndexShelf
from mangaops.pipeline.bench import Bench, as_json
from mangaops.pipeline.pair_run import catalogue_digest, embedded
from mangaops.pipeline.search_data_run import find_search_version
from mangaops.pipeline.traffic import read_grades
from mangaops.pipeline.training_run import searched
from mangaops.release import checks, evaluate, index_check, latency, ranking, shadow
from mangaops.release.desk import unit_spec
from mangaops.release.pairs import Finds, PairModels
from mangaops.release.shadow import Traffic
from mangaops.stack import SearchDataSpec
from mangaops.vocabulary import EvidenceKind, Side

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
        """The release as it serves."""
        return self._loaded(self.bench.release)

    @cached_property
    def theirs(self) -> Retrieval | Finds:
        """The champion as it serves, or BM25 over the same items."""
        if self.bench.champion:
            return self._loaded(self.bench.champion)
        items = self.golden.items
        return self.bench.shop.lexical(items.select("item_id", text=item_text(items)))

    @cached_property
    def training(self) -> dict[Side, SearchSnapshot]:
        """What each side learnt from; BM25 learns nothing, and reads the release's own items."""
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

    def replayed(self, source: Source) -> Evidence:
        """Both sides' lists for a window of searches are in the ledger."""
        bench = self.bench
        rows = bench.steps.timed("traffic", lambda: collect_asked(source, self.spec, bench.progress))
        traffic = Traffic(rows)
        return bench.measured(
            EvidenceKind.SHADOW,
            traffic.digest,
            lambda: shadow.replay(
                self.desk,
                bench.unit,
                bench.release,
                evaluate.Pair(cast(Any, self.theirs), cast(Any, self.ours), bench.against),
                traffic,
                reason=bench.reason,
                progress=bench.progress,
            ),
            as_json(data=self.spec, shadow=unit_spec(self.desk, bench.unit).shadow),
        )

    def truth(self, location: str) -> pl.DataFrame:
        """The hidden grades that answer a review in a simulated stack: query, item_id, grade."""
        return read_grades(self.bench.shop, self.spec, location)

    def _loaded(self, release: str) -> Retrieval:
        return cast(Retrieval, self.bench.shop.load(self.bench.permits(release)))

    def _learnt(self, release: str) -> SearchSnapshot:
        return find_search_version(self.bench.shop, self.bench.record(release, self.models[0]).dataset)

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

    def _pair(self, release: str, loaded: Retrieval) -> PairModels:
        """The release's models over the golden version's items, whatever items its own index holds."""
        permits = self.bench.permits(release)
        pair = ranking.pair_models(loaded, permits)
        if loaded.catalogue.digest == catalogue_digest(self.golden):
            return pair
        adapter = next(each for each in permits.values() if each.artifact == pair.adapter)
        items = self.golden.items
        index = build(embedded(self.bench.shop, adapter, self.golden, self.bench.progress))
        texts = dict(zip(items["item_id"], item_text(items), strict=True))
        return replace(pair, shelf=IndexShelf.of(index, texts))

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
