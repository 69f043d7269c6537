"""The command that trains, measures and judges: another one while a unit has no champion."""

from __future__ import annotations


def judging(unit: str, *, served: bool, searches: bool) -> str:
    """The command line of a run of that unit.

    `served`: it has a champion. `searches`: its models learn from what people searched for.
    """
    if not served and searches:
        return f"mangaops release bootstrap {unit} --catalogue ... --judgments ... --reason '...'"
    if not served:
        return f"mangaops release bootstrap {unit} --logs ... --reason '...'"
    if searches:
        return f"mangaops release run {unit} --catalogue ... --judgments ..."
    return f"mangaops release run {unit} --logs ..."
