"""Ledger and fold against a model that is a few lines long, for any order of moves (hypothesis)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import histories as h
from mangaops.errors import IllegalMove, RevisionConflict
from mangaops.registry import Draft, UnitState, fold
from mangaops.store import Head, Ledger
from mangaops.vocabulary import Outcome, State


class Releases(RuleBasedStateMachine):
    """Moves at random; most are legal, some are not, and the model says which."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(f"sqlite:///{Path(self.folder.name)}/ledger.db")
        self.states: dict[int, str] = {}
        self.decided: dict[int, tuple[str, int]] = {}
        self.champion: int | None = None
        self.prepared: int | None = None
        self.stack: list[int | None] = []
        self.generation = 0
        self.revision = 0
        self.witness: list[Head] = []

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def tell(self, *told: Draft, legal: bool = True) -> bool:
        before = self.ledger.heads()
        try:
            self.ledger.append(told, expect={"router": self.revision}, at=h.AT)
        except IllegalMove:
            assert not legal
            assert self.ledger.heads() == before
            return False
        assert legal
        self.revision += len(told)
        self.witness.append(self.ledger.heads()["router"])
        return True

    def open(self) -> int | None:
        return next((n for n, s in self.states.items() if s in {"candidate", "challenger", "shadow"}), None)

    def promotable(self) -> tuple[int, bool]:
        """The open release, and whether a promotion of it is legal."""
        number = self.open()
        assert number is not None
        decided = self.decided.get(number) == (Outcome.PROMOTE, self.generation)
        return number, decided and self.states[number] != "candidate"

    def pointer(self, number: int | None) -> str:
        return h.FALLBACK if number is None else f"router-{number}"

    @initialize()
    def first(self) -> None:
        self.register()

    @rule()
    def register(self) -> None:
        number = len(self.states) + 1
        if self.tell(h.model(number), h.release(number), legal=self.open() is None):
            self.states[number] = "candidate"

    @rule(number=st.integers(1, 6))
    def passes(self, number: int) -> None:
        if self.tell(h.passed(number), legal=self.states.get(number) == "candidate"):
            self.states[number] = "challenger"

    @rule(number=st.integers(1, 6))
    def shadows(self, number: int) -> None:
        if self.tell(h.shadowed(number), legal=self.states.get(number) == "challenger"):
            self.states[number] = "shadow"

    @rule(number=st.integers(1, 6), outcome=st.sampled_from(Outcome))
    def decides(self, number: int, outcome: Outcome) -> None:
        if self.tell(h.decided(number, outcome), legal=number == self.open()):
            self.decided[number], self.prepared = (outcome, self.generation), None

    @precondition(lambda self: self.open() is not None)
    @rule()
    def prepares(self) -> None:
        number, legal = self.promotable()
        told = h.prepared(number, after=self.champion, generation=self.generation + 1)
        if self.tell(told, legal=legal):
            self.prepared = number

    @rule(number=st.integers(1, 6))
    def aborts(self, number: int) -> None:
        if self.tell(h.aborted(number), legal=number == self.prepared):
            self.prepared = None

    @precondition(lambda self: self.open() is not None)
    @rule()
    def promotes(self) -> None:
        number, legal = self.promotable()
        told = h.promoted(number, after=self.champion, generation=self.generation + 1)
        if self.tell(told, legal=legal):
            if self.champion is not None:
                self.states[self.champion] = "retired"
            self.stack.append(self.champion)
            self.states[number], self.champion, self.prepared = "champion", number, None
            self.generation += 1

    @precondition(lambda self: self.champion is not None)
    @rule(depth=st.integers(0, 2))
    def rolls_back(self, depth: int) -> None:
        assert self.champion is not None
        to = self.stack[max(0, len(self.stack) - 1 - depth)]
        self.tell(h.rolled_back(self.champion, self.pointer(to), self.generation + 1))
        self.states[self.champion] = "rolled_back"
        while self.stack.pop() != to:
            pass
        self.champion, self.generation, self.prepared = to, self.generation + 1, None
        if to is not None:
            self.states[to] = "champion"

    @rule(number=st.integers(1, 6), how=st.sampled_from(["rejected", "withdrawn"]))
    def ends(self, number: int, how: str) -> None:
        told = h.rejected(number) if how == "rejected" else h.withdrawn(number)
        if self.tell(told, legal=number == self.open()):
            self.states[number], self.prepared = how, None

    @rule(number=st.integers(1, 6))
    def reopens(self, number: int) -> None:
        closed = self.states.get(number) in {"rejected", "withdrawn", "rolled_back"}
        if self.tell(h.reopened(number), legal=closed and self.open() is None):
            self.states[number] = "candidate"
            self.decided.pop(number, None)

    @rule(behind=st.integers(1, 3))
    def comes_late(self, behind: int) -> None:
        try:
            self.ledger.append([h.requested(1, "router")], expect={"router": self.revision - behind}, at=h.AT)
        except RevisionConflict:
            return
        raise AssertionError("two writers won one revision")

    @invariant()
    def state_is_the_fold(self) -> None:
        state: UnitState = fold(self.ledger.read("router"))
        assert {n: str(r.state) for n, r in state.releases.items()} == {
            f"router-{n}": s for n, s in self.states.items()
        }
        assert state.revision == self.revision
        assert state.generation == self.generation
        assert state.champion == (None if self.champion is None else f"router-{self.champion}")
        assert (state.prepared and state.prepared.release) == (
            None if self.prepared is None else f"router-{self.prepared}"
        )
        assert state.rollback == tuple(self.pointer(n) for n in self.stack)
        champions = [r for r in state.releases.values() if r.state == State.CHAMPION]
        assert [r.name for r in champions] == ([state.champion] if state.champion else [])
        assert all(n is None or self.states[n] == "retired" for n in self.stack)

    @invariant()
    def every_witness_is_content(self) -> None:
        assert self.ledger.verify(self.witness).ok


TestReleases = Releases.TestCase
TestReleases.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
