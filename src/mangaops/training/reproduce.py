"""Train again from the record, and say whether the artifact is the same, or how far its answers differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mangaops.errors import ArtifactTampered
from mangaops.inference.manifest import file_digest, verify
from mangaops.inference.predictor import assemble
from mangaops.registry.state import ModelRecord
from mangaops.stack import Actions
from mangaops.training.parameters import PARAMETERS
from mangaops.training.request import Progress, Recipe, TrainingRequest
from mangaops.vocabulary import Digest


@dataclass(frozen=True)
class Reproduction:
    """What retraining gave. `differing`: files with another digest, as (sealed, now).

    `agreement` (share of `rows` validation rows with the same label, 0..1) and `probability_gap` (largest
    difference of a probability) are 1 and 0 where the artifact is identical.
    """

    version: str
    identical: bool
    sealed: Digest
    now: Digest
    differing: Mapping[str, tuple[Digest | None, Digest | None]]
    rows: int
    agreement: float
    probability_gap: float
    code_then: str
    code_now: str

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """The same for a person."""
        code = "the same code" if self.code_then == self.code_now else f"other code ({self.code_now[:12]})"
        if self.identical:
            return f"{self.version} is reproduced: {code} gave the identical artifact {self.sealed}"
        return (
            f"{self.version} is not reproduced byte for byte: {code} gave {self.now}, not {self.sealed}\n"
            f"  differing files: {', '.join(self.differing)}\n"
            f"  answers: {self.agreement:.2%} of {self.rows} validation rows alike, "
            f"probabilities within {self.probability_gap:.4f}"
        )


def reproduce(
    recipe: Recipe,
    request: TrainingRequest,
    record: ModelRecord,
    sealed: Path,
    code_sha: str,
    progress: Progress | None = None,
    *,
    scratch: Path,
) -> Reproduction:
    """The record's model, trained again in the folder `scratch` on the request's snapshot and compared.

    Base, parameters, actions, labels and seed are the record's, whatever stack.yaml says by now. The code
    that runs is today's: `code_sha`.

    Raises:
        ArtifactTampered: the sealed folder is not as it was sealed, or not the one of the record.
        TrainingError, SetupError: as the recipe does.
    """
    digest = verify(sealed)
    if digest != record.artifact:
        raise ArtifactTampered(
            f"{record.name} was not reproduced: the sealed folder holds another artifact",
            found=digest,
            accepted=record.artifact,
            next_step="mangaops audit verify",
        )
    trained = recipe(as_recorded(request, record), scratch / "artifact", progress)
    same = trained.digest == digest
    texts = request.validation.get_column("text").to_list()
    agreement, gap = (1.0, 0.0) if same else _answers_differ(sealed, trained.folder, texts, progress)
    return Reproduction(
        version=record.name,
        identical=same,
        sealed=digest,
        now=trained.digest,
        differing=_differing(sealed, trained.folder),
        rows=len(texts),
        agreement=agreement,
        probability_gap=gap,
        code_then=record.training_code_sha,
        code_now=code_sha,
    )


def as_recorded(request: TrainingRequest, record: ModelRecord) -> TrainingRequest:
    """The request with everything that the record's config pins put back."""
    config = record.config
    spec = request.spec.model_copy(
        update={
            "base": config["base"],
            "actions": Actions.model_validate(config["actions"]),
            "training": PARAMETERS[record.family].model_validate(config["training"]),
        }
    )
    return replace(
        request,
        spec=spec,
        labels=tuple(config["labels"]),
        seed=int(config["seed"]),
        code_sha=str(config["code_sha"]),
    )


def _differing(sealed: Path, now: Path) -> dict[str, tuple[Digest | None, Digest | None]]:
    names = sorted({path.name for folder in (sealed, now) for path in folder.iterdir()})
    pairs = {name: (_digest(sealed / name), _digest(now / name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _digest(path: Path) -> Digest | None:
    return file_digest(path) if path.is_file() else None


def _answers_differ(
    sealed: Path, now: Path, texts: list[str], progress: Progress | None
) -> tuple[float, float]:
    before, after = assemble(sealed, "sealed"), assemble(now, "now")
    alike, gap = 0, 0.0
    for done, text in enumerate(texts):
        if progress is not None and done % 100 == 0:
            progress("comparing answers", done, len(texts))
        a, b = before.probabilities(text), after.probabilities(text)
        alike += bool(a.argmax() == b.argmax())
        gap = max(gap, float(np.abs(a - b).max()))
    return alike / len(texts), gap
