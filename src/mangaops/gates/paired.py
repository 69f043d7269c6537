"""A metric of both sides over the same rows or queries, oriented so that a gain is positive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mangaops.gates.case import Case
from mangaops.gates.proof import Unusable, again
from mangaops.gates.verdicts import Compared, rng
from mangaops.metrics import METRICS, JudgedShare, Metric, Ranked, Sides, View, judged_share
from mangaops.metrics.metric import Numbers
from mangaops.stack import MOST_QUERIES
from mangaops.stats import Bounded, PairedDifference, paired_difference
from mangaops.vocabulary import Direction, Side

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

    @property
    def differing(self) -> int:
        """The groups whose sums differ between the sides."""
        return self.difference.differing

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound; at 0.5 the difference itself."""
        return self.point if confidence == 0.5 else self.difference.lower(confidence)

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound; at 0.5 the difference itself."""
        return self.point if confidence == 0.5 else self.difference.upper(confidence)


def subject_of(metric: str, label: str | None, on: str) -> str:
    """How a finding names what was compared: `recall of escalation on golden`."""
    return f"{metric} of {label} on {on}" if label else f"{metric} on {on}"


def gain_in(
    case: Case, view: View, metric: str, label: str | None = None, min_judged: float | None = None
) -> Compared:
    """The paired gain of the release over the baseline in one metric.

    Raises:
        Unusable: no row bears the metric.
    """
    known = METRICS[metric]
    sides = known.rows(view, label)
    subject = subject_of(metric, label, view.place)
    gain = _gain(case, view, sides, known.direction, subject)
    return Compared(
        subject=subject,
        gain=gain,
        point=gain.point,
        baseline=sides.value(Side.BASELINE),
        release=sides.value(Side.RELEASE),
        direction=known.direction,
        unit=known.unit,
        n=(n := sides.rows()),
        counted=_counted(view, label),
        judged=_judged(view, known, min_judged, tuple(Side)),
        room=_room(view, n),
    )


def level_in(
    case: Case, view: View, metric: str, label: str | None = None, min_judged: float | None = None
) -> Compared:
    """The release's own value as a gain over nothing: `point` is the value, negative where lower is better.

    Raises:
        Unusable: no row bears the metric.
    """
    known = METRICS[metric]
    sides = known.rows(view, label)
    nothing = np.zeros_like(sides.release_numerator)
    alone = replace(sides, baseline_numerator=nothing, baseline_denominator=sides.release_denominator)
    subject = subject_of(metric, label, view.place)
    gain = _gain(case, view, alone, known.direction, subject)
    return Compared(
        subject=subject,
        gain=gain,
        point=gain.point,
        baseline=None,
        release=sides.value(Side.RELEASE),
        direction=known.direction,
        unit=known.unit,
        n=(n := int((sides.release_denominator > 0).sum())),
        counted=_counted(view, label),
        judged=_judged(view, known, min_judged, (Side.RELEASE,)),
        room=_room(view, n),
    )


def _counted(view: View, label: str | None) -> str:
    return f"{view.counted}{f' of {label}' if label else ''}"


def _room(view: View, n: int) -> int | None:
    """How many more queries of those that bear the metric an evaluation can ask, if the share of them stays.

    `n` of those so far bear it. Of rows there may be any number.
    """
    if not isinstance(view, Ranked):
        return None
    asked = view.queries.height
    return max(0, MOST_QUERIES - asked) * n // asked


def _judged(
    view: View, metric: Metric[Any], least: float | None, sides: tuple[Side, ...]
) -> JudgedShare | None:
    """How much of what the metric looks at is judged; None where a rule asks for nothing of it."""
    if least is None or metric.places is None or not isinstance(view, Ranked):
        return None
    return judged_share(view, metric.places, least, sides)


def _gain(case: Case, view: View, sides: Sides, direction: Direction, subject: str) -> Gain:
    baseline = (sides.baseline_numerator, sides.baseline_denominator)
    release = (sides.release_numerator, sides.release_denominator)
    first, second = (baseline, release) if direction is Direction.HIGHER else (release, baseline)
    if not (first[1].sum() > 0 and second[1].sum() > 0):
        says = f"{subject} cannot be measured: no {view.bearer} bears it"
        raise Unusable(says, again(case, view.kind))
    return Gain.between(case, subject, (*first, *second), view.groups, sides.scale)
