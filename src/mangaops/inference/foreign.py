"""The one place of this room where errors of other libraries become ours."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mangaops.errors import ArtifactTampered, MangaopsError, SetupError
from mangaops.stack import told


@contextmanager
def translated(folder: Path, doing: str) -> Iterator[None]:
    """Whatever goes wrong inside while reading an artifact is an `ArtifactTampered` that names the folder.

    Tokenizers and ONNX Runtime raise bare `Exception`s for files that they cannot read, hence the width.

    Raises:
        SetupError: onnxruntime or tokenizers is not installed.
        ArtifactTampered: anything else that is not ours already.
    """
    try:
        yield
    except MangaopsError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(error, doing) from error
    except Exception as error:
        raise ArtifactTampered(
            f"the artifact {folder.name} was refused while {doing}",
            found=_found(error),
            accepted="a folder that mangaops train has sealed",
            next_step="restore the folder from the artifact store, or train again",
        ) from error


def _found(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return told(error)[:300]
    return f"{type(error).__name__}: {str(error)[:300]}"


def imported(package: str, doing: str) -> Any:
    """The package, imported now, for a caller that its type stubs do not serve.

    Raises:
        SetupError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise _missing(error, doing) from error


def _missing(error: ModuleNotFoundError, doing: str) -> SetupError:
    return SetupError(
        f"{doing} needs the package {error.name}",
        found="it is not installed",
        next_step='pip install "mangaops[serve]"',
    )
