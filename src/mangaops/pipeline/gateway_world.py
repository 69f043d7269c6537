"""A scratch world to serve from: a home with a champion, and as many promotable releases as are asked for.

Everything goes through the verbs that a real week uses: registered, measured, judged, promoted, rolled back.
The gate list is the cheapest that promotes: the release record and the fingerprint. A release that was
rolled back is reopened and judged anew on the evidence that it has, since that compares the same two
releases; where none was rolled back, another variant is registered and measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final, cast

import polars as pl

from mangaops.datasets import Snapshot, nearness, traits
from mangaops.errors import RefusedError
from mangaops.evidence.envelope import table_digest
from mangaops.inference import Predictor
from mangaops.inference.labels import label_map
from mangaops.pipeline.scratch_model import WORDS, rows, variant
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import UnitState, drafts, permit
from mangaops.release import checks, evaluate, judge, latency, register, rollback
from mangaops.release import promote as promotion
from mangaops.release import reopen as reopening
from mangaops.release.desk import append, bind, model_spec, newest, release_of, state
from mangaops.simulation.load import ROUTER, Question, Way
from mangaops.simulation.outcome import FALLBACK
from mangaops.vocabulary import Because, Digest, EventKind, EvidenceKind, Outcome, Purpose, State

UNIT: Final = "router"
MODEL: Final = "intent-classifier"
DATA: Final = "bench"
WHY: Final = "a scratch world"
_CLOSED: Final = frozenset({State.ROLLED_BACK, State.WITHDRAWN})
FIRST: Final = datetime(2026, 4, 20, tzinfo=UTC)

STACK: Final = """\
# A scratch world of `mangaops bench gateway`: the shortest gate list that promotes.
stack: bench
simulated: true
data:
  bench:
    labels: [{labels}]
    golden: {{rows: 40, per_critical_label: 1}}
    minimum_critical: 1
models:
  intent-classifier:
    family: intent-classifier
    base: minilm-l6
    data: bench
    actions: {{clarify_below: 0.2, offer_human: [escalation]}}
    training: {{}}
units:
  router:
    models: [intent-classifier]
    fallback: offer_human
    shadow: {{share: 1.0, min_requests: 100, min_hours: 0}}
    bootstrap: [{{gate: release_record}}, {{gate: fingerprint}}]
    gates: [{{gate: release_record}}, {{gate: fingerprint}}]
"""


@dataclass
class GatewayWorld:
    """The world in `folder`, whose releases are variants of `artifact`; `shop` has its stores open."""

    folder: Path
    artifact: Path
    shop: Workshop

    unit: ClassVar[str] = UNIT
    way: ClassVar[Way] = ROUTER
    shows: ClassVar[EvidenceKind] = EvidenceKind.LATENCY
    """The kind of evidence by which a release shows that it was measured against today's champion."""

    @property
    def stack(self) -> Path:
        """The stack file."""
        return self.folder / "stack.yaml"

    @property
    def home(self) -> Path:
        """The home: ledger, artifacts, evidence."""
        return self.folder / "home"

    def state(self) -> UnitState:
        """The unit now."""
        return state(self.shop.desk, self.unit)

    @property
    def champion(self) -> str:
        """Who serves; `fallback` where no release does."""
        return self.state().champion or FALLBACK

    def expected(self, coming: int = 0) -> dict[str, tuple[str, ...]]:
        """What each release answers and no other does; also of so many next ones."""
        known = len(self.state().releases) + coming
        return {f"{self.unit}-{number}": self.own(number) for number in range(1, known + 1)}

    def own(self, number: int) -> tuple[str, ...]:
        """The labels that the release of that number gives."""
        return tuple(f"{label}.{number}" for label in label_map(self.artifact).labels)

    def history(self) -> dict[int, str]:
        """The release of each generation, as the ledger tells it; `fallback` for none."""
        told = {0: FALLBACK}
        for event in self.shop.desk.ledger.read(self.unit):
            if event.kind == EventKind.PROMOTED:
                told[int(event.body["generation"])] = str(event.body["release"])
            elif event.kind == EventKind.ROLLED_BACK:
                to = str(event.body["to"])
                told[int(event.body["generation"])] = FALLBACK if to.startswith(FALLBACK) else to
        return told

    @classmethod
    def strangers(cls, seed: int) -> tuple[Question, ...]:
        """What is asked of somebody else's gateway."""
        return tuple(Question(text) for text in rows(400, seed)["text"])

    def questions(self, count: int = 400, seed: int = 3) -> tuple[Question, ...]:
        """What users of this world ask, in conversations of two turns."""
        texts = rows(count, seed)["text"].to_list()
        return tuple(Question(text, f"c{index // 2}", f"u{index // 4}") for index, text in enumerate(texts))

    @cached_property
    def snapshot(self) -> Snapshot:
        """The only dataset version, which the ledger lists."""
        made = _snapshot()
        register.record_dataset(self.shop.desk, DATA, made, reason=WHY)
        return made

    @property
    def dataset(self) -> Digest:
        """The digest of the only dataset version."""
        return self.snapshot.digest

    def ready(self) -> str:
        """A release whose stored decision is PROMOTE against today's champion.

        Raises:
            RefusedError: it was not decided so.
        """
        current = self.state()
        known = current.releases.items()
        back = [name for name, each in known if each.state in _CLOSED]
        if current.challenger is not None:
            release = current.challenger
        elif back:
            release = back[-1]
            reopening.reopen(self.shop.desk, self.unit, release, reason=WHY)
        else:
            release = self._register()
        self._decide(release)
        return release

    def promote_next(self) -> promotion.Promoted:
        """A promotable release is made ready, and it is champion."""
        return self.promote(self.ready())

    def promote(self, release: str) -> promotion.Promoted:
        """The release is champion."""
        return promotion.promote(self.shop.desk, self.unit, release, prove=self.shop.load, reason=WHY)

    def roll_back(self) -> rollback.RolledBack:
        """The rollback pointer serves again."""
        return rollback.roll_back(self.shop.desk, self.unit, prove=self.shop.load, reason=WHY)

    def shadow_next(self) -> str:
        """A promotable release is in shadow; gives its name."""
        release = self.ready()
        current = self.state()
        if release_of(current, release).state == State.CHALLENGER:
            told = drafts.shadow_started(self.unit, release=release, reason=WHY, actor=self.shop.desk.actor)
            append(self.shop.desk, [told], expect={self.unit: current.revision})
        return release

    def end_shadow(self) -> None:
        """No release is in shadow; the one that was is withdrawn, and `ready` reopens it."""
        current = self.state()
        if current.challenger is not None:
            actor = self.shop.desk.actor
            told = drafts.withdrawn(self.unit, release=current.challenger, reason=WHY, actor=actor)
            append(self.shop.desk, [told], expect={self.unit: current.revision})

    def _register(self) -> str:
        """Another variant is a release: the unit's first one is its bootstrap."""
        desk, number = self.shop.desk, len(self.state().models) + 1
        with self.shop.making() as scratch:
            _, fingerprint = variant(self.artifact, scratch / "variant", number)
            name = register.register_model(
                desk,
                UNIT,
                MODEL,
                folder=scratch / "variant",
                fingerprint=fingerprint,
                dataset_version=self.snapshot.name,
                dataset=self.snapshot.digest,
                training_code_sha="0" * 40,
                config={"variant": number},
                metrics={},
                reason=WHY,
            )
        version = name.partition("@")[2]
        return register.register_release(desk, UNIT, {MODEL: version}, because=Because.MANUAL, reason=WHY)

    def _decide(self, release: str) -> None:
        """The newest decision on the release is PROMOTE, on evidence against today's champion."""
        desk, current = self.shop.desk, self.state()
        subject = release_of(current, release)
        dataset = self.dataset
        if newest(desk, subject, self.shows, bind(current, subject, dataset)) is None:
            self._measure(release)
        judged = judge.judge_offline(desk, self.unit, release, dataset=dataset, reason=WHY)
        judged = judged or judge.judge(desk, self.unit, release, dataset=dataset, traffic=None, reason=WHY)
        if judged.outcome != Outcome.PROMOTE:
            raise RefusedError(
                f"the scratch world cannot go on: {release} was decided {judged.outcome}",
                found=judged.decision.against,
                next_step=f"mangaops release explain {release} --stack {self.stack} --home {self.home}",
            )

    def _measure(self, release: str) -> None:
        """Evaluation, latency and fingerprints of the release beside today's champion are on record."""
        desk, snapshot = self.shop.desk, self.snapshot
        pair = evaluate.Pair(self._baseline(), self._load(release))
        golden = snapshot.golden
        data = desk.stack.data[DATA]
        asked = evaluate.GoldenRows(
            snapshot=snapshot.digest,
            dataset_version=snapshot.name,
            rows=golden,
            nearness=nearness(golden, snapshot.train, data),
            traits=traits(golden, data, snapshot.train),
        )
        evaluate.evaluate(desk, UNIT, release, pair, asked, reason=WHY)
        latency.time_pair(
            desk,
            UNIT,
            release,
            pair,
            golden["text"].to_list(),
            dataset=snapshot.digest,
            reason=WHY,
            plan=latency.Plan(blocks=2, requests=5, warm_up=5),
        )
        checks.check_fingerprints(desk, UNIT, release, dataset=snapshot.digest, reason=WHY)

    def _baseline(self) -> Predictor:
        champion = self.state().champion
        if champion is not None:
            return self._load(champion)
        train = self.snapshot.train.select("text", "label")
        return self.shop.baseline(train, tuple(WORDS), model_spec(self.shop.desk, UNIT).actions)

    def _load(self, release: str) -> Predictor:
        return cast(Predictor, self.shop.load(permit(self.state(), release, Purpose.MEASURE)))


def write_stack(folder: Path, text: str = "") -> Path:
    """The stack file of a scratch world stands in `folder`: that of a router unless there is a `text`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "stack.yaml"
    path.write_text(text or STACK.format(labels=", ".join(WORDS)), encoding="utf-8")
    return path


def begun(world: GatewayWorld) -> GatewayWorld:
    """The world, which has a first champion."""
    if world.state().champion is None:
        world.promote_next()
    return world


def _snapshot(count: int = 120) -> Snapshot:
    """Rows of which two thirds train and one third is golden, each in a conversation of its own."""
    frame = rows(count, 1).with_row_index("index")
    is_golden = pl.col("index") % 3 == 0
    minute = pl.col("index") * timedelta(minutes=1)
    frame = frame.select(
        pl.format("r{}", pl.col("index").cast(pl.String).str.zfill(5)).alias("row_id"),
        "text",
        "label",
        conversation_id=pl.format("c{}", "index"),
        user_id=pl.format("u{}", "index"),
        at=pl.lit(FIRST, dtype=pl.Datetime("us", "UTC")) + minute,
        label_source=pl.lit("simulated-annotator"),
        annotator=pl.lit("simulated-annotator"),
        language=pl.lit("en"),
        turn=pl.lit(1, dtype=pl.Int64),
        group=pl.format("g{}", "index"),
        split=pl.when(is_golden).then(pl.lit("golden")).otherwise(pl.lit("train")),
        weight=pl.lit(1.0),
        golden=is_golden,
    )
    name = "bench-2026-04-20"
    return Snapshot(name, table_digest(frame), {"labels": list(WORDS), "name": name}, frame)
