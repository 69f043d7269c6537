"""Simulated frames written as files: Parquet, CSV or JSONL, each whole or not at all, beside a README.txt."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mangaops.errors import SetupError, UsageError
from mangaops.store.foreign import lacks_room, of_system

FORMATS: Final[dict[str, Callable[[pl.DataFrame, Path], object]]] = {
    "parquet": lambda frame, path: frame.write_parquet(path),
    "csv": lambda frame, path: frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"),
    "jsonl": lambda frame, path: frame.write_ndjson(path),
}

_README: Final = "README.txt"
_SCRATCH: Final = ".simulated-"


def require_own(folder: Path, names: Collection[str], command: str) -> None:
    """Nothing happens where no file of these names is there, or README.txt says that `command` wrote them.

    Raises:
        UsageError: another command, or a person, wrote a file that this one would write.
        SetupError: the folder cannot be looked into.
    """
    readme = folder / _README
    try:
        own = _beside(folder, names)
        wrote = f"`mangaops {command}`" in readme.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        wrote = False
        foreign = own
    except OSError as error:
        raise _not_written(command, folder, error) from error
    else:
        foreign = [readme, *own]
    if foreign and not wrote:
        raise UsageError(
            f"{command} was refused: {folder} holds files of its names that it did not write",
            found=", ".join(path.name for path in foreign),
            accepted=f"a folder without them, or one whose {_README} says that mangaops {command} wrote it",
            next_step="name another folder with --out, or move these files away",
        )


def write_frames(
    folder: Path, frames: Mapping[str, pl.DataFrame], readme: str, suffix: str, command: str
) -> dict[str, Path]:
    """The folder holds one file a frame and README.txt; returns the paths by name.

    Files of these names that an earlier `command` wrote, in whatever format, are gone before the first new
    one is there: a run that is killed leaves files of one world, never of two. `suffix` is a key of FORMATS.

    Raises:
        UsageError: as `require_own`.
        SetupError: the folder cannot be written.
    """
    require_own(folder, frames, command)
    paths = {name: folder / f"{name}.{suffix}" for name in frames}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            parts = {path: Path(scratch) / path.name for path in (folder / _README, *paths.values())}
            parts[folder / _README].write_text(readme, "utf-8")
            for name, path in paths.items():
                FORMATS[suffix](frames[name], parts[path])
            for part in parts.values():
                _flushed(part)
            for old in _beside(folder, frames):
                old.unlink()
            for path, part in parts.items():
                part.replace(path)
    except (OSError, pl.exceptions.ComputeError) as error:
        raise _not_written(command, folder, error) from error
    return paths


def _beside(folder: Path, names: Collection[str]) -> list[Path]:
    """The files that a frame of these names may be in, in any format, as far as they are there."""
    every = (folder / f"{name}.{suffix}" for name in names for suffix in FORMATS)
    return [path for path in every if path.exists()]


def _flushed(part: Path) -> None:
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())


def _not_written(command: str, folder: Path, error: Exception) -> SetupError:
    """What the disk said, of the folder that the user named and never of a scratch folder in it."""
    refused = f"{command} was refused: nothing was written to {folder}"
    if lacks_room(error):
        return of_system(refused, OSError(getattr(error, "errno", None) or errno.ENOSPC, "no room"), folder)
    if isinstance(error, OSError):
        ours = _SCRATCH in str(error.filename)
        return of_system(refused, OSError(error.errno, error.strerror) if ours else error, folder)
    return SetupError(
        refused,
        found=str(error),
        accepted="a folder that can be written, with room on the disk",
        next_step="name another folder, or make room",
    )
