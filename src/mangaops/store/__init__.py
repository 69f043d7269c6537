"""Event store (SQL), artifacts and snapshots (files or S3), logs, feedback, deltas of catalogues."""

from mangaops.store.artifacts import Artifacts
from mangaops.store.audit import Audit, Damage, Problem
from mangaops.store.catalogue_log import CatalogueDelta, CatalogueLog
from mangaops.store.chain import ChainCopy
from mangaops.store.changes import Changes
from mangaops.store.documents import Documents
from mangaops.store.embedded import EmbeddedChunks
from mangaops.store.evidence import EvidenceStore
from mangaops.store.feedback import FeedbackBook
from mangaops.store.gateways import Acknowledgement, Gateways, Member
from mangaops.store.heads import Head
from mangaops.store.journal import Journal
from mangaops.store.leases import Lease, Leases
from mangaops.store.ledger import Ledger
from mangaops.store.log_reading import LogReader, read_log
from mangaops.store.request_log import LogWriter
from mangaops.store.roll import Roller
from mangaops.store.snapshots import Snapshots

__all__ = [
    "Acknowledgement",
    "Artifacts",
    "Audit",
    "CatalogueDelta",
    "CatalogueLog",
    "ChainCopy",
    "Changes",
    "Damage",
    "Documents",
    "EmbeddedChunks",
    "EvidenceStore",
    "FeedbackBook",
    "Gateways",
    "Head",
    "Journal",
    "Lease",
    "Leases",
    "Ledger",
    "LogReader",
    "LogWriter",
    "Member",
    "Problem",
    "Roller",
    "Snapshots",
    "read_log",
]
