"""What a release run was asked to do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mangaops.datasets import Source
from mangaops.pipeline.search_data_run import SearchSources
from mangaops.store.addresses import without_credentials
from mangaops.vocabulary import Because, Digest, EvidenceKind, ShadowMode


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do. `only`: the one model that is new; the others are the champion's."""

    unit: str
    source: Source | SearchSources
    traffic: Source | None = None
    shadow: ShadowMode = ShadowMode.REPLAY
    truth: str | None = None
    because: Because = Because.MANUAL
    reason: str = "weekly release"
    grow_golden: bool = False
    again: frozenset[EvidenceKind] = frozenset()
    bootstrap: bool = False
    only: str | None = None

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
            "only": self.only,
        }
        return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _named(source: Source | SearchSources) -> list[Any]:
    if isinstance(source, SearchSources):
        parts = (source.catalogue, source.judgments, source.searches)
        return [_named(each) if each is not None else None for each in parts]
    return [source.shown(), source.query, dict(source.columns)]
