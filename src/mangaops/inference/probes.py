"""probes.json: what the artifact answered to the fixed probes when sealed, asked again at each load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from mangaops.inference.assembling import assembled
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.foreign import translated

PROBES_FILE: Final = "probes.json"


class Probed(Protocol):
    """Anything that can be asked the fixed probes of its kind."""

    @property
    def name(self) -> str:
        """Who is asked, as messages name it."""

    def probed(self) -> Mapping[str, NDArray[np.float64]]:
        """What it answers to each probe: a row of numbers by the probe's text, in the probes' order."""


class SealedProbes(BaseModel):
    """A row of numbers for each probe, and how far any number of another machine's may lie away.

    Artifacts of the first recipes call the answers `probabilities`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    tolerance: float = Field(gt=0, le=0.5)
    answers: tuple[tuple[float, ...], ...] = Field(
        min_length=1, validation_alias=AliasChoices("answers", "probabilities")
    )


@dataclass(frozen=True)
class ProbeResult:
    """What a host found. `gap`: the largest difference of a number, infinite where one is NaN."""

    expected: str
    found: str
    gap: float
    tolerance: float
    worst: str

    @property
    def holds(self) -> bool:
        """Same fingerprint, and every number within the tolerance."""
        return self.expected == self.found and self.gap <= self.tolerance


def seal_probes(folder: Path, tolerance: float) -> SealedProbes:
    """probes.json stands in `folder`, with this machine's answers rounded to six digits."""
    given = assembled(folder, folder.name).probed().values()
    rows = tuple(tuple(np.round(row, 6).tolist()) for row in given)
    probes = SealedProbes(fingerprint=fingerprint(folder), tolerance=tolerance, answers=rows)
    (folder / PROBES_FILE).write_text(probes.model_dump_json() + "\n", encoding="utf-8")
    return probes


def probe(folder: Path, asked: Probed | None = None) -> ProbeResult:
    """What this host answers to the probes beside what was sealed; judges nothing.

    A model is not asked with tokens that it never learnt: under another fingerprint the gap is infinite.

    Raises:
        ArtifactTampered: a file is missing or unreadable.
    """
    with translated(folder, f"reading {PROBES_FILE}"):
        sealed = SealedProbes.model_validate_json((folder / PROBES_FILE).read_bytes())
    found = fingerprint(folder)
    if found != sealed.fingerprint:
        return ProbeResult(sealed.fingerprint, found, float("inf"), sealed.tolerance, "")
    asked = asked or assembled(folder, folder.name)
    with translated(folder, "answering the probes"):
        given = asked.probed()
        gaps = [_gap(row, was) for row, was in zip(given.values(), sealed.answers, strict=True)]
    worst = int(np.argmax(gaps))
    return ProbeResult(sealed.fingerprint, found, gaps[worst], sealed.tolerance, list(given)[worst])


def _gap(found: NDArray[np.float64], sealed: tuple[float, ...]) -> float:
    if found.shape != (len(sealed),) or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - np.asarray(sealed)).max())
