"""Ledgers for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

from mangaops.store import Ledger


def empty_ledger(stack: Path) -> None:
    home = stack.parent / ".mangaops"
    home.mkdir()
    Ledger(f"sqlite:///{home}/ledger.db").close()
