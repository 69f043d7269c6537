"""All that is known of one release, gathered once for reports, error reviews and explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from mangaops.evidence import Evidence
from mangaops.gates import Decision
from mangaops.metrics import Ranked, Scored, summary
from mangaops.registry import DecisionRef, ModelRecord, Release, UnitState, untrained
from mangaops.release.bootstrap import rules_for
from mangaops.release.desk import Desk, bind, model_spec, release_of, state, unit_spec
from mangaops.release.figures import Row, row
from mangaops.release.list_figures import (
    QUALITY,
    Changes,
    Measured,
    Policies,
    Square,
    changes,
    measured,
    policies,
    policies_of,
    square,
)
from mangaops.release.slices import Slice, slices
from mangaops.release.standing import read_decision
from mangaops.stack import ModelSpec, UnitSpec
from mangaops.stats import bernoulli_sequence
from mangaops.vocabulary import EvidenceKind, Outcome, RecordPart, Stage, Verdict

PLAIN_BASELINE = "the plain baseline"
MOST_SHOWN = 12
"""Labels that the table of disagreements shows."""


@dataclass(frozen=True)
class Dossier:
    """One release: its place in the ledger, its newest decision, and the evidence that was judged.

    Without a decision the newest evidence of each kind is shown. `champion` is the release that it was
    compared with, None where the plain baseline stood in its place. `rules` are those that judged it, or
    would today.
    """

    stack: str
    simulated: bool
    unit: UnitState
    subject: Release
    spec: UnitSpec
    model: ModelSpec
    champion: str | None
    evidence: Mapping[EvidenceKind, Evidence]
    decision: Decision | None
    decided: DecisionRef | None
    rules: tuple[Mapping[str, Any], ...]
    data_heads: Mapping[str, tuple[int, str]]

    @property
    def baseline(self) -> str:
        """What it was compared with, in words."""
        return self.champion or PLAIN_BASELINE

    @property
    def outcome(self) -> Outcome | None:
        """The newest decision in a word, None where the release was not judged."""
        return self.decision.outcome if self.decision else None

    @cached_property
    def rows(self) -> list[Row]:
        """The decision table: the worst verdicts first, otherwise in the order of the gate list."""
        findings = self.decision.findings if self.decision else ()
        return [row(each) for each in sorted(findings, key=lambda each: (each.dry_run, -each.verdict))]

    @property
    def open_rows(self) -> list[Row]:
        """What stands against a promotion: counted findings that are not PASS."""
        return [each for each in self.rows if not each.dry_run and each.finding.verdict != Verdict.PASS]

    @cached_property
    def scored(self) -> Scored | None:
        """The golden rows of the evaluation, None where there is none."""
        evidence = self.evidence.get(EvidenceKind.EVALUATION)
        usable = evidence is not None and not evidence.tables["outcomes"].is_empty()
        return Scored.of(evidence, self.model) if evidence is not None and usable else None

    @cached_property
    def summary(self) -> dict[str, Any] | None:
        """What the metrics room shows of the evaluation."""
        return summary(self.scored) if self.scored is not None else None

    @cached_property
    def ranked(self) -> Ranked | None:
        """The golden queries of the ranking evidence, seen as the rules on NDCG@10 do; None without any."""
        evidence = self.evidence.get(EvidenceKind.RANKING)
        if evidence is None or evidence.tables["queries"].is_empty():
            return None
        return Ranked.of(evidence).at(Stage.SEARCH, policies_of(QUALITY, Stage.SEARCH, self.policies)[0])

    @cached_property
    def policies(self) -> Policies:
        """What the rules count an unjudged item as."""
        return policies(self.rules)

    @cached_property
    def lists(self) -> list[Measured]:
        """The metrics of a search on golden queries, stage by stage; empty for a unit without lists."""
        return measured(self.ranked, self.policies, rng=self._rng()) if self.ranked is not None else []

    @cached_property
    def changes(self) -> Changes | None:
        """The golden queries whose lists changed most, None for a unit without lists."""
        if self.ranked is None:
            return None
        titles = self.evidence[EvidenceKind.RANKING].tables.get("titles")
        return changes(self.ranked, {} if titles is None else dict(titles.iter_rows()))

    @property
    def squares(self) -> list[Square]:
        """The 2 x 2 tables that `pair` findings hold."""
        return [found for each in self.rows if (found := square(each.finding)) is not None]

    @property
    def listed(self) -> bool:
        """Whether answers on traffic are lists."""
        return "lists" in self.facts(EvidenceKind.SHADOW)

    def _rng(self) -> np.random.Generator:
        """A generator that gives the same numbers in every report of this release."""
        return np.random.default_rng(int(self.subject.digest.removeprefix("sha256:")[:8], 16))

    @cached_property
    def slices(self) -> list[Slice]:
        """Parts of the golden set, the same numbers in every report of this release."""
        if self.ranked is not None:
            return slices(self.ranked, rng=self._rng())
        return slices(self.scored, rng=self._rng()) if self.scored is not None else []

    @property
    def worst_slices(self) -> list[Slice]:
        """The parts on which the release lost most, the worst first."""
        return sorted((each for each in self.slices if each.difference < 0), key=lambda each: each.difference)

    def facts(self, kind: EvidenceKind) -> Mapping[str, Any]:
        """The facts of that kind of evidence; empty where there is none."""
        evidence = self.evidence.get(kind)
        return evidence.facts if evidence is not None else {}

    @property
    def models(self) -> list[ModelRecord]:
        """The records of the release's models."""
        return [self.unit.models[f"{model}@{version}"] for model, version in self.subject.models.items()]

    @property
    def untrained(self) -> list[str]:
        """Which of the release's models answer as before they learnt, a sentence each."""
        told = (untrained(model.name, model.metrics) for model in self.models)
        return [each for each in told if each]

    @property
    def parts(self) -> list[tuple[str, str | None]]:
        """The eight required artifacts with their digest or name, None for what is missing."""
        parts = self.facts(EvidenceKind.RECORD).get("parts", {})
        return [(str(part), parts.get(str(part))) for part in RecordPart]

    @cached_property
    def disagreement_by_label(self) -> list[dict[str, Any]]:
        """How often the release differs, by the baseline's answer; the `MOST_SHOWN` with most disagreements.

        Each with requests, disagreements, rate, and the bounds `low` and `high` of a confidence sequence
        at 0.95, which hold at every moment (one label at a time). Empty where answers are lists.
        """
        evidence = self.evidence.get(EvidenceKind.SHADOW)
        if evidence is None or self.listed:
            return []
        answers = evidence.tables["answers"]
        counted = answers.group_by(label=pl.col("baseline_label")).agg(found=pl.col("disagrees").sum())
        worst = counted.sort(["found", "label"], descending=[True, False])["label"].head(MOST_SHOWN)
        return [_disagreement(answers.filter(pl.col("baseline_label") == label), label) for label in worst]


def _disagreement(answers: pl.DataFrame, label: str) -> dict[str, Any]:
    differs = answers["disagrees"].cast(pl.Float64)
    rate, bounds = bernoulli_sequence(differs.to_numpy(), answers["group"].to_list(), 0.95)
    return {
        "label": label,
        "requests": answers.height,
        "disagreements": int(differs.sum()),
        "rate": rate,
        "low": bounds.low,
        "high": bounds.high,
    }


def dossier(desk: Desk, unit: str, release: str) -> Dossier:
    """The release with its newest decision and the evidence that this decision was made on.

    Raises:
        UsageError: no such unit or release.
        IntegrityError: a stored document or evidence is missing or was changed.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    decided = subject.decisions[-1] if subject.decisions else None
    document = read_decision(desk, decided.digest) if decided else None
    decision = Decision.from_dict(document["decision"]) if document else None
    rules = document["rules"] if document else [each.as_dict() for each in rules_for(desk, current, subject)]
    heads = desk.ledger.heads()
    streams = sorted({f"data/{desk.stack.models[model].data}" for model in subject.models})
    return Dossier(
        stack=desk.stack.stack,
        simulated=desk.stack.simulated,
        unit=current,
        subject=subject,
        spec=unit_spec(desk, unit),
        model=model_spec(desk, unit),
        champion=_champion(current, subject, decision),
        evidence=_evidence(desk, subject, decision),
        decision=decision,
        decided=decided,
        rules=tuple(rules),
        data_heads={each: (heads[each].revision, heads[each].hash) for each in streams if each in heads},
    )


def _evidence(desk: Desk, subject: Release, decision: Decision | None) -> dict[EvidenceKind, Evidence]:
    if decision is not None:
        return {EvidenceKind(kind): desk.evidence.get(digest) for kind, digest in decision.evidence.items()}
    latest = {ref.kind: ref.digest for ref in subject.evidence}
    return {kind: desk.evidence.get(digest) for kind, digest in latest.items()}


def _champion(current: UnitState, subject: Release, decision: Decision | None) -> str | None:
    digest = decision.binding.baseline if decision else bind(current, subject, subject.digest).baseline
    for name, known in current.releases.items():
        if known.digest == digest:
            return name
    return None
