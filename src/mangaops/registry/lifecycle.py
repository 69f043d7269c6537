"""The life of a release, as a table.

Rule 1: a release moves only as `TRANSITIONS` says: `TRANSITIONS[state][event]` is the state after the
event. What is not in the table is an `IllegalMove`, raises, and changes nothing.

Rule 2: two kinds of event touch two releases. `promoted` makes the release that it names champion, and the
champion of before retired: a champion is never promoted, so `TRANSITIONS[CHAMPION][PROMOTED]` is what
becomes of the one that makes way. `rolled_back` makes the champion rolled_back, and the retired release
that it names champion again.

Rule 3: events that measure, review or explain leave the state alone. They stand in the table all the same,
since not every state allows them: nothing is measured for a release that is withdrawn.

Rule 4: `candidate`, `challenger` and `shadow` are open, and a unit has at most one open release. A newer
one withdraws it first.

Rule 5: the way to champion leads over `offline_passed`. Shadow is a state of its own and not a must of
this table: a first champion has nobody to be shadowed against, and which evidence a promotion needs is
for the gates to say. There is no event that forces anything.

Rule 6: a cutover is prepared before it is promoted, by the rules of a promotion; what is prepared may be
loaded to serve and is no champion. Preparing moves no release, and old ledgers promote without it.

Rule 7: `rejected`, `withdrawn` and `rolled_back` are left by `reopened` alone, with a reason; what was
decided before a reopening promotes nothing after it.
"""

from __future__ import annotations

from typing import Final

from mangaops.errors import IllegalMove
from mangaops.vocabulary import FALLBACK, EventKind, State

_S, _E = State, EventKind

_REVIEWED: Final = (_E.EVIDENCE_RECORDED, _E.REVIEW_OPENED, _E.REVIEW_ANSWERED, _E.DECIDED)
_NOTES: Final = (*_REVIEWED, _E.ERROR_REVIEW_OPENED)
_CUTOVER: Final = (_E.CUTOVER_PREPARED, _E.CUTOVER_ABORTED)


def _stay(state: State, *kinds: EventKind) -> dict[EventKind, State]:
    return dict.fromkeys(kinds, state)


TRANSITIONS: Final[dict[State, dict[EventKind, State]]] = {
    _S.CANDIDATE: {
        _E.OFFLINE_PASSED: _S.CHALLENGER,
        _E.REJECTED: _S.REJECTED,
        _E.WITHDRAWN: _S.WITHDRAWN,
        **_stay(_S.CANDIDATE, *_NOTES),
    },
    _S.CHALLENGER: {
        _E.SHADOW_STARTED: _S.SHADOW,
        _E.PROMOTED: _S.CHAMPION,
        _E.REJECTED: _S.REJECTED,
        _E.WITHDRAWN: _S.WITHDRAWN,
        **_stay(_S.CHALLENGER, *_NOTES, *_CUTOVER),
    },
    _S.SHADOW: {
        _E.PROMOTED: _S.CHAMPION,
        _E.REJECTED: _S.REJECTED,
        _E.WITHDRAWN: _S.WITHDRAWN,
        **_stay(_S.SHADOW, *_NOTES, *_CUTOVER),
    },
    _S.CHAMPION: {
        _E.PROMOTED: _S.RETIRED,
        _E.ROLLED_BACK: _S.ROLLED_BACK,
        **_stay(_S.CHAMPION, _E.EVIDENCE_RECORDED, _E.ERROR_REVIEW_OPENED),
    },
    _S.RETIRED: {_E.ROLLED_BACK: _S.CHAMPION, **_stay(_S.RETIRED, _E.EVIDENCE_RECORDED)},
    _S.REJECTED: {_E.REOPENED: _S.CANDIDATE, **_stay(_S.REJECTED, _E.ERROR_REVIEW_OPENED)},
    _S.WITHDRAWN: {_E.REOPENED: _S.CANDIDATE},
    _S.ROLLED_BACK: {_E.REOPENED: _S.CANDIDATE, **_stay(_S.ROLLED_BACK, _E.ERROR_REVIEW_OPENED)},
}

OPEN: Final = frozenset({_S.CANDIDATE, _S.CHALLENGER, _S.SHADOW})
"""The states of a release that is on its way; a unit has at most one."""


def advance(state: State, kind: EventKind) -> State:
    """The state after the event.

    Raises:
        IllegalMove: the table has no such arrow.
    """
    after = TRANSITIONS[state].get(kind)
    if after is None:
        raise IllegalMove(
            f"{kind} was refused for a release that is {state}",
            found=f"state {state}",
            accepted=f"in this state: {', '.join(sorted(TRANSITIONS[state]))}",
            next_step=_next_step(state),
        )
    return after


def _next_step(state: State) -> str:
    if EventKind.REOPENED in TRANSITIONS[state]:
        return "mangaops release reopen RELEASE --reason '...', or register a newer one"
    return "read the release's state again: mangaops release show"


def is_fallback(pointer: str) -> bool:
    """Whether a rollback pointer names no release but what the unit does without one."""
    return pointer.startswith(FALLBACK)


def picture() -> str:
    """The table as a mermaid state diagram; events that leave the state alone are not drawn."""
    lines = ["stateDiagram-v2", f"    [*] --> {_S.CANDIDATE}: {_E.RELEASE_REGISTERED}"]
    for state, moves in TRANSITIONS.items():
        lines += [f"    {state} --> {after}: {kind}" for kind, after in moves.items() if after != state]
    return "\n".join(lines) + "\n"
