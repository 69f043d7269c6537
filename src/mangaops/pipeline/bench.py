"""One release on the bench beside the champion: what evidence is bound to, and what was measured before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from mangaops.evidence import Binding, Evidence
from mangaops.gates import Asked
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.training_run import Version
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import ModelRecord, Permit, UnitState, permit
from mangaops.release import checks, live, shadow
from mangaops.release.desk import bind, binding, newest, opponent, release_of, state, unit_spec
from mangaops.release.live_logs import LiveLogs, Watched
from mangaops.vocabulary import Digest, EvidenceKind, Purpose


@dataclass(frozen=True)
class Bench:
    """One release on the bench beside the champion, or beside the plain baseline where there is none."""

    shop: Workshop
    steps: Steps
    unit: str
    release: str
    golden: Version
    since: int
    again: frozenset[EvidenceKind]
    reason: str
    progress: Progress

    @cached_property
    def _at_first(self) -> UnitState:
        """The unit as it was when the other side was first asked for: that side stays for the whole run."""
        return self.state()

    @property
    def champion(self) -> str | None:
        """The champion on the other side, None where the plain baseline stands there."""
        return opponent(self._at_first, self.release)

    @property
    def against(self) -> Digest:
        """The digest of the other side."""
        return bind(self._at_first, release_of(self._at_first, self.release), self.golden.digest).baseline

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

    def fingerprints(self) -> Evidence:
        """Whether each side loads here as it was sealed is in the ledger."""
        return checks.check_fingerprints(
            self.shop.desk, self.unit, self.release, dataset=self.golden.digest, reason=self.reason
        )

    def replayed(self, sides: shadow.Sides, traffic: shadow.Traffic, also: Mapping[str, Any]) -> Evidence:
        """Both sides' answers to a window of traffic are in the ledger."""
        desk = self.shop.desk
        return self.measured(
            EvidenceKind.SHADOW,
            traffic.digest,
            lambda: shadow.replay(
                desk, self.unit, self.release, sides, traffic, reason=self.reason, progress=self.progress
            ),
            {**also, **as_json(shadow=unit_spec(desk, self.unit).shadow)},
        )

    def record(self, release: str, model: str) -> ModelRecord:
        """The version of the model that the release holds."""
        current = self.state()
        return current.models[f"{model}@{release_of(current, release).models[model]}"]

    def permits(self, release: str) -> dict[str, Permit]:
        """Leave to measure with the release."""
        return permit(self.state(), release, Purpose.MEASURE)


def as_json(**specs: BaseModel) -> dict[str, Any]:
    """What stack.yaml says, as a part of a step's key."""
    return {name: spec.model_dump(mode="json") for name, spec in specs.items()}


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
