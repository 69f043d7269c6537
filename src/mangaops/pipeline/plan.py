"""What a release run was asked to do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mangaops.datasets import Source
from mangaops.store.addresses import without_credentials
from mangaops.vocabulary import Because, Digest, EvidenceKind, ShadowMode


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do."""

    unit: str
    source: Source
    traffic: Source | None = None
    shadow: ShadowMode = ShadowMode.REPLAY
    truth: str | None = None
    because: Because = Because.MANUAL
    reason: str = "weekly release"
    grow_golden: bool = False
    again: frozenset[EvidenceKind] = frozenset()
    bootstrap: bool = False

    @property
    def digest(self) -> Digest:
        """Of what the run is asked to do, without its reason and without credentials: equal plans are one."""
        body = {
            "unit": self.unit,
            "source": _named(self.source),
            "traffic": _named(self.traffic) if self.traffic else None,
            "shadow": self.shadow,
            "truth": without_credentials(self.truth) if self.truth else None,
            "because": self.because,
            "grow_golden": self.grow_golden,
            "again": sorted(self.again),
            "bootstrap": self.bootstrap,
        }
        return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _named(source: Source) -> list[Any]:
    return [source.shown(), source.query, dict(source.columns)]
