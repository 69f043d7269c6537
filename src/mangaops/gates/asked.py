"""What a gate list asks of a shadow before it can be judged, and when looking on is of no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mangaops.gates.disagreement import Disagreement
from mangaops.gates.judge import comparisons
from mangaops.stack import Rule, UnitSpec
from mangaops.stats import split_confidence


@dataclass(frozen=True)
class Asked:
    """Requests that both sides answered, hours of event time, and the share of disagreements that fails.

    `level`: that of the confidence sequence that must lie over `hard_limit` for a FAIL. None: no rule has
    a hard limit.
    """

    requests: int
    hours: float
    hard_limit: float | None
    level: float


def asked_of_shadow(rules: Sequence[Rule], unit: UnitSpec) -> Asked:
    """What the counted rules ask together: the most requests and hours, and the lowest hard limit."""
    counted = [rule for rule in rules if not rule.dry_run]
    found = [rule.params for rule in counted if isinstance(rule.params, Disagreement)]
    shadow = unit.shadow
    requests = [shadow.min_requests if each.min_requests is None else each.min_requests for each in found]
    hours = [shadow.min_hours if each.min_hours is None else each.min_hours for each in found]
    limits = [each.hard_limit for each in found if each.hard_limit is not None]
    return Asked(
        requests=max(requests, default=shadow.min_requests),
        hours=max(hours, default=shadow.min_hours),
        hard_limit=min(limits, default=None),
        level=2.0 * split_confidence(unit.fail_confidence, comparisons(counted)) - 1.0,
    )
