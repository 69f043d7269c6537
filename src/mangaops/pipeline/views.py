"""What commands show: JSON values read from the ledger, nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mangaops.errors import IntegrityError, UsageError
from mangaops.gates import Decision
from mangaops.pipeline.digests import chosen
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import Release, UnitState, judged_pairs, judging, record
from mangaops.release.desk import next_run, state
from mangaops.release.due import due, without_champion
from mangaops.release.standing import read_decision
from mangaops.stack import Stack, guess
from mangaops.store import CatalogueLog, Head
from mangaops.vocabulary import DIGEST

Row = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """A release that was found by its name, and its unit."""

    unit: str
    current: UnitState
    release: Release


def find_release(shop: Workshop, name: str) -> Named:
    """The release of that name: `router-3`, or `v3` and `3` where the stack has one unit.

    The name of a unit stands for its open release, or for its newest where none is open. A digest does as
    well, whole or its first 8 digits or more.

    Raises:
        UsageError: no unit has such a release, or several digests begin so.
    """
    units = shop.desk.stack.units
    if name in units:
        current = state(shop.desk, name)
        name = current.challenger or next(reversed(list(current.releases)), name)
    short = name.removeprefix("v")
    wanted = f"{next(iter(units))}-{short}" if len(units) == 1 and short.isdigit() else name
    states = [state(shop.desk, unit) for unit in units]
    known = {each.name: each.digest for current in states for each in current.releases.values()}
    if meant := chosen(wanted, known, what="release"):
        current = next(each for each in states if meant[0] in each.releases)
        return Named(current.unit, current, current.releases[meant[0]])
    fitting = [unit for unit in units if name == unit or name.startswith(f"{unit}-")]
    likely = fitting or list(units)
    raise UsageError(
        f"release {name!r} was refused: no unit has such a release{'' if fitting else guess(name, units)}",
        accepted=", ".join(list(known)[-8:]) or "none is registered yet",
        next_step=f"mangaops release list {likely[0] if len(likely) == 1 else 'UNIT'}",
    )


def shown(shop: Workshop, name: str) -> Row:
    """Where a release stands: state, models, evidence, decision table."""
    named = find_release(shop, name)
    release, current = named.release, named.current
    decision = last_decision(shop, release)
    return {
        "release": release.name,
        "unit": named.unit,
        "digest": release.digest,
        "state": str(release.state),
        "since": release.stands_since,
        "reason": release.stands_because,
        "because": str(release.because),
        "models": dict(release.models),
        "parts": {str(part): artifact for part, artifact in release.parts.items()},
        "champion": current.champion,
        "rollback_pointer": current.rollback[-1] if current.rollback else None,
        "generation": current.generation,
        "prepared": current.prepared.release if current.prepared else None,
        "evidence": [
            {"kind": str(ref.kind), "digest": ref.digest, "attempt": ref.attempt, "at": ref.at}
            for ref in release.evidence
        ],
        "outcome": str(decision.outcome) if decision else None,
        "price": dict(decision.price) if decision else {},
        "findings": [finding.as_dict() for finding in decision.findings] if decision else [],
        "ledger_head": f"{named.unit}:{current.revision}:{current.head}",
    }


def last_decision(shop: Workshop, release: Release) -> Decision | None:
    """The newest decision on a release, None where it was never judged."""
    if not release.decisions:
        return None
    return Decision.from_dict(read_decision(shop.desk, release.decisions[-1].digest)["decision"])


def releases(shop: Workshop, unit: str) -> Row:
    """Every release of a unit with the moment that it was registered at, oldest first."""
    current = state(shop.desk, unit)
    rows = [
        {
            "release": each.name,
            "state": str(each.state),
            "models": ", ".join(f"{model}@{version}" for model, version in each.models.items()),
            "because": str(each.because),
            "decision": str(each.decisions[-1].outcome) if each.decisions else None,
            "registered_at": each.at,
        }
        for each in current.releases.values()
    ]
    pointer = current.rollback[-1] if current.rollback else None
    return {"unit": unit, "champion": current.champion, "rollback_pointer": pointer, "releases": rows}


def pairs(shop: Workshop, unit: str) -> Row:
    """Every set of models that was judged as one, oldest first: nothing else of the unit can be promoted.

    `decided_at` is the moment of the newest decision on it.
    """
    rows = [
        {
            "release": each.release,
            "models": ", ".join(f"{model}@{version}" for model, version in each.models.items()),
            "decision": str(each.outcome),
            "state": str(each.state),
            "may_serve": each.may_serve,
            "decided_at": each.at,
        }
        for each in judged_pairs(state(shop.desk, unit))
    ]
    return {"unit": unit, "pairs": rows}


def find_record(shop: Workshop, model_version: str) -> Row:
    """The registry record of `model@version`.

    Raises:
        Untracked: the ledger lists no such model version.
    """
    states = [state(shop.desk, unit) for unit in shop.desk.stack.units]
    for current in states:
        if model_version in current.models:
            return record(current, model_version)
    return record(states[0], model_version)


def records(shop: Workshop) -> list[Row]:
    """Every registry record."""
    states = [state(shop.desk, unit) for unit in shop.desk.stack.units]
    return [record(current, name) for current in states for name in current.models]


def reviews(shop: Workshop, name: str) -> list[Row]:
    """The reviews of a release: open or answered, how many items, by whom."""
    named = find_release(shop, name)
    return [
        {
            "review": ref.review,
            "state": "open" if ref.answer is None else "answered",
            "items": shop.desk.evidence.get(ref.evidence).tables["items"].height,
            "reviewer": ref.actor,
        }
        for ref in named.release.reviews
    ]


def due_units(stack: Stack, shop: Workshop | None, now: datetime) -> Row:
    """Units that should run now, by cadence and history, and those that must get a champion first."""
    states = {unit: state(shop.desk, unit) for unit in stack.units} if shop else {}
    found = due(stack, states, now)
    return {
        "due": [{key: str(value) for key, value in vars(each).items()} for each in found],
        "no_champion": [
            {
                "unit": unit,
                "next": next_run(shop.desk, states[unit])
                if shop
                else judging(unit, served=False, searches=stack.ranks(unit), logged=None),
            }
            for unit in without_champion(stack, states)
        ],
    }


def gateway_members(shop: Workshop) -> list[Row]:
    """Every living worker of every gateway, a row for each unit that it says it serves.

    `behind` is how many events of the unit's stream it has not followed yet; null where it does not say.
    """
    heads = shop.desk.ledger.heads()
    rows: list[Row] = []
    for member in shop.desk.gateways.members():
        who = {"member": member.member, "gateway": member.gateway, "worker": member.worker}
        where = {**who, "host": member.host_name, "pid": member.pid}
        units = member.doing.get("units", {})
        rows += [{**where, **_served(unit, said, heads)} for unit, said in sorted(units.items())]
        if not units:
            rows.append(
                {**where, "unit": None, "serves": None, "generation": None, "behind": None, "slots": {}}
            )
    return rows


def _served(unit: str, said: Mapping[str, Any], heads: Mapping[str, Head]) -> Row:
    revision = said.get("revision")
    behind = heads[unit].revision - revision if unit in heads and revision is not None else None
    told = {"unit": unit, "serves": said.get("active") or "fallback", "generation": said.get("generation")}
    return {**told, "behind": behind, "slots": dict(said.get("slots", {}))}


def log(shop: Workshop, stream: str | None) -> list[Row]:
    """Every event of a stream, or of all, in order of time."""
    streams = [stream] if stream else sorted(shop.desk.ledger.heads())
    events = [event for each in streams for event in shop.desk.ledger.read(each)]
    if stream and not events:
        raise UsageError(
            f"stream {stream!r} was refused: the ledger has none such",
            accepted=", ".join(sorted(shop.desk.ledger.heads())) or "the ledger is empty",
            next_step="mangaops audit log shows every stream",
        )
    return [
        {
            "stream": event.stream,
            "revision": event.revision,
            "at": event.at,
            "actor": event.actor,
            "kind": str(event.kind),
            "reason": event.reason,
            "body": event.body,
            "hash": event.hash,
        }
        for event in sorted(events, key=lambda each: (each.at, each.stream, each.revision))
    ]


def audit(shop: Workshop, witnesses: tuple[str, ...]) -> Row:
    """What a check of every row found, with the heads to witness outside."""
    found = shop.desk.ledger.verify([_witness(each) for each in witnesses])
    heads = dict(sorted(shop.desk.ledger.heads().items()))
    problems = [
        f"{each.stream}, revision {each.revision}: {each.damage}: {each.says}" for each in found.problems
    ]
    problems += [each for data in shop.desk.stack.search_data for each in _deltas(shop, data)]
    events = sum(head.revision for head in heads.values())
    whole = f"the ledger is whole: {events} events in {len(heads)} streams, each chained to the one before"
    return {
        "problems": problems,
        "says": f"the ledger is broken in {_places(len(problems))}" if problems else whole,
        "heads": [f"{name}:{head.revision}:{head.hash}" for name, head in heads.items()],
    }


def _deltas(shop: Workshop, data: str) -> list[str]:
    """What is wrong with the log of that catalogue, whose deltas are chained as events are."""
    try:
        CatalogueLog(shop.desk.ledger, data).read()
    except IntegrityError as error:
        return [f"{error.refused}; found {error.found}"]
    return []


def _places(count: int) -> str:
    return "one place" if count == 1 else f"{count} places"


def _witness(text: str) -> Head:
    stream, separator, rest = text.partition(":")
    revision, second, digest = rest.partition(":")
    if not separator or not second or not revision.isdigit() or not DIGEST.match(digest):
        raise UsageError(
            "a witness was refused",
            found=text,
            accepted="STREAM:REVISION:HASH as reports print it, with all 64 hex digits of the hash",
            next_step="mangaops audit verify prints the heads of today in this form",
        )
    return Head(stream, int(revision), digest)
