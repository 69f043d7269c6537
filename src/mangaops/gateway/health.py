"""What a gateway says of itself: alive, ready, and what is wrong with it."""

from __future__ import annotations

import time
from typing import Any

from mangaops.gateway import gauges
from mangaops.gateway.service import Service


def readiness(service: Service) -> tuple[bool, dict[str, Any]]:
    """Whether this worker should get traffic, with the reasons; warnings leave it ready."""
    reasons = [f"{unit}: {why}" for unit, why in service.follower.unready().items()]
    if service.draining:
        reasons.append("it drains: it was told to stop")
    link = service.follower.link
    warnings = []
    if link.trouble is not None:
        silent = time.monotonic() - link.since
        warnings.append(
            f"the ledger is not followed for {silent:.0f} s, the verified local copy counts: {link.trouble}"
        )
    for unit, each in service.follower.wanted.items():
        if each.chain.uncopied is not None:
            warnings.append(f"the local copy of {unit} is behind the ledger: {each.chain.uncopied}")
    if service.log.trouble is not None:
        warnings.append(f"the request log drops rows, shadow evidence stops: {service.log.trouble}")
    if service.pins.trouble is not None:
        warnings.append(f"conversations are not pinned until this worker starts anew: {service.pins.trouble}")
    body = {
        "ready": not reasons,
        "reasons": reasons,
        "warnings": warnings,
        "member": link.member,
        "units": {unit: slots.doing() for unit, slots in service.slots.items()},
        "log": {"acknowledged": service.log.acknowledged, "dropped": service.log.dropped},
    }
    return not reasons, body


def measured(service: Service) -> None:
    """The gauges are as the service is now."""
    generations = {unit: slots.served.generation for unit, slots in service.slots.items()}
    for unit, generation in generations.items():
        gauges.GENERATION.labels(unit).set(generation)
        gauges.BEHIND.labels(unit).set(generation)
    gauges.LEDGER_DOWN.set(service.follower.link.trouble is not None)
    gauges.WAITING.set(len(service.lane.waiting))
    gauges.LOGGED.labels("requests").set(service.log.acknowledged)
    gauges.DROPPED.labels("requests").set(service.log.dropped)
