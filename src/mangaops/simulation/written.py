"""Simulated frames written as files: Parquet, CSV or JSONL, each whole or not at all, beside a README.txt."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mangaops.errors import SetupError

FORMATS: Final[dict[str, Callable[[pl.DataFrame, Path], object]]] = {
    "parquet": lambda frame, path: frame.write_parquet(path),
    "csv": lambda frame, path: frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"),
    "jsonl": lambda frame, path: frame.write_ndjson(path),
}


def write_frames(
    folder: Path, frames: Mapping[str, pl.DataFrame], readme: str, suffix: str, *, what: str
) -> dict[str, Path]:
    """The folder holds one file a frame and README.txt; returns the paths by name.

    `suffix` is a key of FORMATS; `what` opens a message: "simulated traffic was".

    Raises:
        SetupError: the folder cannot be written.
    """
    paths = {name: folder / f"{name}.{suffix}" for name in frames}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".simulated-", dir=folder) as scratch:
            _whole(folder / "README.txt", Path(scratch), lambda path: path.write_text(readme, "utf-8"))
            for name, path in paths.items():
                frame = frames[name]
                _whole(path, Path(scratch), lambda into, frame=frame: FORMATS[suffix](frame, into))  # type: ignore[misc]
    except (OSError, pl.exceptions.ComputeError) as error:
        raise SetupError(
            f"{what} not written to {folder}",
            found=str(error),
            accepted="a folder that can be written, with room on the disk",
            next_step="name another folder, or make room",
        ) from error
    return paths


def _whole(path: Path, scratch: Path, write: Callable[[Path], object]) -> None:
    """The file appears whole or not at all."""
    part = scratch / path.name
    write(part)
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(path)
