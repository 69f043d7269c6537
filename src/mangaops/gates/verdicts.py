"""Compare: one-sided bounds and a threshold to a verdict, a sentence and a price."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.metrics import JudgedShare
from mangaops.stack import MOST_QUERIES, Rule
from mangaops.stats import Bounded, split_confidence
from mangaops.vocabulary import Direction, Unjudged, Verdict

TIE = 1e-12
"""Differences smaller than this are rounding, and count as a tie: a tie holds a rule."""

SPENT = "judge a new challenger: this one was judged as often as `looks` allows"

TO_JUDGE_SHOWN = 50
"""So many pairs of query and item to judge are named in a finding."""

_POWER_Z = 0.8416212335729143
_ONE_SIGMA = 0.8413447460685429


@dataclass(frozen=True)
class Levels:
    """The one-sided confidence that PASS needs, that FAIL needs, and at which bounds are shown.

    `spent`: this rule asks for proof and all looks were used, so that it can pass no more.
    """

    passing: float
    failing: float
    shown: float
    spent: bool = False


def levels(case: Case, confidence: float, *, new_labels: bool = False) -> Levels:
    """The levels of one comparison: looks share 1 - confidence, the gate list shares 1 - fail_confidence.

    With `new_labels`, where each look brings other labels, looks share that part of 1 - fail_confidence too.
    At confidence 0.5 point estimates are compared, and looks take nothing. A rule that asks for proof passes
    at no look after the last: each more would add to the error that `confidence` allows.
    """
    passing = confidence if confidence == 0.5 else split_confidence(confidence, case.unit.looks)
    chances = max(1, case.comparisons) * (case.unit.looks if new_labels else 1)
    failing = split_confidence(case.unit.fail_confidence, chances)
    spent = confidence != 0.5 and case.look > case.unit.looks
    return Levels(passing, failing, case.unit.fail_confidence, spent)


def verdict(gain: Bounded, threshold: float, at: Levels) -> Verdict:
    """PASS where the lower bound reaches the threshold, FAIL where not even the upper bound does."""
    if gain.lower(at.passing) >= threshold - TIE:
        return Verdict.INCONCLUSIVE if at.spent else Verdict.PASS
    return Verdict.FAIL if gain.upper(at.failing) < threshold - TIE else Verdict.INCONCLUSIVE


def rng(case: Case, subject: str) -> np.random.Generator:
    """A generator of its own for each subject, so that no rule's numbers depend on the other rules."""
    return np.random.default_rng([case.seed, zlib.crc32(subject.encode())])


@dataclass(frozen=True)
class Compared:
    """A gain (better is positive) with what it takes to tell people about it.

    `new_labels`: people labelled it for this look, so that the next look brings other labels. `judged`: how
    much of what was shown is judged, where a rule asks for a share of it. `room`: how many more examples the
    queries that an evaluation can still ask bring; None where the number of examples has no end.
    """

    subject: str
    gain: Bounded
    point: float
    baseline: float | None
    release: float | None
    direction: Direction
    unit: str
    n: int
    counted: str
    new_labels: bool = False
    judged: JudgedShare | None = None
    room: int | None = None

    def decides(self, case: Case, least: int) -> bool:
        """Whether it rests on `least` examples, and on as many judged places as the rule asks for."""
        return (self.n >= least or case.any_number) and (self.judged is None or self.judged.enough)


def settle(
    rule: Rule, case: Case, compared: Compared, margin: float, confidence: float, least: int
) -> Finding:
    """The finding of a comparison: `gain >= -margin`, on at least `least` examples."""
    at = levels(case, confidence, new_labels=compared.new_labels)
    decides = compared.decides(case, least)
    found = verdict(compared.gain, -margin, at) if decides else Verdict.INCONCLUSIVE
    if case.verdicts_only:
        return Finding(rule.gate, compared.subject, found, "", observed=compared.point, dry_run=rule.dry_run)
    sign = 1.0 if compared.direction is Direction.HIGHER else -1.0
    shown = sorted((sign * compared.gain.lower(at.shown), sign * compared.gain.upper(at.shown)))
    more = rows_until(compared, margin, at.passing) if decides else missing(compared, least)
    beyond = found is Verdict.INCONCLUSIVE and beyond_reach(compared, more, least)
    step = _next(found, more, compared, margin)
    if beyond:
        step = few_examples(compared, least) if compared.n < least else _no_evaluation(compared, more, at)
    return Finding(
        gate=rule.gate,
        subject=compared.subject,
        verdict=found,
        says=_sentence(compared, sign, shown, margin, at, least)
        + of_judged(compared)
        + _unproven(compared, margin, at),
        observed=sign * compared.point,
        low=shown[0],
        high=shown[1],
        threshold=-sign * margin,
        unit=compared.unit,
        n=compared.n,
        passes_at=passes_at(compared.gain, -margin),
        labels_to_settle=more if found is Verdict.INCONCLUSIVE and not beyond else None,
        next_step=SPENT if at.spent and found is not Verdict.FAIL else step,
        dry_run=rule.dry_run,
        facts={**_facts(compared, at), **({"out_of_reach": more} if beyond and not at.spent else {})},
    )


def missing(compared: Compared, least: int) -> int:
    """How many more labels a comparison lacks to decide: examples, or else items to judge."""
    if compared.n < least or compared.judged is None:
        return max(0, least - compared.n)
    return len(compared.judged.to_judge)


def beyond_reach(compared: Compared, more: int | None, least: int) -> bool:
    """Whether it takes more queries than an evaluation can ask; items to judge are no queries."""
    if more is None or compared.room is None:
        return False
    lacks_items = compared.n >= least and compared.judged is not None and not compared.judged.enough
    return more > compared.room and not lacks_items


def of_judged(compared: Compared) -> str:
    """How much of what was shown is judged, as the rest of a sentence; empty where no rule asks."""
    judged = compared.judged
    if judged is None:
        return ""
    counts = "counts as irrelevant" if judged.unjudged is Unjudged.IRRELEVANT else "is left out"
    top = "the top place is" if judged.places == 1 else f"the first {judged.places} places are"
    under = "" if judged.enough else f", under the {judged.least:.0%} that the rule asks for"
    return f"; {judged.share:.2%} of {top} judged{under}, and what is not {counts}"


def rows_until(compared: Compared, margin: float, confidence: float) -> int | None:
    """How many more rows bring the lower bound to -margin with power 0.8, if the true difference is zero.

    The rows so far keep the gain that they have; the spread of a row is read from the interval, so that
    clusters, weights and costs are in it. None: no number of rows does (a margin of zero).

    Source: rows_to_settle (Liu et al. 2002, equation 8), solved for rows that start from a gain d over n:
    margin x^2 - (z + z_power) s x + n min(d, 0) = 0 in x = sqrt(rows).
    """
    if margin <= 0.0 or compared.n == 0:
        return None
    low, high = compared.gain.lower(_ONE_SIGMA), compared.gain.upper(_ONE_SIGMA)
    spread = (high - low) / 2.0 * math.sqrt(compared.n)
    reach = (max(0.0, _z(confidence)) + _POWER_Z) * spread
    deficit = -compared.n * min(compared.point, 0.0)
    root = (reach + math.sqrt(reach**2 + 4.0 * margin * deficit)) / (2.0 * margin)
    return max(0, math.ceil(root**2) - compared.n)


def passes_at(gain: Bounded, threshold: float) -> float:
    """The highest confidence, to 0.0001, whose lower bound reaches the threshold; 0 where none does."""
    low, high = 0.0001, 0.9999
    if gain.lower(low) < threshold - TIE:
        return 0.0
    if gain.lower(high) >= threshold - TIE:
        return high
    while high - low > 1e-4:
        middle = (low + high) / 2.0
        low, high = (middle, high) if gain.lower(middle) >= threshold - TIE else (low, middle)
    return low


def _z(confidence: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(confidence)


def _facts(compared: Compared, at: Levels) -> dict[str, Any]:
    return {
        **judged_facts(compared.judged),
        "baseline": compared.baseline,
        "release": compared.release,
        "method": compared.gain.method,
        "pass_confidence": at.passing,
        "pass_bound": compared.gain.lower(at.passing),
        "fail_confidence": at.failing,
        "fail_bound": compared.gain.upper(at.failing),
    }


def judged_facts(judged: JudgedShare | None) -> dict[str, Any]:
    """The judged share, and the first pairs of query and item to judge."""
    if judged is None:
        return {}
    first = [list(pair) for pair in judged.to_judge[:TO_JUDGE_SHOWN]]
    return {"unjudged": str(judged.unjudged), "judged": judged.share, "to_judge": first}


def _sentence(
    compared: Compared, sign: float, shown: list[float], margin: float, at: Levels, least: int
) -> str:
    unit = compared.unit
    sides = ""
    if compared.baseline is not None and compared.release is not None:
        sides = f"release {value(compared.release, unit)}, baseline {value(compared.baseline, unit)}; "
    moves = "fall" if sign > 0 else "rise"
    allowed = f"may {moves} by at most {change(margin, unit).lstrip('+')}" if margin else f"may not {moves}"
    level = "" if at.passing == 0.5 else f", proven at confidence {at.passing:.3g}"
    level += "; all looks are used" if at.spent else ""
    few = f", under the {least:,} that the rule asks for" if compared.n < least else ""
    same = "" if compared.gain.differing else "; none differs: the interval is what their number leaves open"
    return (
        f"{compared.subject}: {sides}difference {change(sign * compared.point, unit)} "
        f"({spread(shown[0], shown[1], unit)}, {at.shown:.0%} sure of each bound) "
        f"on {compared.n:,} {compared.counted}{few}{same}; it {allowed}{level}"
    )


def _unproven(compared: Compared, margin: float, at: Levels) -> str:
    """Why no FAIL stands beside an interval that lies wholly beyond the threshold; else empty."""
    if not compared.gain.upper(at.shown) < -margin <= compared.gain.upper(at.failing):
        return ""
    return f"; a FAIL asks for confidence {at.failing:.4g}: fail_confidence is shared over the list"


def _next(found: Verdict, more: int | None, compared: Compared, margin: float) -> str:
    if found is Verdict.PASS:
        return ""
    if compared.judged is not None and not compared.judged.enough:
        return to_judge(compared.judged)
    if found is Verdict.FAIL:
        return f"read the error review: {compared.subject} is worse than the rule allows"
    if more is None:
        return f"no number of labels settles a margin of {margin:g} if nothing differs; widen it or wait"
    if more == 0:
        return "label as many fresh examples again: this sample may have had bad luck"
    return f"label about {more:,} more {compared.counted}"


def few_examples(compared: Compared, least: int) -> str:
    """What helps where a rule asks for more queries than an evaluation can ask, or than bear its metric."""
    return (
        f"state a lower min_examples in stack.yaml: {least:,} {compared.counted} are asked for, "
        f"and an evaluation asks at most {_most(compared, least)}"
    )


def _most(compared: Compared, needed: int) -> str:
    """The most queries of an evaluation; how many of them bear the metric where all would be enough."""
    borne = "" if needed > MOST_QUERIES else f", of which about {compared.n + (compared.room or 0):,} bear it"
    return f"{MOST_QUERIES:,}{borne}"


def _no_evaluation(compared: Compared, more: int | None, at: Levels) -> str:
    """What helps where all queries that an evaluation can ask would not settle it."""
    lower = "" if at.passing == 0.5 else " or a lower confidence"
    most = _most(compared, compared.n + (more or 0))
    return (
        f"no evaluation settles it: it takes about {more:,} more {compared.counted} if nothing differs, and "
        f"one asks at most {most}; state a wider margin{lower} in stack.yaml, "
        "or judge a challenger that gains"
    )


def to_judge(judged: JudgedShare) -> str:
    """What to judge so that a comparison may decide."""
    query, item = judged.to_judge[0]
    return f"judge {len(judged.to_judge):,} items that were shown, {item} for {query} first"


def value(number: float, unit: str) -> str:
    """A value as people read it: shares in per cent, everything else with its unit; no zero has a minus."""
    return f"{number:z.2%}" if unit == "share" else f"{number:z.4g} {unit}"


def spread(low: float, high: float, unit: str) -> str:
    """An interval of differences as people read it."""
    if unit == "share":
        return f"{100 * low:+z.2f} to {100 * high:+z.2f} points"
    return f"{low:+z.4g} to {high:+z.4g} {unit}"


def change(number: float, unit: str) -> str:
    """A difference as people read it: shares in points, everything else with its unit."""
    number = 0.0 if abs(number) < TIE else number
    return f"{100 * number:+z.2f} points" if unit == "share" else f"{number:+z.4g} {unit}"
