"""The command that trains, measures and judges: another one until a unit has its first champion."""

from __future__ import annotations


def judging(unit: str, *, first: bool) -> str:
    """The command line of a run of that unit; `first`: the unit never had a champion."""
    if first:
        return f"mangaops release bootstrap {unit} --logs ... --reason '...'"
    return f"mangaops release run {unit} --logs ..."
