"""Simulated traffic written as files, in the form that anyone's logs have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.errors import UsageError
from mangaops.simulation.catalogue import catalogue_frame
from mangaops.simulation.world import World
from mangaops.simulation.written import FORMATS, require_own, write_frames

Progress = Callable[[str, int, int], None]

TRAFFIC_COLUMNS: Final = ("request_id", "text", "conversation_id", "user_id", "at", "turn", "language")

COMMAND: Final = "simulate traffic"
NAMES: Final = ("logs", "traffic", "truth", "catalogue")
README: Final = """All of this is simulated. No customer wrote these messages; no such titles,
authors or users exist.

Written by `mangaops simulate traffic`, seed {seed}, {weeks} labelled weeks of {conversations} conversations.

logs.{suffix}       labelled logs of the first {weeks} weeks: labels of simulated annotators, who err
traffic.{suffix}    the week after, without labels: {from_} to {to}
truth.{suffix}      the true label of each message of both: only a simulated reviewer may read it
catalogue.{suffix}  the invented titles of the shop
"""


def write_traffic(
    folder: Path | str,
    *,
    seed: int,
    weeks: int,
    conversations: int,
    format: str = "parquet",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The folder holds simulated logs, traffic, truth, catalogue and README.txt; each file appears whole.

    `logs` has `weeks` weeks from the world's beginning, `traffic` the week after, each of `conversations`
    conversations; fewer weeks of the same seed are a prefix of more. Returns the paths, the row counts and
    the time span of the traffic, as JSON values.

    Raises:
        UsageError: no week, no conversation, an unknown format, or a folder with other such files.
        SetupError: the folder cannot be written.
    """
    if weeks < 1 or format not in FORMATS:
        raise UsageError(
            "simulated traffic was refused",
            found=f"{weeks} weeks as {format}",
            accepted=f"at least 1 labelled week, as {', '.join(FORMATS)}",
            next_step="give other options",
        )
    require_own(Path(folder), NAMES, COMMAND)
    world = World(seed)
    written = []
    for number in range(weeks + 1):
        written.append(world.week(number, conversations, progress))
        if progress:
            progress("simulating weeks", number + 1, weeks + 1)
    window = written[-1]
    frames = {
        "logs": pl.concat([each.logs for each in written[:-1]]),
        "traffic": window.logs.select(TRAFFIC_COLUMNS),
        "truth": pl.concat([each.truth for each in written]).select("request_id", "label"),
        "catalogue": catalogue_frame(seed),
    }
    spans = {"from_": window.begins.isoformat(), "to": window.ends.isoformat()}
    readme = README.format(seed=seed, weeks=weeks, conversations=conversations, suffix=format, **spans)
    paths = write_frames(Path(folder), frames, readme, format, COMMAND)
    return {
        "simulated": True,
        "seed": seed,
        "weeks": weeks,
        "conversations": conversations,
        "files": {name: str(path) for name, path in paths.items()},
        "rows": {name: frame.height for name, frame in frames.items()},
        "traffic": {"from": spans["from_"], "to": spans["to"]},
    }
