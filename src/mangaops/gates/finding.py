"""What a gate returns: one verdict with its numbers, one sentence and one next step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mangaops.vocabulary import Verdict


@dataclass(frozen=True)
class Finding:
    """One verdict on one subject (a metric, a label, a side, a part of the record).

    `observed`, `low`, `high` and `threshold` are in `unit`. `low` and `high` are one-sided bounds at the
    unit's `fail_confidence`, for reading; the bounds that decided, and their levels, are in `facts`, and
    `difference` is there where the numbers are a difference of another kind.
    `not_run` is there where a FAIL left the measurement out.
    `passes_at` is the highest confidence at which the rule would pass. `labels_to_settle` says how many
    more labels would settle it if the true difference is zero. What does not apply is None.
    """

    gate: str
    subject: str
    verdict: Verdict
    says: str
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    unit: str = ""
    n: int | None = None
    passes_at: float | None = None
    labels_to_settle: int | None = None
    next_step: str = ""
    dry_run: bool = False
    facts: Mapping[str, Any] | None = None

    @property
    def not_run(self) -> bool:
        """Whether it is an ERROR only because a FAIL ended the run before there was anything to measure."""
        return bool((self.facts or {}).get("not_run"))

    def as_dict(self) -> dict[str, Any]:
        """JSON values; infinities and NaN are null, the verdict is its name."""
        body = {key: _finite(value) for key, value in asdict(self).items()}
        return {**body, "verdict": self.verdict.name}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Finding:
        """The finding that `as_dict` wrote.

        Raises:
            KeyError, TypeError: the mapping is not one that `as_dict` wrote.
        """
        return cls(**{**body, "verdict": Verdict[body["verdict"]]})


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
