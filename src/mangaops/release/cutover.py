"""A cutover in two phases: who serves is asked before the champion moves, and listened to afterwards.

First every living member that serves the unit loads the release and says READY; one that refuses, or says
nothing in time, ends the cutover and the champion stays. Then the champion moves, and the members say that
they serve it. Whoever dies meanwhile is not waited for, whoever appears is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mangaops.errors import RefusedError, RevisionConflict
from mangaops.registry import Draft, Event, UnitState, drafts
from mangaops.release.desk import Desk, Progress, append, state
from mangaops.store import Member
from mangaops.vocabulary import Acknowledged, EventKind


@dataclass(frozen=True)
class Patience:
    """In seconds: how long members may take to load, then to switch, and how often one looks."""

    ready: float = 60.0
    active: float = 10.0
    poll: float = 0.02


PATIENCE = Patience()


@dataclass(frozen=True)
class Switched:
    """Who follows the ledger, in how many milliseconds (None: it did not say), and who does not.

    `seconds` passed here from the event until the last of those who follow had said so.
    """

    acknowledged: Mapping[str, float | None]
    silent: tuple[str, ...]
    seconds: float = 0.0

    @property
    def says(self) -> str:
        """For the end of a sentence; empty where no gateway runs."""
        members = len(self.acknowledged) + len(self.silent)
        if not members:
            return ""
        within = f" {self.seconds:.2f} s later" if self.acknowledged else ""
        serve = f"; {len(self.acknowledged)} of {members} gateway workers follow{within}"
        return serve + (f", silent: {', '.join(self.silent)}" if self.silent else "")


class _Behind(RefusedError):
    """A member appeared, or changed its word, between the last look and the transaction."""


def cut_over(
    desk: Desk,
    made: Draft,
    expect: Mapping[str, int],
    patience: Patience = PATIENCE,
    progress: Progress = None,
) -> Event:
    """The promotion `made` is in the ledger; no living member lacked the release in that transaction.

    Raises:
        RefusedError: a member refused or was silent; the cutover is aborted, the champion stays.
        RevisionConflict: another verb appended first.
    """
    asked = _prepared(desk, made, expect) or append(desk, [_preparation(made)], expect=expect)[0]
    deadline = time.monotonic() + patience.ready
    read = {**expect, asked.stream: asked.revision}
    while True:
        _await_ready(desk, asked, deadline, patience, progress)
        try:
            return append(desk, [made], expect=read, check=partial(_require_ready, desk, asked))[0]
        except _Behind:
            continue


def await_active(
    desk: Desk, moved: Event, after: UnitState, patience: Patience = PATIENCE, progress: Progress = None
) -> Switched:
    """Who serves what `moved` made champion, once all living members do or their time is over.

    `after` is the unit as `moved` left it. A member counts also when it says that it is there, or further.
    """
    begun = time.monotonic()
    while True:
        words = desk.gateways.acknowledgements(moved.stream, moved.revision)
        members = desk.gateways.members(moved.stream)
        active = [m.member for m in members if _word(words, m) == Acknowledged.ACTIVE or _follows(m, after)]
        silent = [m.member for m in members if m.member not in active]
        waited = [name for name in silent if name not in words or words[name].word != Acknowledged.REFUSED]
        _tell(progress, "gateway workers that follow", len(active), len(members))
        if not waited or time.monotonic() - begun > patience.active:
            took = {name: words[name].milliseconds if name in words else None for name in active}
            return Switched(took, tuple(silent), round(time.monotonic() - begun, 4))
        time.sleep(patience.poll)


def last_move(desk: Desk, unit: str) -> Event | None:
    """The event that made the unit's champion, or took the last one away; None where it never had one."""
    moves = (EventKind.PROMOTED, EventKind.ROLLED_BACK)
    return next((each for each in reversed(desk.ledger.read(unit)) if each.kind in moves), None)


def _prepared(desk: Desk, made: Draft, expect: Mapping[str, int]) -> Event | None:
    """The preparation of this very promotion, if a command that was killed left it as the newest event.

    Raises:
        RevisionConflict: another verb appended first.
    """
    unit, body = made.stream, made.body
    known = state(desk, unit).prepared
    same = known is not None and (known.release, known.decision, known.generation, known.revision) == (
        body["release"],
        body["decision"],
        body["generation"],
        expect.get(unit),
    )
    if known is None or not same:
        return None
    append(desk, [], expect=expect)
    return desk.ledger.read(unit, after=known.revision - 1)[0]


def _preparation(made: Draft) -> Draft:
    body = made.body
    return drafts.cutover_prepared(
        made.stream,
        release=body["release"],
        decision=body["decision"],
        generation=body["generation"],
        from_=body["from"],
        reason=body["reason"],
        actor=made.actor,
    )


def _await_ready(desk: Desk, asked: Event, deadline: float, patience: Patience, progress: Progress) -> None:
    release = asked.body["release"]
    while True:
        members = desk.gateways.members(asked.stream)
        words = desk.gateways.acknowledgements(asked.stream, asked.revision)
        said = {m.member: _word(words, m) for m in members}
        refused = {name: words[name].reason or "no reason" for name in said if said[name] == "refused"}
        missing = [name for name, word in said.items() if word != Acknowledged.READY]
        _tell(progress, f"gateway workers ready for {release}", len(said) - len(missing), len(said))
        if refused:
            raise _aborted(desk, asked, refused, len(said))
        if not missing:
            return
        if time.monotonic() > deadline:
            silent = dict.fromkeys(missing, f"silent for {patience.ready:g} s")
            raise _aborted(desk, asked, silent, len(said))
        _require_unmoved(desk, asked)
        time.sleep(patience.poll)


def _require_ready(desk: Desk, asked: Event, connection: Any) -> None:
    if desk.gateways.lacking(connection, asked.stream, asked.revision, Acknowledged.READY):
        raise _Behind("a member of a gateway is not ready")


def _require_unmoved(desk: Desk, asked: Event) -> None:
    found = desk.ledger.heads()[asked.stream].revision
    if found != asked.revision:
        raise RevisionConflict(
            f"promoting {asked.body['release']} was refused: another change came first",
            found=f"{asked.stream} at revision {found}",
            accepted=f"{asked.stream} at revision {asked.revision}, where the cutover was prepared",
            next_step="read the state again, decide again",
        )


def _aborted(desk: Desk, asked: Event, refusals: Mapping[str, str], members: int) -> RefusedError:
    """The cutover is aborted in the ledger; the error that says why."""
    release, told = asked.body["release"], "; ".join(f"{name}: {why}" for name, why in refusals.items())
    draft = drafts.cutover_aborted(
        asked.stream,
        release=release,
        refusals=refusals,
        reason=f"{len(refusals)} of {members} gateway workers did not get ready",
        actor=desk.actor,
    )
    append(desk, [draft], expect={asked.stream: asked.revision})
    champion = state(desk, asked.stream).champion
    return RefusedError(
        f"promoting {release} was refused: {len(refusals)} of {members} gateway workers did not get ready",
        found=told,
        accepted=f"every living worker ready; {champion or 'the fallback'} stays champion",
        next_step="mangaops gateway list; mend or stop that worker, then run the same command again",
    )


def _word(words: Mapping[str, Any], member: Member) -> Acknowledged | None:
    return words[member.member].word if member.member in words else None


def _follows(member: Member, after: UnitState) -> bool:
    said = member.doing.get("units", {}).get(after.unit, {})
    generation = said.get("generation") or 0
    there = generation == after.generation and said.get("active") == after.champion
    return bool(generation > after.generation or there)


def _tell(progress: Progress, what: str, done: int, total: int) -> None:
    if progress is not None and total:
        progress(what, done, total)
