"""What is known of a unit that classifies before its weeks are simulated: of its evidence, else assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mangaops.evidence import Evidence
from mangaops.metrics import Scored
from mangaops.registry import Release, UnitState
from mangaops.release.desk import Desk, newest, state
from mangaops.release.stack_evidence import Assumptions
from mangaops.stack import DataSpec, ModelSpec, Stack, UnitSpec
from mangaops.vocabulary import FROM_LOGS, EvidenceKind, Side, State

NO_EVIDENCE: Final = "no champion of this unit has evidence in the ledger"
UNDONE: Final = frozenset({State.REJECTED, State.ROLLED_BACK})
"""How a release in such a state differed tells of what was wrong with it, not of retraining."""


def assumed(stack: Stack, unit: str, *, why: str = NO_EVIDENCE) -> Assumptions:
    """What the stack itself says about golden set and traffic, before anything was measured, and why that.

    Traffic shares are the harmonic ones of as many labels (1, 1/2, 1/3, ...), critical labels last: they
    are rare as a rule.
    """
    spec, model, data = labels_of(stack, unit)
    labels = list(data.labels) if data.labels != FROM_LOGS else [*model.critical, *"abcdefgh"]
    ordered = [*(x for x in labels if x not in model.critical), *(x for x in labels if x in model.critical)]
    weights = {label: 1.0 / (2.0 + rank) for rank, label in enumerate(ordered)}
    total = sum(weights.values())
    shares = {label: weight / total for label, weight in weights.items()}
    critical = {label: data.golden.per_critical_label for label in labels if label in model.critical}
    rest = max(len(labels), data.golden.rows - sum(critical.values()))
    common = sum(share for label, share in shares.items() if label not in critical) or 1.0
    golden = {label: critical.get(label, round(rest * shares[label] / common)) for label in labels}
    return Assumptions(
        golden={label: max(1, count) for label, count in golden.items()},
        shares=shares,
        requests=spec.shadow.min_requests,
        hours=max(spec.shadow.min_hours, 168.0),
        source=f"stack.yaml: {why}",
    )


def from_ledger(desk: Desk, unit: str) -> Assumptions:
    """What the evidence on which the champion stands says of golden set and traffic.

    Without a champion, what stack.yaml says. A champion that was never mirrored lends its traffic from the
    newest challenger that was mirrored beside it and not refused or rolled back.
    """
    current = state(desk, unit)
    if current.champion is None:
        return assumed(desk.stack, unit)
    champion = current.releases[current.champion]
    mirrored = measured_beside(current, champion, EvidenceKind.SHADOW)
    found = {
        EvidenceKind.EVALUATION: newest(desk, champion, EvidenceKind.EVALUATION),
        EvidenceKind.SHADOW: newest(desk, mirrored, EvidenceKind.SHADOW),
    }
    there = {kind: evidence for kind, evidence in found.items() if evidence is not None}
    told = observed(desk.stack, unit, there, champion=Side.RELEASE, against_champion=_of_two(current, there))
    traffic = f", traffic of {mirrored.name}" if EvidenceKind.SHADOW in there else ""
    return replace(told, source=f"evidence of {champion.name}{traffic}") if told.measured else told


def _of_two(current: UnitState, found: Mapping[EvidenceKind, Evidence]) -> bool:
    """Whether the evaluation compares two releases."""
    evaluation, known = found.get(EvidenceKind.EVALUATION), current.releases.values()
    return evaluation is not None and evaluation.binding.baseline in {each.digest for each in known}


def observed(
    stack: Stack,
    unit: str,
    evidence: Mapping[EvidenceKind, Evidence],
    *,
    champion: Side = Side.BASELINE,
    against_champion: bool = True,
) -> Assumptions:
    """What evaluation and shadow evidence say instead; `champion` is its side of the evaluation.

    How often answers differ is read from the evaluation only where it compares two releases: a plain
    baseline differs more than a challenger does.
    """
    base = assumed(stack, unit)
    evaluation, shadow = evidence.get(EvidenceKind.EVALUATION), evidence.get(EvidenceKind.SHADOW)
    if evaluation is None:
        return base
    scored = Scored.of(evaluation, labels_of(stack, unit)[1])
    counts = np.bincount(scored.truth, minlength=len(scored.labels))
    kept = [number for number in range(len(scored.labels)) if counts[number]]
    differs = float(np.average(scored.baseline != scored.release, weights=scored.weight))
    found: dict[str, Any] = {
        "golden": {scored.labels[number]: int(counts[number]) for number in kept},
        "shares": {scored.labels[number]: float(scored.shares[number]) for number in kept},
        "accuracy": float(np.average(scored.answers(champion) == scored.truth, weights=scored.weight)),
        "near": float(np.mean(evaluation.tables["outcomes"].get_column("near").to_numpy())),
        "per_group": scored.truth.size / (int(scored.groups.max()) + 1),
    } | ({"differs": differs} if against_champion else {})
    found |= traffic_of(shadow)
    return replace(base, **found, source="evidence" if found else base.source, measured=tuple(found))


def traffic_of(shadow: Evidence | None) -> dict[str, Any]:
    """What a window of mirrored requests says of traffic; nothing where there was none, or no request."""
    if shadow is None or shadow.tables["answers"].is_empty():
        return {}
    answers = shadow.tables["answers"]
    return {
        "differs": answers.filter("disagrees").height / answers.height,
        "requests": answers.height,
        "hours": float(shadow.facts["hours"]),
        "per_conversation": answers.height / answers.get_column("group").n_unique(),
    }


def measured_beside(current: UnitState, champion: Release, kind: EvidenceKind) -> Release:
    """The champion where it has such evidence, else the release that was last measured so beside it.

    One that was refused or rolled back lends nothing.
    """
    if champion.latest(kind):
        return champion
    found = [
        (ref.revision, release)
        for release in current.releases.values()
        if release.state not in UNDONE
        for ref in release.evidence
        if ref.kind == kind and ref.binding["baseline"] == champion.digest
    ]
    return max(found, key=lambda each: each[0])[1] if found else champion


def labels_of(stack: Stack, unit: str) -> tuple[UnitSpec, ModelSpec, DataSpec]:
    """The unit, its first model, and what that learns from."""
    spec = stack.units[unit]
    model = stack.models[spec.models[0]]
    return spec, model, stack.labelled(model.data)
