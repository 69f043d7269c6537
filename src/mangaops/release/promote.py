"""A promotion, verbs in order. Nothing in this file can be forced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mangaops.registry import Permit, drafts, permit
from mangaops.release.desk import Desk, append, release_of, revisions, state
from mangaops.release.standing import rollback_pointer, standing_promotion
from mangaops.vocabulary import Purpose

Prove = Callable[[Permit], object]
"""Loads the permitted artifact as serving would, and raises what that raises."""


@dataclass(frozen=True)
class Promoted:
    """Who serves now, who did before, and where a rollback leads."""

    champion: str
    before: str | None
    rollback_pointer: str
    generation: int


def promote(desk: Desk, unit: str, release: str, *, prove: Prove, reason: str) -> Promoted:
    """The release is champion and the old champion, proven to load, is the rollback pointer.

    Raises:
        RefusedError: no stored PROMOTE for exactly these digests, or the evidence is no longer the newest.
        IntegrityError: the release or the rollback pointer does not load.
        RevisionConflict: another verb appended first: of two promotions one wins.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    read = revisions(desk, current, subject)
    decision = standing_promotion(desk, current, subject)
    for each in permit(current, release, Purpose.MEASURE).values():
        prove(each)
    pointer = rollback_pointer(desk, current, prove)
    generation = current.generation + 1
    draft = drafts.promoted(
        unit,
        release=release,
        decision=decision,
        rollback_pointer=pointer,
        generation=generation,
        from_=current.champion,
        reason=reason,
        actor=desk.actor,
    )
    append(desk, [draft], expect=read)
    return Promoted(release, current.champion, pointer, generation)
