"""The one place of this room where errors of other libraries become ours, and where they are kept quiet."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mangaops.errors import MangaopsError, SetupError, TrainingError
from mangaops.store.foreign import lacks_room, of_system


@contextmanager
def translated(doing: str, folder: Path | None = None) -> Iterator[None]:
    """Errors of torch, transformers, ONNX and the disk leave as ours; libraries print nothing meanwhile.

    `folder` is where it writes.

    Raises:
        SetupError: a package is missing, or the disk is full or not writable.
        TrainingError: anything else that is not ours already.
    """
    try:
        with _quiet():
            yield
    except MangaopsError:
        raise
    except ModuleNotFoundError as error:
        raise SetupError(
            f"{doing} needs the package {error.name}",
            found="it is not installed",
            next_step='pip install "mangaops[train]"',
        ) from error
    except Exception as error:
        raise _ours(doing, error, folder) from error


def _ours(doing: str, error: Exception, folder: Path | None) -> MangaopsError:
    if lacks_room(error) and not isinstance(error, OSError):
        error = OSError(errno.ENOSPC, "no room")
    if isinstance(error, OSError) and error.errno is not None:
        return of_system(f"{doing} stopped: the machine said no", error, folder)
    return TrainingError(
        f"{doing} failed; nothing was sealed",
        found=f"{type(error).__name__}: {str(error)[:500]}",
        next_step="try a smaller batch or another base; the base must be an encoder that AutoModel loads",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    bars = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    logging.disable(logging.CRITICAL)
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if bars is None:
            del os.environ["HF_HUB_DISABLE_PROGRESS_BARS"]
        else:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = bars
