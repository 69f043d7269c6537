"""A metric of both sides over the same golden rows, oriented so that a gain is positive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from mangaops.gates.case import Case
from mangaops.gates.proof import Unusable, again
from mangaops.gates.verdicts import Compared, rng
from mangaops.metrics import METRICS, Scored, Sides
from mangaops.metrics.metric import Numbers
from mangaops.stats import Bounded, PairedDifference, paired_difference
from mangaops.vocabulary import Direction, EvidenceKind, Side

Codes = NDArray[np.int64]
Columns = tuple[Numbers, Numbers, Numbers, Numbers]


@dataclass(frozen=True)
class Gain(Bounded):
    """A paired difference whose bounds are worked out when somebody asks for one."""

    point: float
    measure: Callable[[], PairedDifference]

    @classmethod
    def between(cls, case: Case, subject: str, columns: Columns, groups: Codes, scale: float = 1.0) -> Gain:
        """The second ratio of sums minus the first: numerator and denominator of each, a number a row."""
        measure = partial(
            paired_difference,
            *columns,
            groups,
            rng=rng(case, subject),
            resamples=case.resamples,
            scale=scale,
        )
        first_top, first, second_top, second = (float(column.sum()) for column in columns)
        return cls(second_top / second - first_top / first, measure)

    @cached_property
    def difference(self) -> PairedDifference:
        """The difference with its resamples."""
        return self.measure()

    @property
    def method(self) -> str:  # type: ignore[override]
        """How the bounds were made."""
        return self.difference.method

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound; at 0.5 the difference itself."""
        return self.point if confidence == 0.5 else self.difference.lower(confidence)

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound; at 0.5 the difference itself."""
        return self.point if confidence == 0.5 else self.difference.upper(confidence)


def subject_of(metric: str, label: str | None, on: str) -> str:
    """How a finding names what was compared: `recall of escalation on golden`."""
    return f"{metric} of {label} on {on}" if label else f"{metric} on {on}"


def gain_on_golden(case: Case, scored: Scored, metric: str, label: str | None) -> Compared:
    """The paired gain of the release over the baseline in one metric.

    Raises:
        Unusable: no row bears the metric.
    """
    known = METRICS[metric]
    sides = known.rows(scored, label)
    subject = subject_of(metric, label, "golden")
    gain = _gain(case, scored, sides, known.direction, subject)
    return Compared(
        subject=subject,
        gain=gain,
        point=gain.point,
        baseline=sides.value(Side.BASELINE),
        release=sides.value(Side.RELEASE),
        direction=known.direction,
        unit=known.unit,
        n=sides.rows(),
        counted=f"golden rows{f' of {label}' if label else ''}",
    )


def level_of_release(case: Case, scored: Scored, metric: str, label: str | None) -> Compared:
    """The release's own value as a gain over nothing: `point` is the value, negative where lower is better.

    Raises:
        Unusable: no row bears the metric.
    """
    known = METRICS[metric]
    sides = known.rows(scored, label)
    nothing = np.zeros_like(sides.release_numerator)
    alone = replace(sides, baseline_numerator=nothing, baseline_denominator=sides.release_denominator)
    subject = subject_of(metric, label, "golden")
    gain = _gain(case, scored, alone, known.direction, subject)
    counted = f"golden rows{f' of {label}' if label else ''}"
    n = int((sides.release_denominator > 0).sum())
    release = sides.value(Side.RELEASE)
    return Compared(subject, gain, gain.point, None, release, known.direction, known.unit, n, counted)


def _gain(case: Case, scored: Scored, sides: Sides, direction: Direction, subject: str) -> Gain:
    baseline = (sides.baseline_numerator, sides.baseline_denominator)
    release = (sides.release_numerator, sides.release_denominator)
    first, second = (baseline, release) if direction is Direction.HIGHER else (release, baseline)
    if not (first[1].sum() > 0 and second[1].sum() > 0):
        says = f"{subject} cannot be measured: no golden row bears it"
        raise Unusable(says, again(case, EvidenceKind.EVALUATION))
    return Gain.between(case, subject, (*first, *second), scored.groups, sides.scale)
