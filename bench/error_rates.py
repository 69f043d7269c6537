"""How often gate lists promote and reject: mangaops beside point estimates and threshold rules of others.

Every rule judges the same simulated releases. Run: python bench/error_rates.py [weeks]
"""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from mangaops.gates import GATES, Case, weigh
from mangaops.metrics import METRICS
from mangaops.release.stack_check import a_week
from mangaops.release.stack_evidence import Assumptions, Challenger
from mangaops.release.stack_known import assumed
from mangaops.stack import Rule, Stack, UnitSpec, parse
from mangaops.stats import clopper_pearson
from mangaops.training.parameters import PARAMETERS
from mangaops.vocabulary import Outcome, Side

UNIT = "router"
MARGIN = 0.01
CHALLENGERS = (
    Challenger("equal", 0.0),
    Challenger("worse by the margin (1 point)", -MARGIN),
    Challenger("worse by 3 points", -0.03),
    Challenger("better by 1 point", 0.01),
)


# ---- the rules of others, restated ---------------------------------------------------------------------


def point_estimate(baseline: float, release: float, margin: float) -> bool:
    """The playbook's literal rule: not worse than the champion by more than the margin, as measured."""
    return release >= baseline - margin - 1e-12


def mlflow_threshold(
    baseline: float,
    release: float,
    *,
    threshold: float | None = None,
    min_absolute_change: float | None = None,
    min_relative_change: float | None = None,
) -> bool:
    """MLflow's MetricThreshold where greater is better.

    Source: mlflow/models/evaluation/validation.py, `_validate`. min_absolute_change must be positive and
    min_relative_change lie in [0, 1]: a margin that allows a loss cannot be written down.
    """
    if threshold is not None and release < threshold:
        return False
    if min_absolute_change is not None and release < baseline + min_absolute_change:
        return False
    if min_relative_change is None:
        return True
    if baseline == 0:
        return release >= baseline + 1e-10
    return (release - baseline) / baseline >= min_relative_change


def tfma_value(release: float, *, lower_bound: float = -np.inf, upper_bound: float = np.inf) -> bool:
    """TFMA's GenericValueThreshold. Source: evaluators/metrics_validator.py, `_check_threshold`."""
    return lower_bound <= release <= upper_bound


def tfma_change(
    baseline: float, release: float, *, absolute: float = -np.inf, relative: float = -np.inf
) -> bool:
    """TFMA's GenericChangeThreshold, HIGHER_IS_BETTER. Source: evaluators/metrics_validator.py."""
    difference = release - baseline
    ratio = difference / baseline if baseline else float("nan")
    return difference >= absolute and (relative == -np.inf or ratio >= relative)


# ---- the simulated weeks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A stack and what is assumed of its golden set and traffic."""

    name: str
    stack: Stack
    assumptions: Assumptions


def init_stack() -> Stack:
    """The stack that `mangaops init` writes."""
    text = (resources.files("mangaops.pipeline") / "templates" / "stack.yaml").read_text("utf-8")
    return parse(
        text,
        gates={name: gate.params for name, gate in GATES.items()},
        metrics=METRICS,
        families={str(family): params for family, params in PARAMETERS.items()},
    )


def worlds() -> tuple[World, World]:
    """Rows that are alone in their groups, and rows of conversations that share their luck."""
    stack = init_stack()
    plain = assumed(stack, UNIT)
    apart = replace(plain, per_group=1.0, per_conversation=1.0, alike=0.0)
    grouped = replace(plain, per_group=3.0, per_conversation=4.0, alike=0.5)
    return World("rows apart", stack, apart), World("in conversations", stack, grouped)


def weeks(
    world: World, challenger: Challenger, count: int, seed: int, *, resamples: int = 400
) -> Iterator[Case]:
    """So many simulated weeks of one challenger."""
    rng = np.random.default_rng(seed)
    unit = world.stack.units[UNIT]
    model = world.stack.models[unit.models[0]]
    data = world.stack.data[model.data]
    for _ in range(count):
        yield a_week(unit, model, data, world.assumptions, challenger, rng=rng, resamples=resamples)


def with_rules(case: Case, rules: tuple[Rule, ...], *, looks: int) -> Case:
    """The same week before another gate list."""
    return replace(case, unit=case.unit.model_copy(update={"gates": rules, "looks": looks}))


def proof(on: str, margin: float = MARGIN) -> tuple[Rule, ...]:
    """A list of one rule: accuracy may be worse by the margin, proven at confidence 0.95."""
    params = {"metric": "accuracy", "on": on, "margin": margin, "confidence": 0.95}
    return (Rule("non_inferior", GATES["non_inferior"].params(**params)),)


def listed(case: Case) -> Outcome:
    """What the default list of `mangaops init` says."""
    unit: UnitSpec = case.unit
    return weigh(unit.gates, case)[0]


def proven(on: str) -> Callable[[Case], Outcome]:
    """What a single rule with confidence 0.95 says at the first of one look."""
    rules = proof(on)
    return lambda case: weigh(rules, with_rules(case, rules, looks=1))[0]


def _decides(rule: Callable[[float, float], bool]) -> Callable[[Case], Outcome]:
    """A rule of others knows two outcomes only: promote or reject."""

    def judged(case: Case) -> Outcome:
        sides = METRICS["accuracy"].rows(case.scored, None)
        baseline, release = sides.value(Side.BASELINE), sides.value(Side.RELEASE)
        return Outcome.PROMOTE if rule(baseline, release) else Outcome.REJECT

    return judged


def _tfma_by_label(case: Case) -> Outcome:
    """TFMA on accuracy overall, and on the recall of three critical labels as slices."""
    sides = METRICS["accuracy"].rows(case.scored, None)
    good = tfma_change(sides.value(Side.BASELINE), sides.value(Side.RELEASE), absolute=-0.002)
    for label in ("promotion", "checkout_help", "escalation"):
        recall = METRICS["recall"].rows(case.scored, label)
        good &= tfma_change(recall.value(Side.BASELINE), recall.value(Side.RELEASE), absolute=-0.02)
    return Outcome.PROMOTE if good else Outcome.REJECT


RULES: Mapping[str, Callable[[Case], Outcome]] = {
    "mangaops: the list of init": listed,
    "mangaops: accuracy -1 point, confidence 0.95, golden": proven("golden"),
    "mangaops: accuracy -1 point, confidence 0.95, review": proven("shadow_review"),
    "point estimate: accuracy -0.2 points": _decides(lambda old, new: point_estimate(old, new, 0.002)),
    "point estimate: accuracy -1 point": _decides(lambda old, new: point_estimate(old, new, MARGIN)),
    "MLflow: min_relative_change 0": _decides(
        lambda old, new: mlflow_threshold(old, new, min_relative_change=0.0)
    ),
    "MLflow: threshold 0.918, min_absolute_change 0.002": _decides(
        lambda old, new: mlflow_threshold(old, new, threshold=0.918, min_absolute_change=0.002)
    ),
    "MLflow: threshold 0.918": _decides(lambda old, new: mlflow_threshold(old, new, threshold=0.918)),
    "TFMA: value 0.85, change -0.002": _decides(
        lambda old, new: tfma_value(new, lower_bound=0.85) and tfma_change(old, new, absolute=-0.002)
    ),
    "TFMA: change -0.002, recall of 3 labels -0.02": _tfma_by_label,
}


def tally(
    world: World, challenger: Challenger, count: int, seed: int, names: tuple[str, ...] = tuple(RULES)
) -> dict[str, Counter[Outcome]]:
    """Outcomes of each rule on the same simulated weeks."""
    found: dict[str, Counter[Outcome]] = {name: Counter() for name in names}
    for case in weeks(world, challenger, count, seed):
        for name in names:
            found[name][RULES[name](case)] += 1
    return found


def shown(outcomes: Counter[Outcome], outcome: Outcome) -> str:
    """A share with its 95 % interval."""
    total = outcomes.total()
    interval = clopper_pearson(outcomes[outcome], total, 0.95)
    return f"{outcomes[outcome] / total:.1%} ({interval.low:.1%}-{interval.high:.1%})"


def main(count: int = 200, seed: int = 11) -> None:
    """The table of the documentation, printed as it is worked out."""
    host = f"{platform.machine()}, Python {platform.python_version()}"
    print(f"host: {host}; {count} weeks a cell, 95 % intervals")
    for world in worlds():
        for challenger in CHALLENGERS:
            print(f"\n{world.name}, {challenger.name}")
            print(f"  {'rule':<56}{'promoted':>22}{'held':>22}{'rejected':>22}")
            for name, outcomes in tally(world, challenger, count, seed).items():
                cells = [
                    shown(outcomes, outcome) for outcome in (Outcome.PROMOTE, Outcome.HOLD, Outcome.REJECT)
                ]
                print(f"  {name:<56}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
