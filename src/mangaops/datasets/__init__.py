"""Logs in, validated, leak-free, grouped splits, out as a snapshot."""

from mangaops.datasets.snapshot import Snapshot
from mangaops.datasets.source import Logs, Origin, Progress, Provenance, Source

__all__ = ["Logs", "Origin", "Progress", "Provenance", "Snapshot", "Source"]
