"""From a scratch folder to a sealed one: files, probes, manifest, one rename."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import yaml

from mangaops.errors import UsageError
from mangaops.inference.assembling import CONFIG
from mangaops.inference.fingerprint import PROBES
from mangaops.inference.manifest import MANIFEST, seal
from mangaops.inference.predictor import softmax
from mangaops.inference.preprocessing import Encoder
from mangaops.inference.probes import Probed, seal_probes
from mangaops.inference.session import Session
from mangaops.training.steps.parity import serve
from mangaops.vocabulary import Digest

_LIBRARIES: Final = ("torch", "transformers", "tokenizers", "onnx", "onnxscript", "onnxruntime", "numpy")
_LEAST_TOLERANCE, _MOST_TOLERANCE = 0.02, 0.2


class Saved(Protocol):
    """A part of an artifact that writes its own files."""

    def save(self, folder: Path) -> None:
        """Its files stand in `folder`."""


def libraries(*more: str) -> dict[str, str]:
    """The version of each library that the artifact's bytes depend on."""
    return {name: importlib.metadata.version(name) for name in (*_LIBRARIES, *more)}


@contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A new folder on the same disk as `folder`, gone afterwards whatever happened, short of a kill.

    Raises:
        UsageError: `folder` holds something that is no sealed artifact, so it may not be replaced.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise UsageError(
            f"nothing was written to {folder}",
            found="it holds other files",
            accepted="a folder that does not exist, is empty or holds a sealed artifact",
            next_step="name another folder",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def probe_tolerance(fp32: Session, int8: Session, reads: Encoder, temperature: float) -> float:
    """How far another CPU may lie off: twice what quantisation itself moved the probes, in 0.02..0.2."""
    ids = [reads.ids(text) for text in PROBES]
    gap = np.abs(softmax(serve(fp32, ids) / temperature) - softmax(serve(int8, ids) / temperature)).max()
    return round(float(np.clip(2 * gap, _LEAST_TOLERANCE, _MOST_TOLERANCE)), 4)


def tolerance(fp32: Probed, int8: Probed, least: float, most: float) -> float:
    """The same for answers that are no probabilities: twice the largest move of a number, in least..most."""
    pairs = zip(fp32.probed().values(), int8.probed().values(), strict=True)
    gap = max(float(np.abs(a - b).max()) for a, b in pairs)
    return round(float(np.clip(2 * gap, least, most)), 4)


def seal_into(
    folder: Path, made: Path, config: Mapping[str, Any], parts: Sequence[Saved], tolerance: float
) -> tuple[Digest, str]:
    """`folder` is the sealed artifact; gives its digest and fingerprint. `made` held model.onnx and is gone.

    Everything is on the disk before the one rename, so a kill leaves either no `folder` or a whole one.
    """
    text = yaml.safe_dump(dict(config), sort_keys=True, allow_unicode=True)
    (made / CONFIG).write_text(text, encoding="utf-8")
    for part in parts:
        part.save(made)
    probes = seal_probes(made, tolerance)
    for path in made.iterdir():
        _to_disk(path)
    digest = seal(made)
    _to_disk(made)
    if folder.exists():
        folder.rename(made.parent / "replaced")
    made.rename(folder)
    _to_disk(folder.parent)
    return digest, probes.fingerprint


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
