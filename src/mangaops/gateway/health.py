"""What a gateway says of itself: alive, ready, and what is wrong with it."""

from __future__ import annotations

from typing import Any, Final

from mangaops.gateway import gauges
from mangaops.gateway.catalogues import MANY, Standing
from mangaops.gateway.service import Service

SILENT: Final = 5.0
"""Seconds without a look at the ledger after which it counts as out of reach."""

CLOCK_OFF: Final = 5.0
"""Seconds by which rows may be dated otherwise than by the wall clock before it is told."""


def readiness(service: Service) -> tuple[bool, dict[str, Any]]:
    """Whether this worker should get traffic, with the reasons; warnings leave it ready."""
    reasons = [f"{unit}: {why}" for unit, why in service.follower.unready().items()]
    if service.draining:
        reasons.append("it drains: it was told to stop")
    link = service.follower.link
    warnings = []
    if link.trouble is not None or link.silent > SILENT:
        why = link.trouble or "it does not answer"
        warnings.append(
            f"the ledger is not followed for {link.silent:.0f} s, the verified local copy counts: {why}"
        )
    for unit, each in service.follower.wanted.items():
        if each.chain.uncopied is not None:
            warnings.append(f"the local copy of {unit} is behind the ledger: {each.chain.uncopied}")
    catalogues = service.follower.catalogues.standings
    for unit, standing in catalogues.items():
        warnings += of_catalogue(unit, standing)
    if service.log.trouble is not None:
        warnings.append(f"the request log drops rows, shadow evidence stops: {service.log.trouble}")
    if service.pins.trouble is not None:
        warnings.append(f"conversations are not pinned until this worker starts anew: {service.pins.trouble}")
    if abs(service.clock.off) > CLOCK_OFF:
        warnings.append(
            f"the wall clock is {service.clock.off:+.0f} s off the time that this worker counts since it "
            "started, and by which it dates rows: start the gateway again once the clock is right"
        )
    body = {
        "ready": not reasons,
        "reasons": reasons,
        "warnings": warnings,
        "member": link.member,
        "units": {unit: slots.doing() for unit, slots in service.slots.items()},
        "catalogues": {
            unit: {"generation": each.shown, "behind": each.behind, "later": each.later}
            for unit, each in catalogues.items()
        },
        "log": {"acknowledged": service.log.acknowledged, "dropped": service.log.dropped},
    }
    return not reasons, body


def of_catalogue(unit: str, standing: Standing) -> list[str]:
    """What people should know of the unit's catalogue; nothing where it is as it should be."""
    warnings = []
    if standing.behind:
        why = standing.trouble or "they are being embedded"
        warnings.append(f"the catalogue of {unit} is behind its log, deltas: {standing.behind}: {why}")
    elif standing.trouble:
        warnings.append(f"the catalogue of {unit} is not followed: {standing.trouble}")
    if standing.later >= MANY:
        warnings.append(
            f"{standing.later:,} items of {unit} came or changed since the snapshot of its release, and each "
            f"search looks at all of them: a release with a newer one is due: mangaops release run {unit}"
        )
    return warnings


def measured(service: Service) -> None:
    """The gauges are as the service is now."""
    generations = {unit: slots.served.generation for unit, slots in service.slots.items()}
    for unit, generation in generations.items():
        gauges.GENERATION.labels(unit).set(generation)
        gauges.BEHIND.labels(unit).set(generation)
    for unit, each in service.follower.catalogues.standings.items():
        gauges.CATALOGUE.labels(unit).set(each.shown)
        gauges.CATALOGUE_BEHIND.labels(unit).set(each.behind)
        gauges.CATALOGUE_LATER.labels(unit).set(each.later)
    link = service.follower.link
    gauges.LEDGER_DOWN.set(link.trouble is not None or link.silent > SILENT)
    gauges.WAITING.set(len(service.lane.waiting))
    gauges.LOGGED.labels("requests").set(service.log.acknowledged)
    gauges.DROPPED.labels("requests").set(service.log.dropped)
