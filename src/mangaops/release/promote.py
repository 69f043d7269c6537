"""A promotion, verbs in order, in two phases (`cutover`). Nothing in this file can be forced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mangaops.registry import UnitState, drafts, permit
from mangaops.release.cutover import PATIENCE, Patience, Switched, await_active, cut_over, last_move
from mangaops.release.desk import Desk, Progress, release_of, revisions, state
from mangaops.release.standing import Prove, rollback_pointer, standing_promotion
from mangaops.vocabulary import EventKind, Purpose


@dataclass(frozen=True)
class Promoted:
    """Who serves now, who did before, and where a rollback leads.

    `acknowledged` has the milliseconds that each gateway worker took to follow (None: it did not say),
    `silent` the workers that live and did not follow in time; `seconds` passed until the last had said so.
    """

    champion: str
    before: str | None
    rollback_pointer: str
    generation: int
    acknowledged: Mapping[str, float | None] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    seconds: float = 0.0


def promote(
    desk: Desk,
    unit: str,
    release: str,
    *,
    prove: Prove,
    reason: str,
    progress: Progress = None,
    patience: Patience = PATIENCE,
) -> Promoted:
    """The release is champion and the old champion, proven to load, is the rollback pointer.

    A release that is champion already is left so: a command that was killed after it promoted goes on.

    Raises:
        RefusedError: no stored PROMOTE for exactly these digests, or the evidence is no longer the newest;
            or a gateway's worker refused the release or was silent, and the cutover is aborted.
        IntegrityError: the release or the rollback pointer does not load.
        RevisionConflict: another verb appended first: of two promotions one wins.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    moved = last_move(desk, unit) if current.champion == release else None
    if moved is not None:
        before = moved.body["from" if moved.kind == EventKind.PROMOTED else "release"]
        return _told(current, before, await_active(desk, moved, current, patience, progress))
    read = revisions(desk, current, subject)
    decision = standing_promotion(desk, current, subject)
    prove(permit(current, release, Purpose.MEASURE))
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
    done = cut_over(desk, draft, read, patience, progress)
    after = replace(current, champion=release, generation=generation, rollback=(*current.rollback, pointer))
    return _told(after, current.champion, await_active(desk, done, after, patience, progress))


def _told(after: UnitState, before: str | None, switched: Switched) -> Promoted:
    return Promoted(
        champion=str(after.champion),
        before=before,
        rollback_pointer=after.rollback[-1],
        generation=after.generation,
        acknowledged=switched.acknowledged,
        silent=switched.silent,
        seconds=switched.seconds,
    )
