"""Logs in, validated, leak-free, grouped splits, out as a snapshot."""

from mangaops.datasets.build import snapshot
from mangaops.datasets.collect import collect, collect_traffic, collect_truth, logs
from mangaops.datasets.golden import golden_digest
from mangaops.datasets.leakage import compare, nearness
from mangaops.datasets.order import TimeAndGrouping, time_and_grouping
from mangaops.datasets.personal import mask
from mangaops.datasets.snapshot import Snapshot
from mangaops.datasets.source import Logs, Origin, Progress, Provenance, Source
from mangaops.datasets.traits import traits
from mangaops.datasets.validation import ValidationReport, validate

__all__ = [
    "Logs",
    "Origin",
    "Progress",
    "Provenance",
    "Snapshot",
    "Source",
    "TimeAndGrouping",
    "ValidationReport",
    "collect",
    "collect_traffic",
    "collect_truth",
    "compare",
    "golden_digest",
    "logs",
    "mask",
    "nearness",
    "snapshot",
    "time_and_grouping",
    "traits",
    "validate",
]
