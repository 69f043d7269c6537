"""Lifecycle table, events, fold. Pure."""

from mangaops.registry import drafts
from mangaops.registry.events import GENESIS, Draft, Event, canonical, chained, check, require_reason, seal
from mangaops.registry.fold import fold, fold_data, fold_stream
from mangaops.registry.judging import MIRRORED, REPLAYED, files, judging, reviewing, traffic_of
from mangaops.registry.lifecycle import OPEN, TRANSITIONS, advance, is_fallback, picture
from mangaops.registry.pairs import JudgedPair, judged_pairs
from mangaops.registry.permit import Permit, measuring, permit
from mangaops.registry.record import record, untrained
from mangaops.registry.state import (
    Cutover,
    DatasetRecord,
    DataState,
    DecisionRef,
    EvidenceRef,
    ModelRecord,
    Release,
    ReviewRef,
    Run,
    UnitState,
)

__all__ = [
    "GENESIS",
    "MIRRORED",
    "OPEN",
    "REPLAYED",
    "TRANSITIONS",
    "Cutover",
    "DataState",
    "DatasetRecord",
    "DecisionRef",
    "Draft",
    "Event",
    "EvidenceRef",
    "JudgedPair",
    "ModelRecord",
    "Permit",
    "Release",
    "ReviewRef",
    "Run",
    "UnitState",
    "advance",
    "canonical",
    "chained",
    "check",
    "drafts",
    "files",
    "fold",
    "fold_data",
    "fold_stream",
    "is_fallback",
    "judged_pairs",
    "judging",
    "measuring",
    "permit",
    "picture",
    "record",
    "require_reason",
    "reviewing",
    "seal",
    "traffic_of",
    "untrained",
]
