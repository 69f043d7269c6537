from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mangaops.errors import IllegalMove
from mangaops.registry import OPEN, TRANSITIONS, advance, is_fallback, picture
from mangaops.vocabulary import EventKind, State

EVERY = list(itertools.product(State, EventKind))
MOVES = {
    ("candidate", "offline_passed"): "challenger",
    ("candidate", "rejected"): "rejected",
    ("candidate", "withdrawn"): "withdrawn",
    ("challenger", "shadow_started"): "shadow",
    ("challenger", "promoted"): "champion",
    ("challenger", "rejected"): "rejected",
    ("challenger", "withdrawn"): "withdrawn",
    ("shadow", "promoted"): "champion",
    ("shadow", "rejected"): "rejected",
    ("shadow", "withdrawn"): "withdrawn",
    ("champion", "promoted"): "retired",
    ("champion", "rolled_back"): "rolled_back",
    ("retired", "rolled_back"): "champion",
    ("rejected", "reopened"): "candidate",
    ("withdrawn", "reopened"): "candidate",
    ("rolled_back", "reopened"): "candidate",
}


@pytest.mark.parametrize(("state", "kind"), EVERY)
def test_a_release_moves_as_the_table_says_and_no_other_way(state: State, kind: EventKind) -> None:
    if kind in TRANSITIONS[state]:
        assert advance(state, kind) == MOVES.get((state, kind), state)
        return
    assert (state, kind) not in MOVES
    with pytest.raises(IllegalMove, match=f"{kind} was refused for a release that is {state}") as caught:
        advance(state, kind)
    assert set(caught.value.accepted.removeprefix("in this state: ").split(", ")) == set(TRANSITIONS[state])


def test_every_state_can_be_reached_and_none_but_the_open_ones_is_promoted() -> None:
    assert {after for row in TRANSITIONS.values() for after in row.values()} == set(State)
    promoted = {s for s, row in TRANSITIONS.items() if row.get(EventKind.PROMOTED) == State.CHAMPION}
    assert promoted < OPEN


def test_the_picture_has_every_move_and_nothing_else() -> None:
    lines = {line.strip() for line in picture().splitlines()[2:]}
    assert lines == {f"{before} --> {after}: {kind}" for (before, kind), after in MOVES.items()}
    assert "[*] --> candidate: release_registered" in picture()


def test_a_fallback_is_known_by_its_prefix() -> None:
    assert is_fallback("fallback:offer_human")
    assert not is_fallback("router-1")


DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_docs_show_the_picture_and_every_event() -> None:
    assert picture() in (DOCS / "lifecycle.md").read_text(encoding="utf-8")
    told = (DOCS / "path.md").read_text(encoding="utf-8")
    assert [kind for kind in EventKind if kind not in told] == []
