"""pair: adapter and reranker are judged together, beside what each would do alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import field_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Share
from mangaops.gates.measure import Measure
from mangaops.gates.paired import Gain, gain_in, subject_of
from mangaops.gates.proof import Unusable, again, ranked
from mangaops.gates.verdicts import TIE, Compared, Levels, change, levels, settle, spread, value
from mangaops.metrics import METRICS, JudgedShare, Ranked, judged_share
from mangaops.stack import Rule
from mangaops.vocabulary import Cell, EvidenceKind, Stage, Unjudged, Verdict

NAMES: Final[Mapping[Cell, str]] = {
    Cell.BASELINE: "baseline",
    Cell.NEW_ADAPTER: "new adapter alone",
    Cell.NEW_RERANKER: "new reranker alone",
    Cell.RELEASE: "both new",
}
_ALONE: Final = (Cell.NEW_ADAPTER, Cell.NEW_RERANKER)
_NO_TABLE: Final = "; the baseline is no pair of models, so there is no table: only the joint gain is judged"


class Pair(Measure):
    """`metric` of the end-to-end search may be worse by `margin`, at one-sided `confidence`.

    Where only one model of the pair differs from the baseline's, harm beyond the margin must be excluded at
    `lone_confidence`. Against a baseline that is no pair there is no table, and the joint gain is all.
    Under `min_judged` judged places in any of the searches it is INCONCLUSIVE.
    """

    metric: str = "ndcg@10"
    on: Literal["search"] = "search"
    unjudged: Unjudged
    min_judged: Share
    margin: Amount
    confidence: Confidence = 0.5
    lone_confidence: Confidence = 0.95
    min_examples: Count = 1

    @field_validator("metric")
    @classmethod
    def _of_grades(cls, metric: str) -> str:
        known = METRICS.get(metric)
        if known is not None and not known.graded:
            listed = ", ".join(each.name for each in METRICS.of(Ranked) if each.graded)
            raise ValueError(f"pair compares a metric of grades ({listed}), and {metric} is none")
        return metric


@dataclass(frozen=True)
class Table:
    """A metric of the four pairs of models over the same queries.

    `gains` holds each other cell compared with the baseline, positive where it is better. `interaction` is
    release - new adapter - new reranker + baseline, in the metric's own sign: what the two new models do to
    each other beyond what each does alone.
    """

    gains: Mapping[Cell, Compared]
    interaction: Gain

    @property
    def values(self) -> dict[Cell, float]:
        """The metric by cell."""
        found = {cell: float(compared.release or 0.0) for cell, compared in self.gains.items()}
        return {Cell.BASELINE: float(self.gains[Cell.RELEASE].baseline or 0.0), **found}

    @property
    def joint_loss(self) -> bool:
        """Whether each new model is a gain beside its old partner, and both together are a loss."""
        wins = all(self.gains[cell].point > TIE for cell in _ALONE)
        return wins and self.gains[Cell.RELEASE].point < -TIE


def table(case: Case, lists: Ranked, metric: str) -> Table:
    """The 2 x 2 table of a metric of grades, each number with a paired interval over groups of queries.

    All four searches answer the same queries, and a metric of grades counts the same ones in each. So the
    interaction is one difference of sums, (release + baseline) - (new adapter + new reranker), and a query
    moves it by at most twice what it can move a value.

    Raises:
        Unusable: no query bears the metric.
    """
    known = METRICS[metric]
    others = (*_ALONE, Cell.RELEASE)
    gains = {cell: gain_in(case, lists.between(Cell.BASELINE, cell), metric) for cell in others}
    sides, crosses = known.rows(lists, None), known.rows(lists.between(*_ALONE), None)
    counted = sides.baseline_denominator
    apart = crosses.baseline_numerator + crosses.release_numerator
    together = sides.baseline_numerator + sides.release_numerator
    subject = f"interaction of {subject_of(metric, None, lists.place)}"
    columns = (apart, counted, together, counted)
    return Table(gains, Gain.between(case, subject, columns, lists.groups, 2.0 * sides.scale))


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, Pair)
    lists = _searches(case, params)
    lone = len(lists.changed) == 1
    confidence = max(params.confidence, params.lone_confidence) if lone else params.confidence
    joint = replace(
        gain_in(case, lists, params.metric),
        subject=subject_of(params.metric, "the pair", lists.place),
        judged=_judged(lists, params),
    )
    finding = settle(rule, case, joint, params.margin, confidence, params.min_examples)
    if case.verdicts_only:
        return (finding,)
    if not lists.against_pair:
        return (replace(finding, says=f"{finding.says}{_NO_TABLE}"),)
    found, at = table(case, lists, params.metric), levels(case, params.lone_confidence)
    told = _lone(lists.changed[0], levels(case, confidence)) if lone else _told(found, at)
    facts = {**(finding.facts or {}), **_facts(found, lists, params.margin, at)}
    decides = not lone and joint.decides(case, params.min_examples)
    step = _next(finding, found, params.margin, at) if decides else finding.next_step
    return (replace(finding, says=f"{finding.says}{told}", next_step=step, facts=facts),)


def _searches(case: Case, params: Pair) -> Ranked:
    """The lists of the search, once all four pairs of models have theirs; both sides where one is no pair."""
    lists = ranked(case, Stage.SEARCH, params.unjudged, METRICS[params.metric].places)
    needed = tuple(Cell) if lists.against_pair else (Cell.BASELINE, Cell.RELEASE)
    missing = [str(cell) for cell in needed if cell not in lists.measured]
    if missing:
        says = f"the ranking evidence holds no search of {' and '.join(missing)}, which the table needs"
        raise Unusable(says, again(case, EvidenceKind.RANKING))
    return lists


def _judged(lists: Ranked, params: Pair) -> JudgedShare:
    """How much is judged of what any of the searches shows."""
    places = METRICS[params.metric].places or lists.depth
    sides = judged_share(lists, places, params.min_judged)
    if not lists.against_pair:
        return sides
    crosses = judged_share(lists.between(*_ALONE), places, params.min_judged)
    pairs = dict.fromkeys((*sides.to_judge, *crosses.to_judge))
    return replace(sides, share=min(sides.share, crosses.share), to_judge=tuple(pairs))


def _lone(model: str, at: Levels) -> str:
    proven = f"harm must be excluded, proven at confidence {at.passing:.3g}"
    return f"; only the {model} is new, so the table has one column that changed: {proven}"


def _told(found: Table, at: Levels) -> str:
    """The table and the interaction in words, and what two wins make together where that is a loss."""
    unit = found.gains[Cell.RELEASE].unit
    cells = ", ".join(f"{NAMES[cell]} {value(number, unit)}" for cell, number in found.values.items())
    low, high = found.interaction.lower(at.shown), found.interaction.upper(at.shown)
    moved = f"{change(found.interaction.point, unit)} ({spread(low, high, unit)})"
    return f"; {cells}; interaction {moved}{_two_wins(found, unit)}"


def _two_wins(found: Table, unit: str) -> str:
    if not found.joint_loss:
        return ""
    adapter, reranker, both = (
        change(abs(found.gains[cell].point), unit).lstrip("+") for cell in (*_ALONE, Cell.RELEASE)
    )
    return (
        f"; two separate wins make a joint loss: the new adapter alone is {adapter} better, "
        f"the new reranker alone {reranker} better, and both together are {both} worse"
    )


def _harmless(compared: Compared, margin: float, at: Levels) -> bool:
    """Whether harm beyond the margin is excluded, as it must be for a lone change."""
    return compared.gain.lower(at.passing) >= -margin - TIE


def _next(finding: Finding, found: Table, margin: float, at: Levels) -> str:
    """What settles it, and which of the two models the table lets through alone."""
    if finding.verdict not in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        return finding.next_step
    alone = [NAMES[cell] for cell in _ALONE if _harmless(found.gains[cell], margin, at)]
    if not alone:
        return finding.next_step
    return f"{finding.next_step}; or release the {' or the '.join(alone)}: the table excludes harm by it"


def _facts(found: Table, lists: Ranked, margin: float, at: Levels) -> dict[str, Any]:
    """The table as JSON values; gains are positive where a cell is better than the baseline."""
    gains = {
        str(cell): {
            "gain": each.point,
            "low": each.gain.lower(at.shown),
            "high": each.gain.upper(at.shown),
            "excludes_harm": _harmless(each, margin, at),
        }
        for cell, each in found.gains.items()
    }
    interaction = found.interaction
    return {
        "changed": list(lists.changed),
        "table": {str(cell): number for cell, number in found.values.items()},
        "gains": gains,
        "interaction": {
            "estimate": interaction.point,
            "low": interaction.lower(at.shown),
            "high": interaction.upper(at.shown),
            "method": interaction.method,
        },
        "joint_loss": found.joint_loss,
    }


GATE = Gate(Pair, _judge, lambda _params: 1)
