"""A desk with real stores, a small stack, rigged predictors, and the steps of a release in a line each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from mangaops.datasets import Snapshot
from mangaops.evidence.envelope import table_digest
from mangaops.gates import GATES
from mangaops.inference import Answer
from mangaops.inference.manifest import seal, verify
from mangaops.metrics import METRICS
from mangaops.registry import Permit
from mangaops.release import checks, evaluate, judge, latency, register, review, shadow
from mangaops.release.desk import Desk, state
from mangaops.release.standing import Prove
from mangaops.stack import parse
from mangaops.store import Artifacts, Documents, EvidenceStore, Gateways, Ledger, Snapshots
from mangaops.training import PARAMETERS
from mangaops.vocabulary import Action, Because, Digest, Side

LABELS = ("order_tracking", "promotion", "escalation", "faq")
WHY = "weekly release"

STACK = """
stack: manga-test
simulated: {simulated}
data:
  intent-data:
    labels: [order_tracking, promotion, escalation, faq]
    golden: {{rows: 600, per_critical_label: 20}}
    minimum_critical: 10
models:
  intent-classifier:
    family: intent-classifier
    base: minilm-l6
    data: intent-data
    critical: [escalation]
    rare_under: 0.3
    harm: {{escalation: {{"*": 25}}, "*": {{"*": 2}}}}
    actions: {{clarify_below: 0.2, offer_human: [escalation]}}
    training: {{}}
units:
  router:
    models: [intent-classifier]
    fallback: offer_human
    cadence: {{cron: "0 3 * * 5", timezone: Asia/Tokyo}}
    shadow: {{share: 1.0, min_requests: 100, min_hours: 1}}
    review: {{budget: 60, planted: 5, floor: 0.8}}
    bootstrap:
      - {{gate: release_record}}
      - {{gate: at_least, metric: accuracy, value: 0.5}}
    gates:
{gates}
"""

GATE_LIST = """
      - {gate: release_record}
      - {gate: leakage}
      - {gate: non_inferior, metric: accuracy, on: golden, margin: 0.02}
      - {gate: no_critical_regression, metric: recall, labels: [escalation], margin: 0.05, min_examples: 20}
      - {gate: latency, quantile: 0.95, below_ms: 1000}
      - {gate: disagreement, review_over: 0.02}
      - {gate: non_inferior, metric: accuracy, on: shadow_review, margin: 0.05}
"""


def stack(gates: str = GATE_LIST, *, simulated: bool = True):
    """The test stack, parsed by the real parser with the real tables of words."""
    text = STACK.format(gates=gates.strip("\n"), simulated=str(simulated).lower())
    known = {name: gate.params for name, gate in GATES.items()}
    return parse(text, gates=known, metrics=METRICS, families=PARAMETERS)


def ticking(start: datetime = datetime(2026, 4, 20, tzinfo=UTC)) -> Callable[[], datetime]:
    """A clock that is one second later at every look."""
    moments: Iterator[datetime] = (start + timedelta(seconds=n) for n in range(10**9))
    return lambda: next(moments)


def make_desk(
    folder: Path,
    gates: str = GATE_LIST,
    *,
    simulated: bool = True,
    actor: str = "mei",
    url: str | None = None,
) -> Desk:
    """A desk whose stores lie in `folder`; its ledger may lie elsewhere."""
    ledger = Ledger(url or f"sqlite:///{folder}/ledger.db")
    return Desk(
        stack=stack(gates, simulated=simulated),
        ledger=ledger,
        gateways=Gateways(ledger),
        artifacts=Artifacts(folder / "artifacts"),
        evidence=EvidenceStore(folder / "evidence"),
        snapshots=Snapshots(folder / "snapshots"),
        documents=Documents(folder / "documents"),
        clock=ticking(),
        actor=actor,
    )


def share_of(text: str, salt: str) -> float:
    """A number in [0, 1) that belongs to the text."""
    return int.from_bytes(hashlib.sha256(f"{salt}{text}".encode()).digest()[:8], "big") / 2**64


@dataclass
class Rigged:
    """Answers the label that its text begins with; errs on `error` of the texts, the same ones each time."""

    name: str
    error: float = 0.0
    salt: str = "shared"
    only: str | None = None
    labels: tuple[str, ...] = LABELS
    fixed: Mapping[str, str] = field(default_factory=dict)

    def answer(self, text: str) -> Answer:
        truth = text.split(" ", 1)[0]
        label = truth if truth in LABELS else LABELS[0]
        if share_of(text, self.salt) < self.error and self.only in (None, label):
            label = LABELS[(LABELS.index(label) + 1) % len(LABELS)]
        label = self.fixed.get(text, label)
        return Answer(label, 0.9, Action.OFFER_HUMAN if label == "escalation" else Action.ROUTE)


def text_of(index: int, prefix: str) -> str:
    noise = hashlib.sha256(f"{prefix}{index}".encode()).hexdigest()
    return " ".join([LABELS[index % len(LABELS)], *(noise[at : at + 5] for at in range(0, 35, 5))])


def make_snapshot(rows: int = 1200, *, name: str = "intent-data-2026-04-20", leak: int = 0) -> Snapshot:
    """A dataset version; `leak` training rows share user and text with golden rows."""
    golden_from = rows // 2
    frame = pl.DataFrame(
        {
            "row_id": [f"r{index:05}" for index in range(rows)],
            "text": [text_of(index, name[-5:]) for index in range(rows)],
            "label": [LABELS[index % len(LABELS)] for index in range(rows)],
            "conversation_id": [f"c{index}" for index in range(rows)],
            "user_id": [f"u{golden_from + index if index < leak else index}" for index in range(rows)],
            "at": [datetime(2026, 4, 1, tzinfo=UTC) + timedelta(minutes=index) for index in range(rows)],
            "label_source": ["people"] * rows,
            "annotator": ["a"] * rows,
            "language": ["en" if index % 5 else "ja" for index in range(rows)],
            "turn": [1 + index % 3 for index in range(rows)],
            "group": [f"g{golden_from + index if index < leak else index}" for index in range(rows)],
            "split": ["train" if index < golden_from else "golden" for index in range(rows)],
            "weight": [1.0] * rows,
            "golden": [index >= golden_from for index in range(rows)],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "turn": pl.Int64},
    )
    return Snapshot(name, table_digest(frame), {"labels": list(LABELS), "name": name}, frame)


def golden_rows(snapshot: Snapshot, critical: pl.DataFrame | None = None) -> evaluate.GoldenRows:
    rows = snapshot.golden
    return evaluate.GoldenRows(
        snapshot=snapshot.digest,
        dataset_version=snapshot.name,
        rows=rows,
        nearness=rows.select("row_id", seen=pl.lit(False), near=pl.col("turn") == 3),
        traits=rows.select(
            "row_id",
            "language",
            "turn",
            words=pl.col("text").str.split(" ").list.len().cast(pl.Int64),
            jargon=pl.col("text").str.contains("7"),
            new_user=pl.lit(None, dtype=pl.Boolean),
        ),
        critical=critical,
    )


def make_traffic(requests: int = 400) -> shadow.Traffic:
    return shadow.Traffic(
        pl.DataFrame(
            {
                "row_id": [f"q{index:05}" for index in range(requests)],
                "group": [f"t{index // 2}" for index in range(requests)],
                "text": [text_of(index, "traffic") for index in range(requests)],
                "at": [
                    datetime(2026, 4, 18, tzinfo=UTC) + timedelta(minutes=index) for index in range(requests)
                ],
            },
            schema_overrides={"at": pl.Datetime("us", "UTC")},
        )
    )


def truth_of(traffic: shadow.Traffic) -> dict[str, str]:
    return {row["row_id"]: row["text"].split(" ", 1)[0] for row in traffic.rows.iter_rows(named=True)}


def sealed_folder(folder: Path, content: str) -> Path:
    """A sealed folder whose files are no model: for what only stores and ledger see."""
    folder.mkdir(parents=True)
    for name in ("model.onnx", "tokenizer.json", "training_config.yaml", "labels.json"):
        (folder / name).write_text(f"{name} {content}")
    seal(folder)
    return folder


def prove_by_seal(desk: Desk) -> Prove:
    """Loads as little as can be: the stored folders verify and are the permitted ones."""

    def prove(permits: Mapping[str, Permit]) -> object:
        folders = {name: desk.artifacts.open(each.artifact) for name, each in permits.items()}
        assert {name: verify(folder) for name, folder in folders.items()} == {
            name: each.artifact for name, each in permits.items()
        }
        return folders

    return prove


@dataclass
class World:
    """A desk and what the steps of a run have in common."""

    desk: Desk
    folder: Path
    snapshot: Snapshot
    traffic: shadow.Traffic = field(default_factory=make_traffic)
    made: int = 0

    def candidate(self, *, folder: Path | None = None, fingerprint: str = "sha256:" + "f" * 64) -> str:
        """A new sealed model version as the unit's newest release."""
        self.made += 1
        folder = folder or sealed_folder(self.folder / f"sealed-{self.made}", str(self.made))
        register.record_dataset(self.desk, "intent-data", self.snapshot, reason=WHY)
        version = register.register_model(
            self.desk,
            "router",
            "intent-classifier",
            folder=folder,
            fingerprint=fingerprint,
            dataset_version=self.snapshot.name,
            dataset=self.snapshot.digest,
            training_code_sha="0" * 40,
            config={"epochs": 3},
            metrics={},
            reason=WHY,
        )
        return register.register_release(
            self.desk,
            "router",
            {"intent-classifier": version.split("@")[1]},
            because=Because.SCHEDULE,
            reason=WHY,
        )

    def measure_offline(
        self, release: str, pair: evaluate.Pair, critical: pl.DataFrame | None = None
    ) -> None:
        golden = golden_rows(self.snapshot, critical)
        training = {Side.BASELINE: self.snapshot, Side.RELEASE: self.snapshot}
        texts = self.snapshot.golden["text"].to_list()
        plan = latency.Plan(blocks=4, requests=25, warm_up=5)
        checks.check_leakage(self.desk, "router", release, self.snapshot, training, reason=WHY)
        evaluate.evaluate(self.desk, "router", release, pair, golden, reason=WHY)
        latency.time_pair(
            self.desk, "router", release, pair, texts, dataset=self.dataset, reason=WHY, plan=plan
        )

    @property
    def dataset(self) -> Digest:
        return self.snapshot.digest

    def shadowed(self, release: str, pair: evaluate.Pair) -> str | None:
        """Replayed, and reviewed by hidden labels; the review's name."""
        seen = shadow.replay(self.desk, "router", release, pair, self.traffic, reason=WHY)
        if not seen.facts["disagreements"]:
            return None
        name = review.open_review(self.desk, "router", release, seed=1, reason=WHY)
        if review.find(state(self.desk, "router"), name)[1].answer is None:
            review.answer_by_truth(self.desk, "router", name, truth_of(self.traffic), reason=WHY)
        return name

    def judged(self, release: str, *, traffic: bool = True) -> judge.Judged:
        checks.record_parts(self.desk, "router", release, dataset=self.dataset, reason=WHY)
        window = self.traffic.digest if traffic else None
        return judge.judge(self.desk, "router", release, dataset=self.dataset, traffic=window, reason=WHY)

    def act(self, release: str, judged: judge.Judged) -> judge.Acted:
        prove = prove_by_seal(self.desk)
        return judge.act(self.desk, "router", release, judged, prove=prove, reason=WHY)

    def bootstrapped(self) -> str:
        """The first champion."""
        pair = evaluate.Pair(Rigged("plain baseline", 0.4, "plain"), Rigged("v1", 0.1))
        release = self.candidate()
        self.measure_offline(release, pair)
        judge.judge_offline(self.desk, "router", release, dataset=self.dataset, reason=WHY)
        self.act(release, self.judged(release, traffic=False))
        return release

    def run(self, ours: Rigged, theirs: Rigged | None = None) -> tuple[str, judge.Acted]:
        """One whole weekly release, from candidate to what was done with it."""
        pair = evaluate.Pair(theirs or Rigged("champion", 0.1), ours)
        release = self.candidate()
        self.measure_offline(release, pair)
        refused = judge.judge_offline(self.desk, "router", release, dataset=self.dataset, reason=WHY)
        if refused is not None:
            return release, self.act(release, refused)
        self.shadowed(release, pair)
        return release, self.act(release, self.judged(release))

    def with_actor(self, actor: str) -> World:
        return replace(self, desk=replace(self.desk, actor=actor))


def make_world(
    folder: Path, gates: str = GATE_LIST, *, simulated: bool = True, url: str | None = None
) -> World:
    return World(make_desk(folder, gates, simulated=simulated, url=url), folder, make_snapshot())
