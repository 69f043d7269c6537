"""The first champion of a unit: the same run, judged by `bootstrap` rules against the plain baseline."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from mangaops.errors import RefusedError
from mangaops.gates import GATES
from mangaops.registry import Release, UnitState, judging
from mangaops.release.desk import Desk, next_run, state, unit_spec
from mangaops.stack import SPENT_ON_SHADOW, Rule
from mangaops.vocabulary import Digest, Stage

RECORD = "release_record"
"""The gate that every list holds, named in it or not: without the eight artifacts nothing is promoted."""


def require_first(desk: Desk, unit: str) -> None:
    """Nothing happens where the unit never had a champion.

    Raises:
        RefusedError: it has one, or had one.
    """
    current = state(desk, unit)
    if current.champion is None and current.generation == 0:
        return
    raise RefusedError(
        f"a bootstrap of {unit} was refused: it is for the first champion only",
        found=f"champion {current.champion or 'none'}, generation {current.generation}",
        accepted="a unit that never had a champion",
        next_step=judging(unit, first=False, searches=desk.stack.ranks(unit)),
    )


def rules_for(desk: Desk, current: UnitState, subject: Release) -> tuple[Rule, ...]:
    """The rules that the release is judged by: `bootstrap` for the first champion, `gates` for all others.

    `release_record` counts in each list that counts anything, whether stack.yaml names it or not.
    A unit that was rolled back to its fallback has no champion either; there the full list applies,
    with the plain baseline in the champion's place, also to a first champion that was reopened. The plain
    baseline of a search is no pair: rules that set one reranker beside another need a champion.

    Raises:
        RefusedError: the unit has no champion and the release is no bootstrap, or the other way round.
    """
    spec = unit_spec(desk, current.unit)
    if current.generation > 0:
        if subject.bootstrap and current.champion not in (None, subject.name):
            require_first(desk, current.unit)
        return _with_record(spec.gates if current.champion else _without_pair(spec.gates))
    if not subject.bootstrap:
        raise RefusedError(
            f"{subject.name} was not judged: {current.unit} has no champion to compare with",
            accepted="a bootstrap, judged by absolute gates against a plain baseline",
            next_step=next_run(desk, current),
        )
    return _with_record(spec.bootstrap)


def _without_pair(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules that a release can be held to where no other reranker stands beside its own."""
    return tuple(rule for rule in rules if getattr(rule.params, "on", None) != Stage.RERANKER)


def _with_record(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    counted = {rule.gate for rule in rules if not rule.dry_run}
    if not counted or RECORD in counted:
        return rules
    return (Rule(RECORD, GATES[RECORD].params()), *rules)


_NO_BEARING: Final[dict[str, Any]] = {
    **dict.fromkeys(("gates", "bootstrap", "cadence", "index", "log"), True),
    "shadow": set(SPENT_ON_SHADOW),
}


def specs_digest(desk: Desk, unit: str) -> Digest:
    """The digest of what stack.yaml says beside the rules and bears on a decision.

    It covers the unit without its cadence, its logs and what its gateways spend, its models and index without
    how they are made (that is in the artifacts), their data, and whether the stack is simulated.
    """
    spec = unit_spec(desk, unit)
    models = {name: desk.stack.models[name] for name in spec.models}
    data = {model.data: desk.stack.dataset(model.data) for model in models.values()}
    said = {
        "unit": spec.model_dump(mode="json", exclude=_NO_BEARING),
        "models": {
            name: model.model_dump(mode="json", exclude={"training"}) for name, model in models.items()
        },
        "data": {name: each.model_dump(mode="json") for name, each in data.items()},
        "simulated": desk.stack.simulated,
    }
    return "sha256:" + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
