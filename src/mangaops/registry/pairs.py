"""Which versions of models were judged together: a release is a set, and only a judged set may serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mangaops.errors import Untracked
from mangaops.registry.permit import permit
from mangaops.registry.state import Release, UnitState
from mangaops.vocabulary import Digest, Outcome, Part, Purpose, State


@dataclass(frozen=True)
class JudgedPair:
    """Model versions that one release holds together, and the newest decision on it.

    `models` maps each model to its version, `parts` each part to its artifact. `may_serve`: the release is
    the champion or a rollback pointer, or a cutover to it is prepared.
    """

    release: str
    digest: Digest
    models: Mapping[str, str]
    parts: Mapping[Part, Digest]
    outcome: Outcome
    decision: Digest
    at: str
    state: State
    may_serve: bool


def judged_pairs(state: UnitState) -> tuple[JudgedPair, ...]:
    """Every set of two models or more that was judged as one, in the order of releases.

    The same versions with another index are another release, and judged anew. What is not here was never
    judged together, and nothing promotes it.
    """
    judged = [each for each in state.releases.values() if len(each.models) > 1 and each.decisions]
    return tuple(_judged(state, each) for each in judged)


def _judged(state: UnitState, release: Release) -> JudgedPair:
    newest = release.decisions[-1]
    return JudgedPair(
        release=release.name,
        digest=release.digest,
        models=release.models,
        parts=release.parts,
        outcome=newest.outcome,
        decision=newest.digest,
        at=newest.at,
        state=release.state,
        may_serve=_may_serve(state, release),
    )


def _may_serve(state: UnitState, release: Release) -> bool:
    try:
        permit(state, release.name, Purpose.SERVE)
    except Untracked:
        return False
    return True
