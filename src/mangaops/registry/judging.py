"""The command that trains, measures and judges: another one while a unit has no champion."""

from __future__ import annotations

from mangaops.vocabulary import EvidenceKind, ShadowMode


def judging(
    unit: str,
    *,
    served: bool,
    searches: bool,
    logged: bool | None,
    again: EvidenceKind | None = None,
    traffic: str = "",
) -> str:
    """The command line of a run of that unit, with FILE where only its reader knows which.

    `served`: it has a champion; else there is no traffic to shadow. `searches`: its models learn from
    what people searched for; `logged`: and logs of that, None where it cannot be told here. `again`: this
    kind of evidence is measured anew. `traffic`: the option that says where the shadow's requests come
    from, as `REPLAYED` or `MIRRORED`; empty: no shadow is asked for.
    """
    anew = f"--again {again}" if again is not None else ""
    first = f"mangaops release bootstrap {unit} --reason '...'"
    command = f"mangaops release run {unit}" if served else first
    return " ".join(
        filter(None, (command, files(searches=searches, logged=logged), traffic if served else "", anew))
    )


def files(*, searches: bool, logged: bool | None) -> str:
    """The options that name the data that models learn from; in brackets what they may have learnt from."""
    if not searches:
        return "--logs FILE"
    logs = {True: " --searches FILE", None: " [--searches FILE]", False: ""}[logged]
    return f"--catalogue FILE --judgments FILE{logs}"


def reviewing(release: str) -> str:
    """How people answer the open review of that release, and how the answers come in."""
    export = f"mangaops review export {release} --out queue.csv"
    return f"{export}, answer, then mangaops review import {release} queue.csv"


REPLAYED = "--traffic FILE"
MIRRORED = "--shadow live"


def traffic_of(mode: str | None) -> str:
    """The option for requests as a shadow of that mode had them; None: nothing was shadowed yet."""
    return MIRRORED if mode == ShadowMode.LIVE else REPLAYED
