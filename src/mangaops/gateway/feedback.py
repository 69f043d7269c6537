"""Feedback: kept once for each known request, on disk before it is acknowledged, and never acted on here."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mangaops.errors import InputError, RefusedError
from mangaops.gateway import gauges
from mangaops.gateway.bodies import Feedback
from mangaops.gateway.refusals import NotServed, TooOften
from mangaops.gateway.service import Service
from mangaops.gateway.tickets import Ticket
from mangaops.store.feedback import FeedbackBook

RATE: Final = 20.0
"""Feedback a second that one worker takes; a second's worth may come at once."""


@dataclass
class FeedbackDesk:
    """Takes feedback for one worker; the book is shared by all workers of the gateway."""

    service: Service
    book: FeedbackBook
    rate: float = RATE
    _tokens: float = RATE
    _filled: float = 0.0

    async def take(self, given: Feedback) -> dict[str, Any]:
        """The feedback is on disk, to be reviewed.

        Raises:
            NotServed: this gateway never gave that request id; invented ids take nothing of the rate.
            TooOften: more than the rate.
            InputError: the unit has no such label.
            RefusedError: feedback for that request was told before.
        """
        ticket = self.service.tickets.read(given.request_id)
        if ticket is None or ticket.unit not in self.service.units:
            raise NotServed(
                "the feedback was refused: no request of that id was answered here",
                found=f"an id of {len(given.request_id)} characters that this gateway did not give",
                accepted="the request_id of an answer of this gateway",
                next_step="send the id as it was answered",
            )
        self._take_token()
        self._require_label(ticket, given.label)
        row = {
            "request_id": given.request_id,
            "at": datetime.fromtimestamp(self.service.clock.now(), UTC).isoformat(),
            "unit": ticket.unit,
            "release": self._release_of(ticket),
            "generation": ticket.generation,
            "outcome": given.outcome,
            "label": given.label,
        }
        if not await asyncio.to_thread(self.book.record, row):
            gauges.FEEDBACK.labels(ticket.unit, "again").inc()
            raise RefusedError(
                "the feedback was refused: it was told for that request before",
                found="the feedback that was kept first",
                accepted="one feedback a request",
                next_step="send nothing more for it: the first one stands",
            )
        gauges.FEEDBACK.labels(ticket.unit, "kept").inc()
        return {"request_id": given.request_id, "kept": True}

    def _take_token(self) -> None:
        now = time.monotonic()
        self._tokens = min(self.rate, self._tokens + self.rate * (now - self._filled))
        self._filled = now
        if self._tokens < 1.0:
            gauges.FEEDBACK.labels("", "too_often").inc()
            raise TooOften(
                "the feedback was refused: too much of it comes at once",
                found=f"more than {self.rate:g} in a second",
                accepted=f"{self.rate:g} a second",
                next_step="try again in a second",
            )
        self._tokens -= 1.0

    def _require_label(self, ticket: Ticket, label: str | None) -> None:
        """The label is one of the release that answered, as long as that is warm here."""
        if label is not None and not self.service.units[ticket.unit].serving.labelled:
            raise InputError(
                f"the feedback was refused: what {ticket.unit} answers is no label",
                found="a label",
                accepted="an outcome: helped, not_helped, asked_for_human",
                next_step="send the outcome alone",
            )
        release = self._release_of(ticket)
        slot = self.service.slots[ticket.unit].warm(release)
        known = slot.predictor.labels if slot is not None and slot.predictor is not None else None
        if label is not None and known is not None and label not in known:
            raise InputError(
                "the feedback was refused: the unit has no such label",
                found=f"a label that {release} does not know",
                accepted=", ".join(known[:20]) + (" ..." if len(known) > 20 else ""),
                next_step="send one of these, or an outcome without a label",
            )

    def _release_of(self, ticket: Ticket) -> str:
        """The release of that generation as the chain tells it."""
        return self.service.follower.wanted[ticket.unit].chain.release_of(ticket.generation)
