"""Evidence of a challenger that is as good as one says: the raw material of `mangaops stack check`.

Two sides answer the same rows. Which of them is right is drawn for each row, with the shares that make the
challenger exactly `gain` better in accuracy; rows of one group may share their luck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Binding, Evidence
from mangaops.vocabulary import NEITHER, Action, EvidenceKind, RecordPart, Side

Codes = NDArray[np.int64]

BINDING = Binding("simulated", "sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha256:" + "3" * 64)
TRAFFIC = "sha256:" + "4" * 64
BLOCKS, REQUESTS_A_BLOCK = 20, 50


@dataclass(frozen=True)
class Assumptions:
    """What a unit's golden set, traffic and champion are taken to be.

    `golden` counts rows by label and `shares` is the traffic mix. `accuracy` is the champion's; `differs`
    the share of requests that the two sides answer differently. `per_group` and `per_conversation` are mean
    rows a group on golden rows and traffic; `alike` the share of groups whose rows share their luck.
    `latency_share` is both sides' quantile as a share of the latency limit. `measured` names the fields that
    evidence gave, and `source` says which; every other field is assumed.
    """

    golden: Mapping[str, int]
    shares: Mapping[str, float]
    accuracy: float = 0.92
    differs: float = 0.06
    requests: int = 5000
    hours: float = 168.0
    per_group: float = 1.5
    per_conversation: float = 3.0
    alike: float = 0.2
    near: float = 0.05
    latency_share: float = 0.6
    source: str = "stack.yaml"
    measured: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: the simulated weeks tell what golden rows cannot."""
        return ()

    def said(self) -> dict[str, str]:
        """Each figure in words, by field."""
        return {
            "golden": f"{sum(self.golden.values()):,} golden rows of {len(self.golden)} labels",
            "shares": "the traffic mix",
            "accuracy": f"champion accuracy {self.accuracy:.1%}",
            "differs": f"{self.differs:.1%} answered differently",
            "requests": f"{self.requests:,} mirrored requests",
            "hours": f"a window of {self.hours:,.0f} hours",
            "per_group": f"{self.per_group:.2f} golden rows a group",
            "per_conversation": f"{self.per_conversation:.2f} requests a conversation",
            "alike": f"{self.alike:.0%} of groups share their luck",
            "near": f"{self.near:.1%} of golden rows near a training text",
            "latency_share": f"latency at {self.latency_share:.0%} of its limit",
        }


@dataclass(frozen=True)
class Challenger:
    """How the challenger stands to the champion: `gain` in accuracy, over all labels alike."""

    name: str
    gain: float


def evidence_of(
    assumed: Assumptions,
    challenger: Challenger,
    *,
    budget: int,
    limits: tuple[float, float],
    rng: np.random.Generator,
) -> dict[EvidenceKind, Evidence]:
    """One week's evidence of every kind. `limits` is the latency gate's quantile and milliseconds."""
    traffic = Binding(BINDING.unit, BINDING.release, BINDING.baseline, TRAFFIC)
    shadow, review = _live(assumed, challenger, budget, traffic, rng)
    found = (
        _evaluation(assumed, challenger, rng),
        latency(assumed.latency_share, limits, rng),
        *sound(sum(assumed.golden.values())),
        shadow,
        review,
    )
    return {evidence.kind: evidence for evidence in found}


def _evaluation(assumed: Assumptions, challenger: Challenger, rng: np.random.Generator) -> Evidence:
    labels = list(assumed.golden)
    counts = np.array([assumed.golden[label] for label in labels])
    truth = rng.permutation(np.repeat(np.arange(len(labels)), counts))
    mix = np.array([assumed.shares[label] for label in labels])
    weight = (mix / np.maximum(counts / counts.sum(), 1e-12))[truth]
    groups = groups_of(truth.size, assumed.per_group, rng)
    baseline, release = _answers(truth, groups, mix, assumed, challenger, rng)
    names = pl.Series(labels, dtype=pl.String)
    rows = truth.size
    outcomes = pl.DataFrame(
        {
            "row_id": _names(np.arange(rows)),
            "group": _names(groups),
            "text": _same("simulated", rows),
            "truth": names.gather(truth),
            "weight": weight / weight.mean(),
            "baseline_label": names.gather(baseline),
            "release_label": names.gather(release),
            "baseline_confidence": np.full(rows, assumed.accuracy),
            "release_confidence": np.full(rows, assumed.accuracy),
            "seen": np.zeros(rows, dtype=bool),
            "near": rng.random(rows) < assumed.near,
            "language": _same("en", rows),
            "turn": np.ones(rows, dtype=np.int64),
            "words": np.full(rows, 6, dtype=np.int64),
            "jargon": np.zeros(rows, dtype=bool),
            "new_user": np.zeros(rows, dtype=bool),
        }
    )
    facts = {"labels": labels, "dataset_version": "simulated", "golden_judgements": 1}
    return Evidence(EvidenceKind.EVALUATION, BINDING, facts, {"outcomes": outcomes})


def _names(numbers: Codes) -> pl.Series:
    return pl.Series(numbers).cast(pl.String)


def _same(word: str, rows: int) -> pl.Series:
    return pl.repeat(word, rows, eager=True)


def groups_of(rows: int, mean: float, rng: np.random.Generator) -> Codes:
    """A group for each row; sizes are geometric with this mean, 1 gives every row its own."""
    begins = rng.random(rows) < 1.0 / max(1.0, mean)
    return np.cumsum(begins).astype(np.int64)


def _answers(
    truth: Codes,
    groups: Codes,
    mix: NDArray[np.float64],
    assumed: Assumptions,
    challenger: Challenger,
    rng: np.random.Generator,
) -> tuple[Codes, Codes]:
    """Both sides' answers. Of the rows that differ, one in eight is wrong on both sides, differently."""
    neither = assumed.differs / 8.0
    tilt = assumed.differs - neither
    gained, lost = (tilt + challenger.gain) / 2.0, (tilt - challenger.gain) / 2.0
    if min(gained, lost) < 0 or assumed.accuracy < lost or 1.0 - assumed.accuracy < gained + neither:
        gained, lost = max(challenger.gain, 0.0) + tilt / 4.0, max(-challenger.gain, 0.0) + tilt / 4.0
    luck = shared_luck(groups, assumed.alike, rng)
    edges = np.cumsum([assumed.accuracy - lost, lost, gained, neither])
    state = np.searchsorted(
        edges, luck, side="right"
    )  # both right, lost, gained, both wrong apart, both wrong
    first, second = _wrong(truth, mix, rng), _wrong(truth, mix, rng)
    same = (second == first) & (state == 3)
    second[same] = _another(truth[same], first[same], mix.size)
    baseline = np.where(state <= 1, truth, first)
    release = np.where((state == 0) | (state == 2), truth, np.where(state == 3, second, first))
    return baseline, release


def shared_luck(groups: Codes, alike: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A uniform number a row; in a share `alike` of groups all rows have the same one."""
    count = int(groups.max(initial=0)) + 1
    own, shared = rng.random(groups.size), rng.random(count)
    return np.where((rng.random(count) < alike)[groups], shared[groups], own)


def _wrong(truth: Codes, mix: NDArray[np.float64], rng: np.random.Generator) -> Codes:
    """A wrong answer a row: another label, drawn by its share of traffic."""
    if mix.size < 2:
        return truth.copy()
    drawn = rng.choice(mix.size, size=truth.size, p=mix / mix.sum())
    while (hit := np.flatnonzero(drawn == truth)).size:
        drawn[hit] = rng.choice(mix.size, size=hit.size, p=mix / mix.sum())
        if mix[truth[hit]].min() >= mix.sum() * 0.999:
            drawn[hit] = (truth[hit] + 1) % mix.size
    return drawn.astype(np.int64)


def _another(truth: Codes, taken: Codes, labels: int) -> Codes:
    """A label that is neither; where there are but two labels, the one that is taken."""
    found = (np.maximum(truth, taken) + 1) % labels
    clash = (found == truth) | (found == taken)
    found[clash] = (found[clash] + 1) % labels
    clash = (found == truth) | (found == taken)
    found[clash] = np.where(labels > 2, (found[clash] + 1) % labels, taken[clash])
    return found


def _live(
    assumed: Assumptions, challenger: Challenger, budget: int, bound: Binding, rng: np.random.Generator
) -> tuple[Evidence, Evidence]:
    """A window of traffic answered by both sides, and a review of a sample of its disagreements."""
    labels = np.array(list(assumed.shares))
    mix = np.array(list(assumed.shares.values()))
    truth = rng.choice(mix.size, size=assumed.requests, p=mix / mix.sum()).astype(np.int64)
    groups = groups_of(truth.size, assumed.per_conversation, rng)
    baseline, release = _answers(truth, groups, mix, assumed, challenger, rng)
    answers = answer_table(labels, groups, baseline, release)
    right = np.where((truth == baseline) | (truth == release), labels[truth], NEITHER)
    return reviewed(answers, right, hours=assumed.hours, budget=budget, bound=bound, rng=rng)


def reviewed(
    answers: pl.DataFrame,
    right: NDArray[Any],
    *,
    hours: float,
    budget: int,
    bound: Binding,
    rng: np.random.Generator,
    lists: bool = False,
) -> tuple[Evidence, Evidence]:
    """A window of answered requests, and a review of a sample of those that disagree.

    `right` is what people say of each request: an answer of a side, or `neither`. `lists`: answers are lists.
    """
    shadow = Evidence(
        EvidenceKind.SHADOW,
        bound,
        {
            "from": "simulated",
            "to": "simulated",
            "hours": hours,
            "requests": answers.height,
            "coverage": 1.0,
            "mode": "simulated",
            **({"lists": {}} if lists else {}),
        },
        {"answers": answers},
    )
    apart = np.flatnonzero(answers.get_column("disagrees").to_numpy())
    asked = np.sort(rng.choice(apart, size=min(budget, apart.size), replace=False))
    items = _items(answers[asked.tolist()], right[asked], asked.size / max(1, apart.size))
    facts = {
        "reviewer": "simulated",
        "simulated": True,
        "requests": answers.height,
        "disagreements": int(apart.size),
        "planted_floor": 0.0,
        "shadow": shadow.digest,
        "seed": 0,
    }
    sizes = answers.group_by("group", maintain_order=True).agg(requests=pl.len().cast(pl.Int64))
    return shadow, Evidence(EvidenceKind.REVIEW, bound, facts, {"items": items, "groups": sizes})


def answer_table(labels: NDArray[Any], groups: Codes, baseline: Codes, release: Codes) -> pl.DataFrame:
    """Answers of both sides beside each other, each a number in `labels`, all routed."""
    rows, names = groups.size, pl.Series(labels.tolist(), dtype=pl.String)
    return pl.DataFrame(
        {
            "seq": np.arange(rows),
            "request_id": _names(np.arange(rows)),
            "group": _names(groups),
            "text": _same("simulated", rows),
            "baseline_label": names.gather(baseline),
            "baseline_action": _same(str(Action.ROUTE), rows),
            "baseline_confidence": np.ones(rows),
            "release_label": names.gather(release),
            "release_action": _same(str(Action.ROUTE), rows),
            "release_confidence": np.ones(rows),
            "disagrees": baseline != release,
            "control_disagrees": np.zeros(rows, dtype=bool),
        }
    )


def _items(asked: pl.DataFrame, right: NDArray[Any], chance: float) -> pl.DataFrame:
    """The asked items with their true labels, and one planted item, rightly answered."""
    items = asked.select(
        pl.col("request_id").alias("item_id"),
        "seq",
        "group",
        pl.lit(chance).alias("probability"),
        "baseline_label",
        "release_label",
        pl.lit(False).alias("by_action"),
        pl.Series("answer", right.tolist(), dtype=pl.String),
        pl.lit(False).alias("planted"),
        pl.lit(None, dtype=pl.String).alias("known"),
    )
    planted = items.head(1).with_columns(planted=pl.lit(True), known=pl.col("answer"))
    return pl.concat([items, planted])


def latency(share: float, limits: tuple[float, float], rng: np.random.Generator) -> Evidence:
    """Log-normal times of both sides, whose quantile is this share of the limit."""
    from statistics import NormalDist

    quantile, limit = limits
    spread = 0.25
    centre = np.log(limit * share) - spread * NormalDist().inv_cdf(quantile)
    frames = []
    for side in Side:
        drift = rng.normal(0.0, 0.03, BLOCKS).repeat(REQUESTS_A_BLOCK)
        ms = np.exp(rng.normal(centre, spread, drift.size) + drift)
        block = np.arange(BLOCKS).repeat(REQUESTS_A_BLOCK)
        frames.append(pl.DataFrame({"side": [str(side)] * ms.size, "block": block, "ms": ms}))
    facts = {"host": {}, "runtime": "simulated", "warm_up": 0}
    return Evidence(EvidenceKind.LATENCY, BINDING, facts, {"samples": pl.concat(frames)})


def sound(rows: int) -> tuple[Evidence, ...]:
    """Record, leakage and fingerprint of a release with which nothing is wrong."""
    checks: dict[str, dict[str, int]] = {str(side): {} for side in Side}
    whole = {
        "expected": "same",
        "found": "same",
        "probe_gap": 0.0,
        "tolerance": 1.0,
        "loads": True,
        "why": "",
        "model": "simulated",
    }
    none = pl.DataFrame(schema=dict.fromkeys(("check", "side", "row_id", "training_row_id"), pl.String))
    leakage = {"checks": checks, "rows": rows, "distinctive_under": 5, "near_at": 0.8}
    return (
        Evidence(EvidenceKind.RECORD, BINDING, {"parts": {str(part): "there" for part in RecordPart}}),
        Evidence(EvidenceKind.LEAKAGE, BINDING, leakage, {"conflicts": none}),
        Evidence(EvidenceKind.FINGERPRINT, BINDING, {"sides": {str(side): whole for side in Side}}),
    )
