"""A champion for a unit that has none: the same run, by `bootstrap` rules, beside the plain baseline."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from mangaops.errors import RefusedError
from mangaops.gates import GATES
from mangaops.registry import Release, UnitState
from mangaops.release.desk import Desk, next_run, opponent, state, unit_spec
from mangaops.stack import SPENT_ON_SHADOW, Rule
from mangaops.vocabulary import Digest

RECORD = "release_record"
"""The gate that every list holds, named in it or not: without the eight artifacts nothing is promoted."""


def require_unserved(desk: Desk, unit: str) -> None:
    """Nothing happens where no release of the unit serves.

    Raises:
        RefusedError: one does.
    """
    current = state(desk, unit)
    if current.champion is None:
        return
    raise RefusedError(
        f"a bootstrap of {unit} was refused: the unit has a champion",
        found=f"champion {current.champion}",
        accepted="a unit whose fallback answers",
        next_step=next_run(desk, current),
    )


def rules_for(desk: Desk, current: UnitState, subject: Release) -> tuple[Rule, ...]:
    """The rules that judge the release: `gates` beside a champion, `bootstrap` beside the plain baseline.

    So the list follows from what the release is compared with, and that from the ledger alone.
    `release_record` counts in each list that counts anything, whether stack.yaml names it or not.
    """
    spec = unit_spec(desk, current.unit)
    return _with_record(spec.gates if opponent(current, subject.name) else spec.bootstrap)


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
