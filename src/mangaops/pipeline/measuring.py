"""The measuring steps of a run: each finds its inputs, calls one verb, and is not repeated without need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

import polars as pl
from pydantic import BaseModel

from mangaops.datasets import Snapshot, nearness, traits
from mangaops.evidence import Binding, Evidence
from mangaops.gates import Asked
from mangaops.inference import Predictor
from mangaops.pipeline.dataset_run import find_version
from mangaops.pipeline.order import order_facts
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import ModelRecord, Permit, UnitState, permit
from mangaops.release import checks, evaluate, latency, live, shadow
from mangaops.release.critical import critical_examples
from mangaops.release.desk import bind, binding, model_spec, newest, release_of, state, unit_spec
from mangaops.release.live_logs import LiveLogs, Watched
from mangaops.stack import DataSpec, ModelSpec
from mangaops.vocabulary import Digest, EvidenceKind, Purpose, Side

TIMED_TEXTS = 500
"""Golden texts that the latency test asks, round and round."""


@dataclass(frozen=True)
class Bench:
    """One release on the bench beside the champion, or beside the plain baseline where there is none."""

    shop: Workshop
    steps: Steps
    unit: str
    release: str
    golden: Snapshot
    since: int
    again: frozenset[EvidenceKind]
    reason: str
    progress: Progress

    @cached_property
    def model(self) -> ModelSpec:
        """What stack.yaml says of the unit's classifying model."""
        return model_spec(self.shop.desk, self.unit)

    @cached_property
    def data(self) -> DataSpec:
        """What stack.yaml says of that model's data."""
        return self.shop.desk.stack.labelled(self.model.data)

    @cached_property
    def critical(self) -> pl.DataFrame | None:
        """The model's critical examples as they stand in their file now, None where there are none."""
        return critical_examples(self.model, self.shop.folder)

    @cached_property
    def _at_first(self) -> UnitState:
        """The unit as it was when the other side was first asked for: that side stays for the whole run."""
        return self.state()

    @property
    def champion(self) -> str | None:
        """The champion on the other side, None where the plain baseline stands there."""
        champion = self._at_first.champion
        return champion if champion != self.release else None

    @property
    def against(self) -> Digest:
        """The digest of the other side."""
        return bind(self._at_first, release_of(self._at_first, self.release), self.golden.digest).baseline

    @cached_property
    def pair(self) -> evaluate.Pair:
        """Both predictors, loaded once."""
        ours = cast(Predictor, self.shop.load(self._permits(self.release)))
        return evaluate.Pair(self._baseline(), ours, self.against)

    @cached_property
    def training(self) -> dict[Side, Snapshot]:
        """What each side learnt from. The plain baseline learns from the release's own rows."""
        ours = find_version(self.shop, self._record(self.release).dataset)
        theirs = find_version(self.shop, self._record(self.champion).dataset) if self.champion else ours
        return {Side.BASELINE: theirs, Side.RELEASE: ours}

    def state(self) -> UnitState:
        """The unit now."""
        return state(self.shop.desk, self.unit)

    def bound(self, dataset: Digest) -> Binding:
        """What evidence measured now would be bound to.

        Raises:
            RevisionConflict: another champion stands there than when this run began to measure.
        """
        return binding(self.shop.desk, self.unit, self.release, dataset, against=self.against)

    def measured(
        self,
        kind: EvidenceKind,
        dataset: Digest,
        measure: Callable[[], Evidence],
        also: Mapping[str, Any] | None = None,
    ) -> Evidence:
        """The evidence of that kind: measured now, or what an equal step has measured before.

        `also` is what the measurement reads beside what it is bound to. A run that was killed between the
        ledger and the journal measures again, and equal evidence is not listed twice; no two timings are
        equal, so that a timing of this run is found in the ledger instead.
        """
        bound = self.bound(dataset)
        inputs = {
            "binding": vars(bound),
            "run": self.steps.run if kind in self.again else None,
            **(also or {}),
        }
        known = newest(self.shop.desk, release_of(self.state(), self.release), kind, bound)
        if kind == EvidenceKind.LATENCY:
            if known is not None and self._recorded_in_this_run(kind, bound):
                self.steps.announce(kind, "already done")
                return known
            return self._done(kind, inputs, measure, holds=lambda _digest: True)
        return self._done(kind, inputs, measure, holds=lambda it: known is not None and known.digest == it)

    def _done(
        self,
        kind: EvidenceKind,
        inputs: Mapping[str, Any],
        measure: Callable[[], Evidence],
        holds: Callable[[Digest], bool],
    ) -> Evidence:
        done = self.steps.do(
            f"{self.unit}/{kind}",
            inputs,
            lambda: {"digest": measure().digest},
            holds=lambda output: holds(output["digest"]),
        )
        return self.shop.desk.evidence.get(done["digest"])

    def _recorded_in_this_run(self, kind: EvidenceKind, bound: Binding) -> bool:
        refs = release_of(self.state(), self.release).evidence
        return any(
            ref.kind == kind and dict(ref.binding) == vars(bound) and ref.revision > self.since
            for ref in refs
        )

    def _record(self, release: str) -> ModelRecord:
        current = self.state()
        name = self.shop.desk.stack.units[self.unit].models[0]
        return current.models[f"{name}@{release_of(current, release).models[name]}"]

    def _permits(self, release: str) -> dict[str, Permit]:
        return permit(self.state(), release, Purpose.MEASURE)

    def _baseline(self) -> Predictor:
        if self.champion:
            return cast(Predictor, self.shop.load(self._permits(self.champion)))
        ours = self.training[Side.RELEASE]
        self.progress("fitting the plain baseline", 0, 1)
        fitted = self.shop.baseline(ours.train.select("text", "label"), ours.labels, self.model.actions)
        self.progress("fitting the plain baseline", 1, 1)
        return fitted


def measure_offline(bench: Bench) -> None:
    """Evaluation, leakage, fingerprints and latency of the release are in the ledger, in that order."""
    dataset, desk = bench.golden.digest, bench.shop.desk
    common = {"reason": bench.reason}
    bench.measured(EvidenceKind.LEAKAGE, dataset, lambda: _leakage(bench), _as_json(data=bench.data))
    bench.measured(
        EvidenceKind.FINGERPRINT,
        dataset,
        lambda: checks.check_fingerprints(desk, bench.unit, bench.release, dataset=dataset, **common),
    )
    also = _as_json(model=bench.model, data=bench.data)
    also["critical"] = None if bench.critical is None else bench.critical.to_dicts()
    bench.measured(EvidenceKind.EVALUATION, dataset, lambda: _evaluated(bench), also)
    bench.measured(EvidenceKind.LATENCY, dataset, lambda: _timed(bench))


def _as_json(**specs: BaseModel) -> dict[str, Any]:
    """What stack.yaml says, as a part of a step's key."""
    return {name: spec.model_dump(mode="json") for name, spec in specs.items()}


def _leakage(bench: Bench) -> Evidence:
    order = bench.steps.do(
        "order", {"snapshot": bench.golden.digest}, lambda: order_facts(bench.shop, bench.golden)
    )
    return checks.check_leakage(
        bench.shop.desk,
        bench.unit,
        bench.release,
        bench.golden,
        bench.training,
        reason=bench.reason,
        order=order,
        against=bench.against,
    )


def _evaluated(bench: Bench) -> Evidence:
    rows = bench.golden.golden
    learnt = pl.concat([side.train for side in bench.training.values()], how="vertical_relaxed").unique(
        "row_id"
    )
    golden = evaluate.GoldenRows(
        snapshot=bench.golden.digest,
        dataset_version=bench.golden.name,
        rows=rows,
        nearness=nearness(rows, learnt, bench.data),
        traits=traits(rows, bench.data, learnt),
        critical=bench.critical,
    )
    return evaluate.evaluate(
        bench.shop.desk,
        bench.unit,
        bench.release,
        bench.pair,
        golden,
        reason=bench.reason,
        progress=bench.progress,
    )


def _timed(bench: Bench) -> Evidence:
    texts = bench.golden.golden["text"].head(TIMED_TEXTS).to_list()
    return latency.time_pair(
        bench.shop.desk,
        bench.unit,
        bench.release,
        bench.pair,
        texts,
        dataset=bench.golden.digest,
        reason=bench.reason,
        progress=bench.progress,
    )


def measure_shadow(bench: Bench, traffic: shadow.Traffic) -> Evidence:
    """Both sides' answers to the window are in the ledger."""
    return bench.measured(
        EvidenceKind.SHADOW,
        traffic.digest,
        lambda: shadow.replay(
            bench.shop.desk,
            bench.unit,
            bench.release,
            bench.pair,
            traffic,
            reason=bench.reason,
            progress=bench.progress,
        ),
        _as_json(model=bench.model, shadow=unit_spec(bench.shop.desk, bench.unit).shadow),
    )


def measure_live(bench: Bench) -> Evidence:
    """What gateways logged of both sides is in the ledger, from the start of the shadow until it was enough.

    The window is journalled before it is frozen, under what the rules ask: a run that was killed, and one
    that comes back after its review, freeze the same.
    """
    desk, unit = bench.shop.desk, bench.unit
    watched = live.begin(desk, unit, bench.release, reason=bench.reason)
    wanted, logs = live.asked(desk, unit, bench.release), LiveLogs(bench.shop.files, unit, watched)
    inputs = {
        "binding": vars(bench.bound(bench.golden.digest)),
        "watched": vars(watched),
        "wanted": vars(wanted),
        "run": bench.steps.run if EvidenceKind.SHADOW in bench.again else None,
    }
    window = bench.steps.do(f"{unit}/shadow window", inputs, lambda: _waited(bench, logs, watched, wanted))
    done = bench.steps.do(
        f"{unit}/{EvidenceKind.SHADOW}",
        inputs | {"window": window},
        lambda: {"digest": _frozen(bench, logs, watched, window).digest},
        holds=lambda output: _listed(bench, output["digest"]),
    )
    return desk.evidence.get(done["digest"])


def _waited(bench: Bench, logs: LiveLogs, watched: Watched, wanted: Asked) -> dict[str, Any]:
    window = live.wait(
        bench.shop.desk,
        bench.unit,
        logs,
        watched,
        wanted,
        pause=bench.shop.pause,
        check=bench.steps.check,
        progress=bench.progress,
    )
    return {"until": window.until.isoformat(), "stopped": window.stopped}


def _frozen(bench: Bench, logs: LiveLogs, watched: Watched, window: Mapping[str, Any]) -> Evidence:
    return live.freeze(
        bench.shop.desk,
        bench.unit,
        logs,
        watched,
        live.Window(datetime.fromisoformat(window["until"]), window["stopped"]),
        against=bench.against,
        reason=bench.reason,
    )


def _listed(bench: Bench, digest: Digest) -> bool:
    return any(ref.digest == digest for ref in release_of(bench.state(), bench.release).evidence)
