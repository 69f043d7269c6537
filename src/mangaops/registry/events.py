"""Events: the one form in which facts enter the ledger, their canonical text and their chain of hashes.

A fact is first a `Draft`, which says what happened and who says so. The ledger gives it a revision and a
time and chains it to the event before it; that is an `Event`, and it never changes again. `at` and `text`
(the body) are kept as the very characters that were hashed, so that a check needs no reader of the body.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, Final

import rfc8785

from mangaops.errors import IntegrityError, UsageError
from mangaops.vocabulary import STREAM_NAME, Because, Digest, EventKind, EvidenceKind, Outcome

GENESIS: Final[Digest] = "sha256:" + "0" * 64
"""The `previous_hash` of the first event of a stream, and the head of an empty one."""

_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)")
_STREAM = re.compile(rf"{STREAM_NAME.pattern}(/{STREAM_NAME.pattern})?")

Body = Mapping[str, Any]
_Types = tuple[type, ...]
_TEXT: Final[_Types] = (str,)
_MAYBE: Final[_Types] = (str, NoneType)
_MAP: Final[_Types] = (dict,)
_WHOLE: Final[_Types] = (int,)
_FLAG: Final[_Types] = (bool,)

BODIES: Final[dict[EventKind, dict[str, _Types]]] = {
    EventKind.DATASET_RECORDED: {"name": _TEXT, "digest": _TEXT, "rows": _WHOLE, "golden_digest": _TEXT},
    EventKind.GOLDEN_FROZEN: {"name": _TEXT, "golden_digest": _TEXT, "rows": _WHOLE, "labels": (list,)},
    EventKind.MODEL_REGISTERED: {
        "model": _TEXT,
        "version": _TEXT,
        "family": _TEXT,
        "artifact": _TEXT,
        "fingerprint": _TEXT,
        "dataset_version": _TEXT,
        "dataset": _TEXT,
        "training_code_sha": _TEXT,
        "config": _MAP,
        "metrics": _MAP,
    },
    EventKind.RELEASE_REGISTERED: {
        "release": _TEXT,
        "digest": _TEXT,
        "models": _MAP,
        "parts": _MAP,
        "because": _TEXT,
        "bootstrap": _FLAG,
    },
    EventKind.RUN_REQUESTED: {"run": _TEXT, "because": _TEXT, "details": _MAP},
    EventKind.RUN_STARTED: {"run": _TEXT, "because": _TEXT, "details": _MAP},
    EventKind.RUN_FINISHED: {"run": _TEXT, "outcome": _TEXT, "details": _MAP},
    EventKind.EVIDENCE_RECORDED: {
        "release": _TEXT,
        "evidence_kind": _TEXT,
        "digest": _TEXT,
        "binding": _MAP,
        "attempt": _WHOLE,
        "metrics": _MAP,
    },
    EventKind.OFFLINE_PASSED: {"release": _TEXT},
    EventKind.SHADOW_STARTED: {"release": _TEXT},
    EventKind.REVIEW_OPENED: {"release": _TEXT, "review": _TEXT, "evidence": _TEXT},
    EventKind.REVIEW_ANSWERED: {"release": _TEXT, "review": _TEXT, "evidence": _TEXT, "simulated": _FLAG},
    EventKind.DECIDED: {
        "release": _TEXT,
        "decision": _TEXT,
        "outcome": _TEXT,
        "verdicts": _MAP,
        "look": _WHOLE,
    },
    EventKind.CUTOVER_PREPARED: {
        "release": _TEXT,
        "decision": _TEXT,
        "generation": _WHOLE,
        "from": _MAYBE,
    },
    EventKind.CUTOVER_ABORTED: {"release": _TEXT, "refusals": _MAP},
    EventKind.PROMOTED: {
        "release": _TEXT,
        "decision": _TEXT,
        "rollback_pointer": _TEXT,
        "generation": _WHOLE,
        "from": _MAYBE,
    },
    EventKind.REJECTED: {"release": _TEXT, "decision": _MAYBE},
    EventKind.WITHDRAWN: {"release": _TEXT, "decision": _MAYBE},
    EventKind.REOPENED: {"release": _TEXT, "decision": _MAYBE},
    EventKind.ROLLED_BACK: {"release": _TEXT, "to": _TEXT, "generation": _WHOLE},
    EventKind.ERROR_REVIEW_OPENED: {"release": _TEXT, "document": _TEXT},
    EventKind.LOAD_REFUSED: {
        "unit": _TEXT,
        "release": _TEXT,
        "gateway": _TEXT,
        "worker": _WHOLE,
        "error": _TEXT,
        "found": _TEXT,
    },
}
"""The fields of each body beside `reason`, as the present schema has them."""

SCHEMAS: Final[dict[EventKind, int]] = {
    **dict.fromkeys(EventKind, 1),
    EventKind.RELEASE_REGISTERED: 2,
}
"""The schema that new events of each kind are written in. Old rows keep theirs: see `fold.UPGRADES`."""

_NO_REASON: Final = "no reason"
_SAY_WHY: Final = "say why: --reason TEXT"
_CLOSED: Final[dict[str, frozenset[str]]] = {
    "because": frozenset(Because),
    "evidence_kind": frozenset(EvidenceKind),
}
_OUTCOMES: Final = frozenset(Outcome)


@dataclass(frozen=True)
class Draft:
    """What happened, and who says so; not yet part of the ledger."""

    stream: str
    kind: EventKind
    body: Body
    actor: str


@dataclass(frozen=True)
class Event:
    """One fact of the ledger. `text` is the body as it was hashed; `body` is the same, parsed."""

    stream: str
    revision: int
    at: str
    actor: str
    kind: EventKind
    schema: int
    text: str
    previous_hash: Digest
    hash: Digest

    @cached_property
    def body(self) -> dict[str, Any]:
        """The parsed body. Raises IntegrityError where the stored text is no JSON object."""
        try:
            parsed = json.loads(self.text)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise IntegrityError(
                f"event {self.revision} of {self.stream} was refused: its body is no JSON object",
                next_step="mangaops audit verify",
            )
        return parsed

    @property
    def reason(self) -> str:
        """Why it happened, in the actor's words."""
        return str(self.body["reason"])


def canonical(value: Any) -> str:
    """The one text of a JSON value (RFC 8785): sorted keys, shortest numbers, no spaces.

    Raises:
        UsageError: NaN, infinity, whole numbers over 2**53, lone surrogates, or what JSON does not have.
    """
    try:
        return rfc8785.dumps(value).decode()
    except rfc8785.CanonicalizationError as error:
        raise UsageError(
            "an event was refused: its body is not JSON", found=str(error), accepted="RFC 8785 values"
        ) from error


def chained(
    stream: str, revision: int, at: str, actor: str, kind: str, schema: int, text: str, previous_hash: Digest
) -> Digest:
    """The hash of an event over all that it says and the hash of the event before it."""
    whole: dict[str, str | int] = {
        "stream": stream,
        "revision": revision,
        "at": at,
        "actor": actor,
        "kind": kind,
        "schema": schema,
        "body": text,
        "previous_hash": previous_hash,
    }
    return "sha256:" + hashlib.sha256(rfc8785.dumps(whole)).hexdigest()


def seal(draft: Draft, *, revision: int, at: str, previous_hash: Digest) -> Event:
    """The draft as the event that follows `previous_hash` in its stream.

    Revisions count from 1; `at` is RFC 3339 in UTC (`2026-04-20T03:00:00Z`).

    Raises:
        UsageError: the draft is incomplete (see `check`) or `at` is no time in UTC.
    """
    check(draft)
    if not _AT.fullmatch(at):
        raise UsageError("an event was refused: no time in UTC", found=at, accepted="2026-04-20T03:00:00Z")
    kind, schema, text = draft.kind, SCHEMAS[draft.kind], canonical(dict(draft.body))
    found = chained(draft.stream, revision, at, draft.actor, kind, schema, text, previous_hash)
    return Event(draft.stream, revision, at, draft.actor, kind, schema, text, previous_hash, found)


def check(draft: Draft) -> Draft:
    """The draft itself, once its stream, actor, reason and every field of its body are there.

    Raises:
        UsageError: names every field that is missing, unknown, or of another type.
    """
    mistakes = _envelope_mistakes(draft) + _body_mistakes(draft.kind, draft.body)
    if mistakes == [_NO_REASON]:
        require_reason(f"an event {draft.kind}", "")
    if mistakes:
        raise UsageError(
            f"an event {draft.kind} was refused: it is not complete",
            found="; ".join(mistakes),
            accepted="a reason, an actor and the fields " + (", ".join(BODIES[draft.kind]) or "none"),
            next_step=_SAY_WHY if _NO_REASON in mistakes else "",
        )
    return draft


def _envelope_mistakes(draft: Draft) -> list[str]:
    mistakes = []
    if not _STREAM.fullmatch(draft.stream):
        mistakes.append(f"stream {draft.stream!r} is no unit, data/<name> or stack")
    if not draft.actor.strip() or not draft.actor.isprintable():
        mistakes.append("no actor" if not draft.actor.strip() else "an actor with control characters")
    if not _says_why(draft.body.get("reason")):
        mistakes.append(_NO_REASON)
    return mistakes


def require_reason(what: str, reason: str) -> str:
    """The reason itself, of an event, or of something else that is kept and needs one as events do.

    Raises:
        UsageError: it is empty or blank.
    """
    if not _says_why(reason):
        raise UsageError(
            f"{what} was refused: nothing says why",
            found=_NO_REASON,
            accepted="a reason of a word or more, for whoever reads the ledger later",
            next_step=_SAY_WHY,
        )
    return reason


def _says_why(reason: object) -> bool:
    return isinstance(reason, str) and bool(reason.strip())


def _body_mistakes(kind: EventKind, body: Body) -> list[str]:
    fields = BODIES[kind]
    mistakes = [f"no {name}" for name in fields if name not in body]
    mistakes += [f"unknown field {name}" for name in body if name not in fields and name != "reason"]
    for name, types in fields.items():
        if name in body and not _is_of(body[name], types):
            mistakes.append(f"{name} is {type(body[name]).__name__}, not {types[0].__name__}")
        elif name in body and body[name] == "":
            mistakes.append(f"{name} is empty")
        elif name in body and name in _CLOSED and body[name] not in _CLOSED[name]:
            mistakes.append(f"{name} is {body[name]!r}, not one of {', '.join(sorted(_CLOSED[name]))}")
    if kind == EventKind.DECIDED and body.get("outcome") not in _OUTCOMES:
        mistakes.append(f"outcome is {body.get('outcome')!r}, not one of {', '.join(sorted(_OUTCOMES))}")
    return mistakes


def _is_of(value: object, types: _Types) -> bool:
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types)
