"""How often a gate list promotes and rejects: simulated weeks, judged by the judge that judges real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from mangaops.evidence import Evidence
from mangaops.gates import Case, reads_rankings, weigh
from mangaops.metrics import Scored
from mangaops.release.desk import Desk, Progress, newest, state
from mangaops.release.stack_evidence import BINDING, TRAFFIC, Assumptions, Challenger, evidence_of
from mangaops.stack import DataSpec, ModelSpec, Rule, Stack, UnitSpec
from mangaops.stats import clopper_pearson
from mangaops.vocabulary import FROM_LOGS, EvidenceKind, Outcome, Side, Verdict

SIMULATIONS: Final = 200
RESAMPLES: Final = 400
"""Bootstrap resamples a comparison; tests/slow/test_error_rates.py shows that 2,000 decide alike."""

_LEVEL: Final = 0.95
_NO_EVIDENCE: Final = "no champion of this unit has evidence in the ledger"


@dataclass(frozen=True)
class Share:
    """A simulated share with its 95 % interval."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> Share:
        """The share of a count (Clopper-Pearson)."""
        interval = clopper_pearson(count, total, _LEVEL)
        return cls(count / total, interval.low, interval.high)


@dataclass(frozen=True)
class GateRow:
    """How one gate judged one kind of challenger."""

    gate: str
    subject: str
    passed: Share
    failed: Share


@dataclass(frozen=True)
class ChallengerRow:
    """What the whole list did with one kind of challenger."""

    challenger: str
    gain: float
    promoted: Share
    held: Share
    rejected: Share
    gates: tuple[GateRow, ...]


@dataclass(frozen=True)
class StackReport:
    """The answer of `mangaops stack check` for one unit.

    `not_simulated`: rules on lists of a search, which no simulated week holds. They are left out of the
    list that is judged, so that a real release is promoted at most as often.
    """

    unit: str
    simulations: int
    assumptions: Assumptions
    challengers: tuple[ChallengerRow, ...]
    not_simulated: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def text(self) -> str:
        """A table that a person can read."""
        said, measured = self.assumptions.said(), self.assumptions.measured
        observed = "; ".join(said[name] for name in said if name in measured)
        rest = "; ".join(said[name] for name in said if name not in measured)
        head = [
            f"{self.unit}: {self.simulations} simulated weeks of each kind, through the real judge",
            f"OBSERVED ({self.assumptions.source}): {observed}"
            if observed
            else f"OBSERVED: nothing, all is from {self.assumptions.source}; so this is not your traffic",
            f"ASSUMED, not measured: {rest}",
            *self._left_out(),
            "",
            f"{'challenger':<28}{'promoted':>22}{'held':>22}{'rejected':>22}",
        ]
        body = [
            f"{row.challenger:<28}{_cell(row.promoted):>22}{_cell(row.held):>22}{_cell(row.rejected):>22}"
            for row in self.challengers
        ]
        return "\n".join([*head, *body, "", *self._by_gate()])

    def _left_out(self) -> list[str]:
        if not self.not_simulated:
            return []
        rules = ", ".join(self.not_simulated)
        return [
            f"NOT SIMULATED, for no search is: {rules}; a real release is promoted at most as often as here"
        ]

    def _by_gate(self) -> list[str]:
        names = [f"{row.challenger:>24}" for row in self.challengers]
        lines = [f"{'passes, by gate (fails)':<52}" + "".join(names)]
        for at, gate in enumerate(self.challengers[0].gates):
            cells = [row.gates[at] for row in self.challengers]
            shown = "".join(f"{f'{c.passed.share:.0%} ({c.failed.share:.1%})':>24}" for c in cells)
            lines.append(f"{f'{gate.gate}: {gate.subject}'[:51]:<52}{shown}")
        return lines


def _cell(share: Share) -> str:
    return f"{share.share:.1%} ({share.low:.1%}-{share.high:.1%})"


def assumed(stack: Stack, unit: str, *, why: str = _NO_EVIDENCE) -> Assumptions:
    """What the stack itself says about golden set and traffic, before anything was measured, and why that.

    Traffic shares are the harmonic ones of as many labels (1, 1/2, 1/3, ...), critical labels last: they
    are rare as a rule.
    """
    spec, model, data = _specs(stack, unit)
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
    newest challenger that was mirrored beside it.
    """
    current = state(desk, unit)
    if current.champion is None:
        return assumed(desk.stack, unit)
    champion = current.releases[current.champion]
    shadows = [
        (ref.revision, release)
        for release in current.releases.values()
        for ref in release.evidence
        if ref.kind == EvidenceKind.SHADOW and ref.binding["baseline"] == champion.digest
    ]
    beside = max(shadows, key=lambda each: each[0])[1] if shadows else champion
    mirrored = champion if champion.latest(EvidenceKind.SHADOW) else beside
    found = {
        EvidenceKind.EVALUATION: newest(desk, champion, EvidenceKind.EVALUATION),
        EvidenceKind.SHADOW: newest(desk, mirrored, EvidenceKind.SHADOW),
    }
    there = {kind: evidence for kind, evidence in found.items() if evidence is not None}
    first = champion.bootstrap
    told = observed(desk.stack, unit, there, champion=Side.RELEASE, against_champion=not first)
    traffic = f", traffic of {mirrored.name}" if EvidenceKind.SHADOW in there else ""
    return replace(told, source=f"evidence of {champion.name}{traffic}") if told.measured else told


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
    scored = Scored.of(evaluation, _specs(stack, unit)[1])
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
    if shadow is not None and shadow.tables["answers"].height:
        answers = shadow.tables["answers"]
        found |= {
            "differs": answers.filter("disagrees").height / answers.height,
            "requests": answers.height,
            "hours": float(shadow.facts["hours"]),
            "per_conversation": answers.height / answers.get_column("group").n_unique(),
        }
    return replace(base, **found, source="evidence" if found else base.source, measured=tuple(found))


def stack_check(
    stack: Stack,
    unit: str,
    assumptions: Assumptions,
    *,
    rng: np.random.Generator,
    simulations: int = SIMULATIONS,
    progress: Progress = None,
) -> StackReport:
    """How often each gate, and the whole list, promotes and rejects three kinds of challenger.

    An equal one, one that is worse by exactly the margin of the first accuracy rule, and one that is a
    point better. Every simulated week is judged by what `gates.judge` judges with.
    """
    spec, model, data = _specs(stack, unit)
    kinds = (
        Challenger("equal", 0.0),
        Challenger(f"worse by {100 * _margin(spec):g} points", -_margin(spec)),
        Challenger("better by 1 point", 0.01),
    )
    rows = []
    for number, kind in enumerate(kinds):
        said = None
        if progress is not None:
            said = _from(progress, number * simulations, len(kinds) * simulations)
        rows.append(
            simulate(spec, model, data, assumptions, kind, rng=rng, simulations=simulations, progress=said)
        )
    left_out = tuple(f"{rule.gate} ({_measured(rule)})" for rule in spec.gates if reads_rankings(rule))
    return StackReport(unit, simulations, assumptions, tuple(rows), left_out)


def _measured(rule: Rule) -> str:
    params = rule.params.model_dump()
    return f"{params['metric']} on {params['on']}"


def simulate(
    spec: UnitSpec,
    model: ModelSpec,
    data: DataSpec,
    assumptions: Assumptions,
    challenger: Challenger,
    *,
    rng: np.random.Generator,
    simulations: int,
    progress: Progress = None,
) -> ChallengerRow:
    """What the unit's gate list did with one kind of challenger in so many weeks, rules on lists aside."""
    outcomes: Counter[Outcome] = Counter()
    verdicts: Counter[tuple[str, str, Verdict]] = Counter()
    subjects: dict[tuple[str, str], None] = {}
    rules = [rule for rule in spec.gates if not reads_rankings(rule)]
    for week in range(simulations):
        if progress is not None and week % 5 == 0:
            progress(f"simulating {challenger.name}", week, simulations)
        case = a_week(spec, model, data, assumptions, challenger, rng=rng)
        outcome, findings = weigh(rules, case)
        outcomes[outcome] += 1
        for finding in findings:
            subjects[finding.gate, finding.subject] = None
            verdicts[finding.gate, finding.subject, finding.verdict] += 1
    return ChallengerRow(
        challenger=challenger.name,
        gain=challenger.gain,
        promoted=Share.of(outcomes[Outcome.PROMOTE], simulations),
        held=Share.of(outcomes[Outcome.HOLD], simulations),
        rejected=Share.of(outcomes[Outcome.REJECT], simulations),
        gates=tuple(
            GateRow(
                *subject,
                passed=Share.of(verdicts[(*subject, Verdict.PASS)], simulations),
                failed=Share.of(verdicts[(*subject, Verdict.FAIL)], simulations),
            )
            for subject in subjects
        ),
    )


def a_week(
    spec: UnitSpec,
    model: ModelSpec,
    data: DataSpec,
    assumptions: Assumptions,
    challenger: Challenger,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Case:
    """One simulated week before the judge."""
    evidence = evidence_of(assumptions, challenger, budget=spec.review.budget, limits=_limits(spec), rng=rng)
    return Case(
        binding=BINDING,
        evidence=evidence,
        unit=spec,
        model=model.model_copy(update={"critical_examples": None}),
        data=data,
        traffic=TRAFFIC,
        seed=int(rng.integers(2**31)),
        simulated=True,
        resamples=resamples,
        verdicts_only=True,
    )


def _specs(stack: Stack, unit: str) -> tuple[UnitSpec, ModelSpec, DataSpec]:
    spec = stack.units[unit]
    model = stack.models[spec.models[0]]
    return spec, model, stack.labelled(model.data)


def _margin(spec: UnitSpec) -> float:
    """The margin of the first accuracy rule on golden rows; a point where there is none."""
    params = [rule.params.model_dump() for rule in spec.gates]
    margins = [p["margin"] for p in params if p.get("metric") == "accuracy" and p.get("on") == "golden"]
    return float(margins[0]) if margins else 0.01


def _limits(spec: UnitSpec) -> tuple[float, float]:
    params = [rule.params.model_dump() for rule in spec.gates if rule.gate == "latency"]
    return (params[0]["quantile"], params[0]["below_ms"]) if params else (0.95, 15.0)


def _from(progress: Progress, start: int, total: int) -> Progress:
    """The same progress, shifted into a larger task."""

    def said(what: str, done: int, _of: int) -> None:
        if progress is not None:
            progress(what, start + done, total)

    return said
