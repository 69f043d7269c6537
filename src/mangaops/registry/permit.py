"""Permits: what a loader needs before it makes a predictor of a sealed artifact.

Only `permit` and `measuring` make one, from a folded ledger: what the ledger does not list in a
state that may serve cannot be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mangaops.errors import Untracked
from mangaops.registry.state import UnitState
from mangaops.vocabulary import Digest, Family, Purpose, State

ALLOWED: Final[dict[Purpose, frozenset[State]]] = {
    Purpose.MEASURE: frozenset(State) - {State.REJECTED, State.WITHDRAWN},
    Purpose.SHADOW: frozenset({State.CHALLENGER, State.SHADOW, State.CHAMPION}),
    Purpose.SERVE: frozenset({State.CHAMPION}),
}
"""The states in which a release may be loaded; a rollback pointer may be for every purpose.

To serve, a release may be loaded also while a cutover to it is prepared.
"""


@dataclass(frozen=True)
class Permit:
    """Leave to load exactly this artifact with exactly this fingerprint.

    `family` is that of a model. A part of a release that is no model has none, its own name in the model's
    place, the release's in the version's, and no fingerprint: its artifact alone says what it is.
    """

    model: str
    version: str
    artifact: Digest
    fingerprint: str
    family: Family | None = None


def permit(state: UnitState, release: str, purpose: Purpose | str) -> dict[str, Permit]:
    """A permit for each model of the release, by model, in its order; and for each of its parts, by its name.

    Raises:
        Untracked: the ledger knows no such release, or it is in a state that the purpose does not allow.
    """
    purpose = Purpose(purpose)
    found = state.releases.get(release)
    if found is None:
        raise Untracked(
            f"loading {release} to {purpose} was refused: the ledger has no such release",
            accepted=", ".join(list(state.releases)[-5:]) or "nothing: no release is registered",
            next_step="register it: mangaops release run",
        )
    prepared = state.prepared is not None and state.prepared.release == release
    allowed = found.state in ALLOWED[purpose] or (purpose == Purpose.SERVE and prepared)
    if not allowed and release not in state.rollback:
        raise Untracked(
            f"loading {release} to {purpose} was refused: it is {found.state}",
            found=f"{found.state} since {found.stands_since}: {found.stands_because}",
            accepted=f"{', '.join(sorted(ALLOWED[purpose]))}, or a rollback pointer",
            next_step=f"mangaops release explain {release}",
        )
    models = {model: measuring(state, f"{model}@{version}") for model, version in found.models.items()}
    parts = {str(part): Permit(part, release, artifact, "", None) for part, artifact in found.parts.items()}
    return {**models, **parts}


def measuring(state: UnitState, model_version: str) -> Permit:
    """A permit for a registered model version by itself: to train and measure with, never to serve.

    Raises:
        Untracked: the ledger lists no such version.
    """
    found = state.models.get(model_version)
    if found is None:
        raise Untracked(
            f"loading {model_version} was refused: the ledger does not list it",
            accepted=", ".join(list(state.models)[-5:]) or "nothing: no model is registered",
            next_step="mangaops registry list",
        )
    return Permit(found.model, found.version, found.artifact, found.fingerprint, found.family)
