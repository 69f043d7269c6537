"""probes.json: what the artifact answered to the fixed probes when sealed, asked again at each load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mangaops.inference.fingerprint import PROBES, fingerprint
from mangaops.inference.foreign import translated
from mangaops.inference.predictor import IntentPredictor, assemble

PROBES_FILE: Final = "probes.json"


class SealedProbes(BaseModel):
    """The probabilities of each probe, shape (probes, labels), and how far another machine's may lie away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    tolerance: float = Field(gt=0, le=0.5)
    probabilities: tuple[tuple[float, ...], ...] = Field(min_length=len(PROBES), max_length=len(PROBES))


@dataclass(frozen=True)
class ProbeResult:
    """What a host found. `gap`: the largest difference of a probability, infinite where one is NaN."""

    expected: str
    found: str
    gap: float
    tolerance: float
    worst: str

    @property
    def holds(self) -> bool:
        """Same fingerprint, and every probability within the tolerance."""
        return self.expected == self.found and self.gap <= self.tolerance


def seal_probes(folder: Path, tolerance: float) -> SealedProbes:
    """probes.json stands in `folder`, with this machine's answers rounded to six digits."""
    predictor = assemble(folder, folder.name)
    rows = tuple(tuple(np.round(predictor.probabilities(text), 6).tolist()) for text in PROBES)
    probes = SealedProbes(fingerprint=fingerprint(folder), tolerance=tolerance, probabilities=rows)
    (folder / PROBES_FILE).write_text(probes.model_dump_json() + "\n", encoding="utf-8")
    return probes


def probe(folder: Path, predictor: IntentPredictor | None = None) -> ProbeResult:
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
    asked = predictor or assemble(folder, folder.name)
    with translated(folder, "answering the probes"):
        gaps = [_gap(asked, text, row) for text, row in zip(PROBES, sealed.probabilities, strict=True)]
    worst = int(np.argmax(gaps))
    return ProbeResult(sealed.fingerprint, found, gaps[worst], sealed.tolerance, PROBES[worst])


def _gap(predictor: IntentPredictor, text: str, sealed: tuple[float, ...]) -> float:
    found = predictor.probabilities(text)
    if found.shape != (len(sealed),) or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - np.asarray(sealed)).max())
