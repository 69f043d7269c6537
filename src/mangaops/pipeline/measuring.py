"""The measuring steps of a unit that classifies: each finds its inputs and calls one verb."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import polars as pl

from mangaops.datasets import Snapshot, nearness, traits
from mangaops.evidence import Evidence
from mangaops.inference import Predictor
from mangaops.pipeline.bench import Bench, as_json
from mangaops.pipeline.dataset_run import find_version
from mangaops.pipeline.order import order_facts
from mangaops.pipeline.traffic import read_truth
from mangaops.release import checks, evaluate, latency
from mangaops.release.critical import critical_examples
from mangaops.release.desk import unit_spec
from mangaops.release.shadow import Traffic
from mangaops.stack import DataSpec, ModelSpec
from mangaops.vocabulary import EvidenceKind, Side

TIMED_TEXTS = 500
"""Golden texts that the latency test asks, round and round."""


class Classifying:
    """A release of one classifier on the bench, beside the champion or the plain baseline."""

    def __init__(self, bench: Bench) -> None:
        assert isinstance(bench.golden, Snapshot)
        self.bench, self.golden, self.desk = bench, bench.golden, bench.shop.desk
        self.name = unit_spec(self.desk, bench.unit).models[0]
        self.model: ModelSpec = self.desk.stack.models[self.name]
        self.data: DataSpec = self.desk.stack.labelled(self.model.data)

    @cached_property
    def critical(self) -> pl.DataFrame | None:
        """The model's critical examples as they stand in their file now, None where there are none."""
        return critical_examples(self.model, self.bench.shop.folder)

    @cached_property
    def pair(self) -> evaluate.Pair:
        """Both predictors, loaded once."""
        return evaluate.Pair(self._baseline(), self._loaded(self.bench.release), self.bench.against)

    @cached_property
    def training(self) -> dict[Side, Snapshot]:
        """What each side learnt from. The plain baseline learns from the release's own rows."""
        bench = self.bench
        ours = self._learnt(bench.release)
        return {Side.BASELINE: self._learnt(bench.champion) if bench.champion else ours, Side.RELEASE: ours}

    def offline(self) -> None:
        """Evaluation, leakage, fingerprints and latency of the release are in the ledger, in that order."""
        bench = self.bench
        dataset = self.golden.digest
        bench.measured(EvidenceKind.LEAKAGE, dataset, self._leakage, as_json(data=self.data))
        bench.measured(EvidenceKind.FINGERPRINT, dataset, bench.fingerprints)
        also = as_json(model=self.model, data=self.data)
        also["critical"] = None if self.critical is None else self.critical.to_dicts()
        bench.measured(EvidenceKind.EVALUATION, dataset, self._evaluated, also)
        bench.measured(EvidenceKind.LATENCY, dataset, self._timed)

    def replayed(self, traffic: Traffic) -> Evidence:
        """Both sides' answers to a window of traffic are in the ledger."""
        return self.bench.replayed(self.pair, traffic, as_json(model=self.model))

    def truth(self, location: str) -> Any:
        """The hidden labels that answer a review in a simulated stack."""
        return read_truth(self.bench.shop, location)

    def _loaded(self, release: str) -> Predictor:
        return cast(Predictor, self.bench.shop.load(self.bench.permits(release)))

    def _learnt(self, release: str) -> Snapshot:
        return find_version(self.bench.shop, self.bench.record(release, self.name).dataset)

    def _baseline(self) -> Predictor:
        bench = self.bench
        if bench.champion:
            return self._loaded(bench.champion)
        ours = self.training[Side.RELEASE]
        bench.progress("fitting the plain baseline", 0, 1)
        fitted = bench.shop.baseline(ours.train.select("text", "label"), ours.labels, self.model.actions)
        bench.progress("fitting the plain baseline", 1, 1)
        return fitted

    def _leakage(self) -> Evidence:
        bench = self.bench
        order = bench.steps.do(
            "order", {"snapshot": self.golden.digest}, lambda: order_facts(bench.shop, self.golden)
        )
        return checks.check_leakage(
            self.desk,
            bench.unit,
            bench.release,
            self.golden,
            self.training,
            reason=bench.reason,
            order=order,
            against=bench.against,
        )

    def _evaluated(self) -> Evidence:
        bench, rows = self.bench, self.golden.golden
        learnt = pl.concat([side.train for side in self.training.values()], how="vertical_relaxed").unique(
            "row_id"
        )
        golden = evaluate.GoldenRows(
            snapshot=self.golden.digest,
            dataset_version=self.golden.name,
            rows=rows,
            nearness=nearness(rows, learnt, self.data),
            traits=traits(rows, self.data, learnt),
            critical=self.critical,
        )
        return evaluate.evaluate(
            self.desk,
            bench.unit,
            bench.release,
            self.pair,
            golden,
            reason=bench.reason,
            progress=bench.progress,
        )

    def _timed(self) -> Evidence:
        bench = self.bench
        texts = self.golden.golden["text"].head(TIMED_TEXTS).to_list()
        return latency.time_pair(
            self.desk,
            bench.unit,
            bench.release,
            self.pair,
            texts,
            dataset=self.golden.digest,
            reason=bench.reason,
            progress=bench.progress,
        )
