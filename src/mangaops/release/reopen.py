"""A rejected, withdrawn or rolled back release may try again, with a reason."""

from __future__ import annotations

from mangaops.registry import Draft, drafts
from mangaops.release.desk import Desk, append, release_of, state


def reopen(desk: Desk, unit: str, release: str, *, reason: str) -> None:
    """The release is a candidate again, and the unit's only open one.

    Raises:
        IllegalMove: the release is not rejected, withdrawn or rolled back.
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    made: list[Draft] = []
    if current.challenger not in (None, release):
        superseded = f"superseded by {release}, which was reopened"
        made.append(
            drafts.withdrawn(unit, release=str(current.challenger), reason=superseded, actor=desk.actor)
        )
    questioned = subject.decisions[-1].digest if subject.decisions else None
    made.append(drafts.reopened(unit, release=release, decision=questioned, reason=reason, actor=desk.actor))
    append(desk, made, expect={unit: current.revision})
