"""State is the fold of events: pure, and the only reader of bodies.

`fold` takes a unit's stream (or `stack`), `fold_data` a stream `data/<name>`. Both go on from a state that
was folded before (`onto`), so that a ledger can check a new event without reading the old ones again.
Rows are never migrated: a body of an old schema is brought up to the present one here, by `UPGRADES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from mangaops.errors import IllegalMove, LedgerTampered, SetupError
from mangaops.registry.building import Building
from mangaops.registry.events import SCHEMAS, Event
from mangaops.registry.moves import HANDLERS
from mangaops.registry.state import DatasetRecord, DataState, UnitState
from mangaops.vocabulary import Digest, EventKind

Body = dict[str, Any]
Upgrade = Callable[[Body], Body]

UPGRADES: Final[dict[tuple[EventKind, int], Upgrade]] = {
    (EventKind.RELEASE_REGISTERED, 1): lambda body: {**body, "parts": {}},
}
"""For a kind and a schema, the function that makes its body one of the next schema."""


def fold(events: Iterable[Event], onto: UnitState | None = None) -> UnitState:
    """The unit after these events, which follow those that `onto` was folded from.

    No event at all gives `onto`, or a state without a name, at revision 0.

    Raises:
        IllegalMove: an event that the lifecycle does not allow; it names stream and revision.
        LedgerTampered: a gap, a swap, another stream, or a broken chain among the events.
        SetupError: an event of a newer schema than this version of mangaops reads.
    """
    building = Building.of(onto)
    for event in events:
        building.unit = building.unit or event.stream
        _follows(event, building.unit, building.revision, building.head)
        handler = HANDLERS.get(event.kind)
        if handler is None:
            raise _misplaced(event)
        handler(building, event, upgraded(event))
        building.revision, building.head = event.revision, event.hash
    return building.freeze()


def fold_data(events: Iterable[Event], onto: DataState | None = None) -> DataState:
    """The dataset after these events, which follow those that `onto` was folded from.

    Raises:
        IllegalMove: a version recorded twice with another digest, or an event that is not about data.
        LedgerTampered: a gap, a swap, another stream, or a broken chain among the events.
        SetupError: an event of a newer schema than this version of mangaops reads.
    """
    state = onto or DataState("")
    data, revision, head = state.data, state.revision, state.head
    versions, golden = dict(state.versions), state.golden
    for event in events:
        data = data or event.stream.removeprefix("data/")
        _follows(event, f"data/{data}", revision, head)
        body = upgraded(event)
        if event.kind == EventKind.DATASET_RECORDED:
            _record_version(versions, event, body)
        elif event.kind != EventKind.GOLDEN_FROZEN:
            raise _misplaced(event)
        golden = body["golden_digest"]
        revision, head = event.revision, event.hash
    return DataState(data, revision, head, versions, golden)


def fold_stream(
    stream: str, events: Iterable[Event], onto: UnitState | DataState | None = None
) -> UnitState | DataState:
    """The state of any stream: a unit, `data/<name>`, or `stack`. Raises as `fold` and `fold_data` do."""
    if stream.startswith("data/"):
        return fold_data(events, onto if isinstance(onto, DataState) else None)
    return fold(events, onto if isinstance(onto, UnitState) else None)


def upgraded(
    event: Event,
    upgrades: Mapping[tuple[EventKind, int], Upgrade] = UPGRADES,
    newest: Mapping[EventKind, int] = SCHEMAS,
) -> Body:
    """The event's body in the newest schema of its kind.

    Raises:
        SetupError: the schema is newer than this version of mangaops, or no upgrade leads on from it.
    """
    body, schema = event.body, event.schema
    while (upgrade := upgrades.get((event.kind, schema))) is not None:
        body, schema = upgrade(body), schema + 1
    if schema != newest[event.kind]:
        raise SetupError(
            f"event {event.revision} of {event.stream} was refused: {event.kind} of schema {event.schema}",
            accepted=f"schemas up to {newest[event.kind]}",
            next_step="install the version of mangaops that wrote it, or a newer one",
        )
    return body


def _follows(event: Event, stream: str, revision: int, head: Digest) -> None:
    if event.stream == stream and event.revision == revision + 1 and event.previous_hash == head:
        return
    raise LedgerTampered(
        f"event {event.revision} of {event.stream} was refused: it does not follow revision {revision}",
        found=f"an event chained to {event.previous_hash}",
        accepted=f"revision {revision + 1} of {stream} chained to {head}",
        next_step="mangaops audit verify",
    )


def _misplaced(event: Event) -> IllegalMove:
    return IllegalMove(
        f"{event.kind} was refused: it does not belong into stream {event.stream}",
        found=f"revision {event.revision} of {event.stream}",
        accepted="facts about data in data/<name>, all others in a unit's stream",
    )


def _record_version(versions: dict[str, DatasetRecord], event: Event, body: Body) -> None:
    name, digest = body["name"], body["digest"]
    if name in versions:
        raise IllegalMove(
            f"dataset version {name} was refused: it is recorded already",
            found=f"{digest}, recorded as {versions[name].digest}",
            accepted="a name that is not taken",
        )
    versions[name] = DatasetRecord(
        name, digest, body["rows"], body["golden_digest"], event.at, event.revision
    )
