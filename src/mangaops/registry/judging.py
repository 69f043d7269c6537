"""The command that trains, measures and judges: another one until a unit has its first champion."""

from __future__ import annotations


def judging(unit: str, *, first: bool, searches: bool) -> str:
    """The command line of a run of that unit.

    `first`: the unit never had a champion. `searches`: its models learn from what people searched for.
    """
    if first and searches:
        return f"mangaops release bootstrap {unit} --catalogue ... --judgments ... --reason '...'"
    if first:
        return f"mangaops release bootstrap {unit} --logs ... --reason '...'"
    if searches:
        return f"mangaops release run {unit} --catalogue ... --judgments ..."
    return f"mangaops release run {unit} --logs ..."
