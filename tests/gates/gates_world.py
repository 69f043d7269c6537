"""Small evidence with known numbers: what the tests of gates judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from mangaops.evidence import TABLES, Binding, Evidence
from mangaops.gates import GATES, Case, Decision, Finding, judge
from mangaops.stack import DataSpec, ModelSpec, Rule, UnitSpec
from mangaops.stack.specs import Strict
from mangaops.vocabulary import EvidenceKind, RecordPart, Side, Verdict

BINDING = Binding("router", "sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64)
TRAFFIC = "sha256:" + "d" * 64
LABELS = ("faq", "promotion", "escalation")

MODEL = ModelSpec(
    family="intent-classifier",
    base="minilm-l6",
    data="intent-data",
    critical=("escalation",),
    harm={"escalation": {"faq": 40, "*": 25}, "*": {"*": 2}},
    actions={"offer_human": ("escalation",)},
    training=Strict(),
)


def rule(gate: str, *, dry_run: bool = False, **params: Any) -> Rule:
    return Rule(gate, GATES[gate].params(**params), dry_run)


def counted(truth: str, *, both: int = 0, lost: int = 0, gained: int = 0, neither: int = 0) -> list[Any]:
    """Rows of one label: right on both sides, lost by the release, gained by it, wrong on both."""
    other = LABELS[(LABELS.index(truth) + 1) % len(LABELS)]
    return (
        [(truth, truth, truth)] * both
        + [(truth, truth, other)] * lost
        + [(truth, other, truth)] * gained
        + [(truth, other, other)] * neither
    )


def evaluation(frame: pl.DataFrame, binding: Binding = BINDING, **tables: pl.DataFrame) -> Evidence:
    facts = {"labels": list(LABELS), "dataset_version": "intent-data-2026-04-20", "golden_judgements": 1}
    return Evidence(EvidenceKind.EVALUATION, binding, facts, {"outcomes": frame, **tables})


def latency(baseline: float, release: float, *, rows: int = 1000, spread: float = 0.05) -> Evidence:
    """Times around two medians in 20 alternating blocks."""
    rng = np.random.default_rng(3)
    frames = []
    for side, median in ((Side.BASELINE, baseline), (Side.RELEASE, release)):
        ms = median * np.exp(rng.normal(0.0, spread, rows))
        block = np.arange(rows) % 20
        frames.append(pl.DataFrame({"side": [str(side)] * rows, "block": block, "ms": ms}))
    facts = {"host": {}, "runtime": "onnxruntime", "warm_up": 10}
    return Evidence(EvidenceKind.LATENCY, BINDING, facts, {"samples": pl.concat(frames)})


def searches(
    baseline: dict[str, float | None], release: dict[str, float | None], *, rows: int = 1000, seed: int = 3
) -> Evidence:
    """Whole searches in 20 alternating blocks: each step around its median, which may be none."""
    rng = np.random.default_rng(seed)
    frames = []
    for side, medians in ((Side.BASELINE, baseline), (Side.RELEASE, release)):
        steps = {
            name: [None] * rows if median is None else median * np.exp(rng.normal(0.0, 0.05, rows))
            for name, median in medians.items()
        }
        ms = sum(np.asarray(times) for times in steps.values() if times[0] is not None)
        told = {"side": [str(side)] * rows, "block": np.arange(rows) % 20, "ms": ms, **steps}
        frames.append(pl.DataFrame(told, schema_overrides=dict.fromkeys(steps, pl.Float64)))
    facts = {"host": {}, "runtime": "onnxruntime", "warm_up": 10}
    return Evidence(EvidenceKind.LATENCY, BINDING, facts, {"samples": pl.concat(frames)})


def index(recalls: list[float], *, kind: str = "lists", k: int = 50, **columns: Any) -> Evidence:
    """The recall of the index for each of so many queries."""
    count = len(recalls)
    table = {
        "query_id": [f"q{at}" for at in range(count)],
        "group": [f"group-{at}" for at in range(count)],
        "weight": [1.0] * count,
        "recall": recalls,
        **columns,
    }
    frame = pl.DataFrame(table, schema=TABLES[EvidenceKind.INDEX]["recalls"])
    facts = {"k": k, "items": 90_000, "kind": kind, "index": "sha256:i", "parameters": {}, "generation": 0}
    return Evidence(EvidenceKind.INDEX, BINDING, facts, {"recalls": frame})


def leakage(conflicts: list[tuple[str, str, str, str]] | None = None, sides: Any = Side) -> Evidence:
    schema = dict.fromkeys(("check", "side", "row_id", "training_row_id"), pl.String)
    checks = {str(side): {"conversation": 0} for side in sides}
    facts = {"checks": checks, "rows": 100, "distinctive_under": 5, "near_at": 0.8}
    table = pl.DataFrame(conflicts or [], schema=schema, orient="row")
    return Evidence(EvidenceKind.LEAKAGE, BINDING, facts, {"conflicts": table})


def fingerprint(**changed: Any) -> Evidence:
    """Both sides as sealed; `changed` are facts of the release."""
    side = {
        "model": "intent-classifier@v2",
        "expected": "f" * 64,
        "found": "f" * 64,
        "probe_gap": 0.001,
        "tolerance": 0.05,
        "loads": True,
        "why": "",
    }
    facts = {"sides": {str(Side.BASELINE): side, str(Side.RELEASE): {**side, **changed}}}
    return Evidence(EvidenceKind.FINGERPRINT, BINDING, facts)


def record(**missing: None) -> Evidence:
    parts = {str(part): f"sha256:{part}" for part in RecordPart}
    return Evidence(EvidenceKind.RECORD, BINDING, {"parts": {**parts, **missing}})


def shadow(
    agree: int, disagree: int, *, hours: float = 48.0, coverage: float = 1.0, mode: str = "replay"
) -> Evidence:
    """Requests of their own conversations; where the sides differ, baseline says faq, release promotion."""
    rows = agree + disagree
    differs = [False] * agree + [True] * disagree
    table = pl.DataFrame(
        {
            "seq": list(range(rows)),
            "request_id": [f"request-{number}" for number in range(rows)],
            "group": [f"user-{number}" for number in range(rows)],
            "text": ["text"] * rows,
            "baseline_label": ["faq"] * rows,
            "baseline_action": ["route"] * rows,
            "baseline_confidence": [0.9] * rows,
            "release_label": ["promotion" if apart else "faq" for apart in differs],
            "release_action": ["route"] * rows,
            "release_confidence": [0.9] * rows,
            "disagrees": differs,
            "control_disagrees": [False] * rows,
        }
    )
    facts = {"from": "a", "to": "b", "hours": hours, "requests": rows, "coverage": coverage, "mode": mode}
    return Evidence(EvidenceKind.SHADOW, replace(BINDING, dataset=TRAFFIC), facts, {"answers": table})


def review(
    answers: list[str | None],
    *,
    requests: int = 1000,
    planted: list[tuple[str, str]] | None = None,
    simulated: bool = False,
) -> Evidence:
    """One item an answer, each drawn for certain; `planted` are pairs of answer and known label."""
    known = [("faq", "faq")] * 20 if planted is None else planted
    rows = [(answer, False, None) for answer in answers] + [(answer, True, truth) for answer, truth in known]
    count = len(rows)
    items = pl.DataFrame(
        {
            "item_id": [f"item-{number}" for number in range(count)],
            "seq": list(range(count)),
            "group": [f"user-{number}" for number in range(count)],
            "probability": [1.0] * count,
            "baseline_label": ["faq"] * count,
            "release_label": ["promotion"] * count,
            "by_action": [False] * count,
            "answer": [row[0] for row in rows],
            "planted": [row[1] for row in rows],
            "known": [row[2] for row in rows],
        },
        schema_overrides={"answer": pl.String, "known": pl.String, "planted": pl.Boolean},
    )
    groups = pl.DataFrame({"group": [f"user-{n}" for n in range(requests)], "requests": [1] * requests})
    facts = {
        "reviewer": "people",
        "simulated": simulated,
        "requests": requests,
        "disagreements": len(answers),
        "planted_floor": 0.8,
        "shadow": "unknown",
        "seed": 7,
    }
    tables = {"items": items, "groups": groups}
    return Evidence(EvidenceKind.REVIEW, replace(BINDING, dataset=TRAFFIC), facts, tables)


def _of_one_shadow(found: dict[EvidenceKind, Evidence]) -> dict[EvidenceKind, Evidence]:
    """The evidence; a review that names no shadow is one of the shadow beside it."""
    shadow, asked = found.get(EvidenceKind.SHADOW), found.get(EvidenceKind.REVIEW)
    if shadow and asked and asked.facts["shadow"] == "unknown":
        found[EvidenceKind.REVIEW] = replace(asked, facts={**asked.facts, "shadow": shadow.digest})
    return found


def case(*evidence: Evidence, **changed: Any) -> Case:
    unit = changed.pop("unit", None) or UnitSpec(
        models=("intent-classifier",), shadow={"min_requests": 500, "min_hours": 24}
    )
    base = Case(
        binding=BINDING,
        evidence=_of_one_shadow({one.kind: one for one in evidence}),
        unit=unit,
        model=MODEL,
        data=DataSpec(),
        traffic=TRAFFIC,
        seed=5,
    )
    return replace(base, **changed)


def judged(rules: Rule | list[Rule], *evidence: Evidence, **changed: Any) -> Decision:
    listed = rules if isinstance(rules, list) else [rules]
    return judge(listed, case(*evidence, **changed))


def finding(rules: Rule | list[Rule], *evidence: Evidence, subject: str = "", **changed: Any) -> Finding:
    """The first finding of a rule judged alone, or of a list, whose subject holds `subject`."""
    found = judged(rules, *evidence, **changed).findings
    return next(each for each in found if subject in each.subject)


def verdict(one: Rule, *evidence: Evidence, subject: str = "", **changed: Any) -> Verdict:
    return finding(one, *evidence, subject=subject, **changed).verdict
