"""What a rule compares: a metric, on which rows or lists, and what an item counts as that nobody judged."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from mangaops.gates.gate import Params, Share
from mangaops.metrics import METRICS, SHADOW_REVIEW, Metric, Ranked, Reviewed, Scored
from mangaops.vocabulary import Stage, Unjudged

On = Literal["search", "adapter", "reranker", "golden"]


class Measure(Params):
    """`metric` on golden rows, or on the lists of a stage of the search; a gate adds what it asks of it.

    A metric of grades needs `unjudged`, and `min_judged`: where less than that share of the places that it
    looks at is judged, the rule is INCONCLUSIVE.
    """

    metric: str
    on: str = "golden"
    unjudged: Unjudged | None = None
    min_judged: Share | None = None

    @model_validator(mode="after")
    def _measurable(self) -> Measure:
        metric = METRICS.get(self.metric)
        says = _misfit(self, metric) if metric is not None else ""
        if says:
            raise ValueError(says)
        return self


def _misfit(asked: Measure, metric: Metric[Any]) -> str:
    """Why this metric cannot be measured there in this way, and what can; empty where it can."""
    policy = asked.unjudged is not None or asked.min_judged is not None
    if metric.view is Scored:
        return _on_golden(asked, policy)
    if metric.view is Reviewed:
        return _on_review(asked, policy)
    if asked.on not in set(Stage):
        return f"metric {asked.metric} is measured on {_or(Stage)}, not on {asked.on}"
    if metric.cut is not None:
        return f"metric {asked.metric} needs a number in the place of k, as in {metric.name[:-1]}10"
    if not metric.graded:
        return (
            f"metric {asked.metric} reads no grades: it takes no unjudged and no min_judged" if policy else ""
        )
    if asked.unjudged is None:
        what = "what an item counts as that nobody judged"
        return f"metric {asked.metric} needs unjudged, {what}: {_or(Unjudged)}"
    if asked.min_judged is None:
        return f"metric {asked.metric} needs min_judged, the judged share under which nothing is decided"
    return ""


def _on_golden(asked: Measure, policy: bool) -> str:
    if asked.on in set(Stage):
        return f"metric {asked.metric} is measured on golden, not on {asked.on}, which takes {_or(_listed())}"
    if policy:
        return f"metric {asked.metric} takes no unjudged and no min_judged: these are for {_or(_listed())}"
    return ""


def _on_review(asked: Measure, policy: bool) -> str:
    if asked.on != SHADOW_REVIEW:
        return f"metric {asked.metric} is measured by non_inferior on {SHADOW_REVIEW}, not on {asked.on}"
    return f"metric {asked.metric} takes no unjudged and no min_judged" if policy else ""


def _listed() -> list[str]:
    return [metric.name for metric in METRICS.of(Ranked)]


def _or(words: Any) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
