"""The only way from a sealed folder to something that may serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mangaops.errors import FingerprintMismatch, Untracked
from mangaops.inference.embedder import Embedder, assemble_embedder
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.manifest import verify
from mangaops.inference.predictor import IntentPredictor, assemble
from mangaops.inference.probes import Probed, ProbeResult, probe
from mangaops.inference.reranker import Reranker, assemble_reranker
from mangaops.vocabulary import Family

if TYPE_CHECKING:
    from mangaops.registry.permit import Permit

Made = TypeVar("Made", bound=Probed)


def load(folder: Path, permit: Permit, *, threads: int = 1) -> IntentPredictor:
    """An intent predictor with the files that the permit names, which answers here as it did when sealed.

    Raises:
        ArtifactTampered: a file is missing, extra, changed or unreadable.
        Untracked: the files add up, but are another artifact than the one that the ledger lists.
        FingerprintMismatch: tokens, preprocessing, labels or probe answers are not those registered.
        SetupError: onnxruntime or tokenizers is not installed.
    """
    return _verified(folder, permit, partial(assemble, threads=threads))


def load_embedder(folder: Path, permit: Permit, *, threads: int = 1) -> Embedder:
    """An embedder, held to the same as what `load` gives; raises the same."""
    return _verified(folder, permit, partial(assemble_embedder, threads=threads))


def load_reranker(folder: Path, permit: Permit, *, threads: int = 1) -> Reranker:
    """A reranker, held to the same as what `load` gives; raises the same."""
    return _verified(folder, permit, partial(assemble_reranker, threads=threads))


LOADERS: Final[Mapping[Family, Callable[..., Probed]]] = {
    Family.INTENT_CLASSIFIER: load,
    Family.EMBEDDING_ADAPTER: load_embedder,
    Family.CROSS_ENCODER_RERANKER: load_reranker,
}
"""One entry a family that can be trained."""


def load_model(folder: Path, permit: Permit) -> Probed:
    """The model of whatever family, held to the same as what `load` gives; raises the same."""
    if permit.family is None:
        raise Untracked(f"{permit.model} was not loaded as a model: it is a part of a release")
    return LOADERS[permit.family](folder, permit)


def _verified(folder: Path, permit: Permit, make: Callable[[Path, str], Made]) -> Made:
    """What `make` makes of the folder: only after its files and reading, and only with its old answers."""
    name = f"{permit.model}@{permit.version}"
    digest = verify(folder)
    if digest != permit.artifact:
        raise Untracked(
            f"{name} was not loaded from {folder.name}: the ledger lists no such artifact",
            found=digest,
            accepted=permit.artifact,
            next_step="register what lies there as a model version, or put the listed artifact back",
        )
    _same_reading(name, permit.fingerprint, fingerprint(folder))
    made = make(folder, name)
    _same_answers(name, permit.fingerprint, probe(folder, made))
    return made


def _same_reading(name: str, registered: str, found: str) -> None:
    if found != registered:
        raise FingerprintMismatch(
            f"{name} was refused: it would not read texts as it did in training",
            found=f"fingerprint {found}",
            accepted=registered,
            next_step="train again with the tokenizer, preprocessing and labels that the record names",
        )


def _same_answers(name: str, registered: str, result: ProbeResult) -> None:
    if result.expected != registered:
        raise FingerprintMismatch(
            f"{name} was refused: its probes were sealed for another reading of texts",
            found=f"fingerprint {result.expected}",
            accepted=registered,
            next_step="put the artifact back that the record names, or train again",
        )
    if not result.holds:
        raise FingerprintMismatch(
            f"{name} was refused: on this host it answers otherwise than when it was sealed",
            found=f"an answer differs by {result.gap:.4f} on the probe {result.worst[:40]!r}",
            accepted=f"at most {result.tolerance:.4f}",
            next_step="check this host's CPU and onnxruntime version, or train on a host like this one",
        )
