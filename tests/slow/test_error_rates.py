"""What the gates promise about errors, kept in simulation by the judge of real releases."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest

from mangaops.gates import weigh
from mangaops.vocabulary import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

WEEKS = 300
WEEKS_AT_MARGIN = 800
SEED = 411
Tally = dict[str, Counter[Outcome]]


@lru_cache(maxsize=1)
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "error_rates.py"
    spec = importlib.util.spec_from_file_location("error_rates", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=16)
def tally(world: int, challenger: int, weeks: int = WEEKS, only: tuple[str, ...] = ()) -> Tally:
    """Outcomes by rule, printed as shares (pytest -s shows them)."""
    known, kind = bench().worlds()[world], bench().CHALLENGERS[challenger]
    found: Tally = bench().tally(known, kind, weeks, SEED + world, only or tuple(bench().RULES))
    print(f"\n{known.name}, {kind.name}, {weeks} weeks")
    for name, outcomes in found.items():
        shares = {str(key): round(count / weeks, 4) for key, count in sorted(outcomes.items())}
        print(f"  {name:<56}{shares}")
    return found


def at_most(count: int, weeks: int, share: float) -> bool:
    """Whether so many of the weeks are compatible with at most this true share (two standard errors)."""
    return count / weeks <= share + 2 * (share * (1 - share) / weeks) ** 0.5


WORLDS = pytest.mark.parametrize("world", [0, 1], ids=["rows apart", "in conversations"])
LIST = "mangaops: the list of init"
PROOFS = (
    "mangaops: accuracy -1 point, confidence 0.95, golden",
    "mangaops: accuracy -1 point, confidence 0.95, review",
)
THRESHOLDS = (
    "point estimate: accuracy -0.2 points",
    "MLflow: min_relative_change 0",
    "TFMA: value 0.85, change -0.002",
)


@WORLDS
def test_an_equal_challenger_is_rejected_in_at_most_one_week_in_twenty(world: int) -> None:
    outcomes = tally(world, 0)[LIST]
    assert outcomes[Outcome.REJECT] / WEEKS <= 0.05
    assert outcomes[Outcome.PROMOTE] > 0


@WORLDS
@pytest.mark.parametrize("rule", PROOFS)
def test_a_challenger_at_the_margin_is_promoted_in_at_most_one_week_in_twenty(world: int, rule: str) -> None:
    outcomes = tally(world, 1, WEEKS_AT_MARGIN, PROOFS)[rule]
    assert at_most(outcomes[Outcome.PROMOTE], WEEKS_AT_MARGIN, 0.05)


@WORLDS
@pytest.mark.parametrize("rule", PROOFS)
def test_an_equal_challenger_can_be_proven(world: int, rule: str) -> None:
    """The promise above is no refusal of everything."""
    outcomes = tally(world, 0)[rule]
    assert outcomes[Outcome.PROMOTE] > WEEKS / 4
    assert at_most(outcomes[Outcome.REJECT], WEEKS, 0.05)


@WORLDS
def test_the_list_never_promotes_what_is_worse_by_three_points(world: int) -> None:
    outcomes = tally(world, 2)[LIST]
    assert outcomes[Outcome.PROMOTE] == 0
    assert outcomes[Outcome.REJECT] > 0.9 * WEEKS


@WORLDS
def test_threshold_rules_cannot_do_both(world: int) -> None:
    """Each of them refuses an equal challenger in far more than one week in twenty, and has no HOLD."""
    for rule in THRESHOLDS:
        outcomes = tally(world, 0)[rule]
        assert outcomes[Outcome.REJECT] / WEEKS > 0.05
        assert outcomes[Outcome.HOLD] == 0


@WORLDS
def test_a_point_estimate_lets_the_margin_through_every_other_week(world: int) -> None:
    promoted = tally(world, 1)["point estimate: accuracy -1 point"][Outcome.PROMOTE] / WEEKS
    assert 0.35 < promoted < 0.65


@WORLDS
def test_400_resamples_decide_as_2000_do(world: int) -> None:
    challengers = bench().CHALLENGERS
    several = [
        (case, weigh(case.unit.gates, case))
        for challenger in (challengers[0], challengers[1])
        for case in bench().weeks(bench().worlds()[world], challenger, 60, SEED)
    ]
    same = [few[0] == weigh(case.unit.gates, replace(case, resamples=2000))[0] for case, few in several]
    print(f"\n400 and 2,000 resamples decide alike in {sum(same)} of {len(same)} weeks")
    assert sum(same) >= 0.97 * len(same)
