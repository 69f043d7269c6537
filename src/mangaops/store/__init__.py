"""Event store (SQL), artifacts and snapshots (files or S3), shadow logs."""

from mangaops.store.artifacts import Artifacts
from mangaops.store.audit import Audit, Damage, Problem
from mangaops.store.documents import Documents
from mangaops.store.evidence import EvidenceStore
from mangaops.store.heads import Head
from mangaops.store.journal import Journal
from mangaops.store.leases import Lease, Leases
from mangaops.store.ledger import Ledger
from mangaops.store.snapshots import Snapshots

__all__ = [
    "Artifacts",
    "Audit",
    "Damage",
    "Documents",
    "EvidenceStore",
    "Head",
    "Journal",
    "Lease",
    "Leases",
    "Ledger",
    "Problem",
    "Snapshots",
]
