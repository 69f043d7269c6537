"""Frozen reports of what was measured, bound by digest to what they were measured on. Pure."""

from mangaops.evidence.envelope import Binding, Evidence, Table
from mangaops.evidence.schemas import FACTS, TABLES, require

__all__ = ["FACTS", "TABLES", "Binding", "Evidence", "Table", "require"]
