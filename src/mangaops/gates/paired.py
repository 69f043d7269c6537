"""A metric of both sides over the same golden rows, oriented so that a gain is positive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mangaops.gates.case import Case
from mangaops.gates.proof import Unusable, again
from mangaops.gates.verdicts import Compared, rng
from mangaops.metrics import METRICS, Scored, Sides
from mangaops.stats import PairedDifference, Undefined, paired_difference
from mangaops.vocabulary import Direction, EvidenceKind, Side


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
    gain = _difference(case, scored, sides, known.direction, subject)
    return Compared(
        subject=subject,
        gain=gain,
        point=gain.difference,
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
    gain = _difference(case, scored, alone, known.direction, subject)
    counted = f"golden rows{f' of {label}' if label else ''}"
    n = int((sides.release_denominator > 0).sum())
    release = sides.value(Side.RELEASE)
    return Compared(subject, gain, gain.difference, None, release, known.direction, known.unit, n, counted)


def _difference(
    case: Case, scored: Scored, sides: Sides, direction: Direction, subject: str
) -> PairedDifference:
    baseline = (sides.baseline_numerator, sides.baseline_denominator)
    release = (sides.release_numerator, sides.release_denominator)
    first, second = (baseline, release) if direction is Direction.HIGHER else (release, baseline)
    try:
        return paired_difference(
            *first,
            *second,
            scored.groups,
            rng=rng(case, subject),
            resamples=case.resamples,
            scale=sides.scale,
        )
    except Undefined as problem:
        says = f"{subject} cannot be measured: {problem}"
        raise Unusable(says, again(case, EvidenceKind.EVALUATION)) from problem
