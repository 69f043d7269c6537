"""Request ids that tell who gave them: feedback names one, and only an id that this gateway gave is known.

An id is `<unit>.<generation>.<worker and count>.<tag>`; the tag is 48 bits of a keyed BLAKE2b over the
rest, and the key lies in the gateway's folder.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mangaops.store.bundles import make_folder
from mangaops.store.foreign import file_errors

KEY: Final = "ticket.key"
_TAG: Final = 6
_LONGEST: Final = 300


@dataclass(frozen=True)
class Ticket:
    """What a request id says."""

    unit: str
    generation: int


class Tickets:
    """Gives ids and knows them again, also those of other workers and of earlier starts of this gateway."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._start = secrets.token_hex(5)
        self._count = itertools.count(1)

    def give(self, unit: str, generation: int) -> str:
        """A new id; no two are equal."""
        body = f"{unit}.{generation}.{self._start}{next(self._count):x}"
        return f"{body}.{self._tag(body)}"

    def read(self, request_id: str) -> Ticket | None:
        """What the id says, None where this gateway never gave it."""
        body, _, tag = request_id[:_LONGEST].rpartition(".")
        if not hmac.compare_digest(tag.encode(errors="replace"), self._tag(body).encode()):
            return None
        unit, generation, _ = body.rsplit(".", 2)
        return Ticket(unit, int(generation))

    def _tag(self, body: str) -> str:
        return hashlib.blake2b(body.encode(errors="replace"), key=self._key, digest_size=_TAG).hexdigest()


def ticket_key(folder: Path) -> bytes:
    """The gateway's key; made, readable by its owner alone, where there is none yet."""
    path = folder / KEY
    with file_errors(f"the gateway's key {path} cannot be used"):
        make_folder(folder)
        if not path.exists():
            temporary = folder / f"{KEY}.{os.getpid()}"
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
                out.write(secrets.token_bytes(32))
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        return path.read_bytes()
