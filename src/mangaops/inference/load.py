"""The only way from a sealed folder to a predictor that may serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mangaops.errors import FingerprintMismatch, Untracked
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.manifest import verify
from mangaops.inference.predictor import IntentPredictor, assemble
from mangaops.inference.probes import ProbeResult, probe

if TYPE_CHECKING:
    from mangaops.registry.permit import Permit


def load(folder: Path, permit: Permit, *, threads: int = 1) -> IntentPredictor:
    """A predictor whose files are those that the permit names and that answers here as it did when sealed.

    Raises:
        ArtifactTampered: a file is missing, extra, changed or unreadable.
        Untracked: the files add up, but are another artifact than the one that the ledger lists.
        FingerprintMismatch: tokens, preprocessing, labels or probe answers are not those registered.
        SetupError: onnxruntime or tokenizers is not installed.
    """
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
    predictor = assemble(folder, name, threads=threads)
    _same_answers(name, permit.fingerprint, probe(folder, predictor))
    return predictor


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
            found=f"a probability differs by {result.gap:.4f} on the probe {result.worst[:40]!r}",
            accepted=f"at most {result.tolerance:.4f}",
            next_step="check this host's CPU and onnxruntime version, or train on a host like this one",
        )
