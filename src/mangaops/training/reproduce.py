"""Train again from the record, and say whether the artifact is the same, or how far its answers differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import ArtifactTampered, UsageError
from mangaops.inference.embedder import assemble_embedder
from mangaops.inference.manifest import file_digest, verify
from mangaops.inference.predictor import assemble
from mangaops.inference.reranker import assemble_reranker
from mangaops.registry.state import ModelRecord
from mangaops.stack import Actions
from mangaops.training.parameters import PARAMETERS
from mangaops.training.request import PairRequest, Progress, Recipe, TrainingRequest
from mangaops.training.steps import parity
from mangaops.training.steps.judged import Shortlists, judged
from mangaops.vocabulary import Digest, Family

Request = TypeVar("Request", TrainingRequest, PairRequest)

_COMPARED: Final = 100


@dataclass(frozen=True)
class Reproduction:
    """What retraining gave. `differing`: files with another digest, as (sealed, now).

    `answers`: how alike the two answer `rows` validation rows, by the name of the figure; empty where the
    artifact is identical. `alike`: the same in words.
    """

    version: str
    identical: bool
    sealed: Digest
    now: Digest
    differing: Mapping[str, tuple[Digest | None, Digest | None]]
    rows: int
    answers: Mapping[str, float]
    alike: str
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
            f"  answers: {self.alike}"
        )


def reproduce(
    recipe: Recipe,
    request: Request,
    record: ModelRecord,
    sealed: Path,
    code_sha: str,
    progress: Progress | None = None,
    *,
    scratch: Path,
) -> Reproduction:
    """The record's model, trained again in the folder `scratch` on the request's snapshot and compared.

    Base, parameters, seed, and a classifier's actions and labels, are the record's, whatever stack.yaml says
    by now. The code that runs is today's: `code_sha`. A reranker's candidates are the request's: drawn by the
    adapter that the record names.

    Raises:
        ArtifactTampered: the sealed folder is not as it was sealed, or not the one of the record.
        UsageError: the request's candidates are of another adapter than the record's.
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
    again = as_recorded(request, record)
    trained = recipe(again, scratch / "artifact", progress)
    same = trained.digest == digest
    compared = ALIKE[record.family]
    found = Alike(0, {}, "") if same else compared(sealed, trained.folder, again, progress)
    return Reproduction(
        version=record.name,
        identical=same,
        sealed=digest,
        now=trained.digest,
        differing=_differing(sealed, trained.folder),
        rows=found.rows,
        answers=found.answers,
        alike=found.alike,
        code_then=record.training_code_sha,
        code_now=code_sha,
    )


def as_recorded(request: Request, record: ModelRecord) -> Request:
    """The request with everything that the record's config pins put back.

    Raises:
        UsageError: the request's candidates are of another adapter than the record's.
    """
    config = record.config
    pinned = {
        "base": config["base"],
        "training": PARAMETERS[record.family].model_validate(config["training"]),
    }
    seed, code_sha = int(config["seed"]), str(config["code_sha"])
    if isinstance(request, PairRequest):
        _same_adapter(request, record)
        spec = request.spec.model_copy(update=pinned)
        return replace(request, spec=spec, seed=seed, code_sha=code_sha)
    pinned["actions"] = Actions.model_validate(config["actions"])
    spec = request.spec.model_copy(update=pinned)
    return replace(request, spec=spec, labels=tuple(config["labels"]), seed=seed, code_sha=code_sha)


def _same_adapter(request: PairRequest, record: ModelRecord) -> None:
    then = record.config.get("candidates_from")
    now = asdict(request.candidates_from) if request.candidates_from is not None else None
    if then != now:
        raise UsageError(
            f"{record.name} was not reproduced: the candidates are of another adapter",
            found=f"{now}",
            accepted=f"{then}",
            next_step="draw the candidates with the adapter version that the record names",
        )


def _differing(sealed: Path, now: Path) -> dict[str, tuple[Digest | None, Digest | None]]:
    names = sorted({path.name for folder in (sealed, now) for path in folder.iterdir()})
    pairs = {name: (_digest(sealed / name), _digest(now / name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _digest(path: Path) -> Digest | None:
    return file_digest(path) if path.is_file() else None


@dataclass(frozen=True)
class Alike:
    """How alike two artifacts answer `rows` rows."""

    rows: int
    answers: Mapping[str, float]
    alike: str


def _labels(sealed: Path, now: Path, request: Any, progress: Progress | None) -> Alike:
    before, after = assemble(sealed, "sealed"), assemble(now, "now")
    texts = request.validation.get_column("text").to_list()
    same, gap = 0, 0.0
    for done, text in enumerate(texts):
        if progress is not None and done % 100 == 0:
            progress("comparing answers", done, len(texts))
        a, b = before.probabilities(text), after.probabilities(text)
        same += bool(a.argmax() == b.argmax())
        gap = max(gap, float(np.abs(a - b).max()))
    share = same / len(texts)
    said = f"{share:.2%} of {len(texts)} validation rows alike, probabilities within {gap:.4f}"
    return Alike(len(texts), {"agreement": share, "probability_gap": gap}, said)


def _vectors(sealed: Path, now: Path, request: Any, progress: Progress | None) -> Alike:
    items = request.items.get_column("text").to_list()
    texts = [
        *judged(request)[1].first(_COMPARED).queries,
        *(items[row] for row in parity.sample(len(items), _COMPARED)),
    ]
    rows = {name: assemble_embedder(at, name).vectors(texts, progress) for name, at in _both(sealed, now)}
    if len({each.shape for each in rows.values()}) > 1:
        return Alike(len(texts), {}, "vectors of another dimension")
    found = parity.compare_vectors(rows)
    least, mean = found["least_cosine"]["sealed/now"], found["mean_cosine"]["sealed/now"]
    said = f"the two vectors of {len(texts)} texts have cosine {least:.4f} or more, {mean:.4f} in the mean"
    return Alike(len(texts), {"least_cosine": least, "mean_cosine": mean}, said)


def _scores(sealed: Path, now: Path, request: Any, progress: Progress | None) -> Alike:
    asked = Shortlists(request, judged(request)[1].first(_COMPARED), request.spec.training.depth).asked()
    scores: dict[str, list[NDArray[np.float32]]] = {}
    for name, at in _both(sealed, now):
        model, scores[name] = assemble_reranker(at, name), []
        for done, (query, offered) in enumerate(asked):
            if progress is not None and done % 10 == 0:
                progress("comparing answers", done, len(asked))
            texts, near = [each.text for each in offered], [each.similarity for each in offered]
            scores[name].append(model.scores(query, texts, near))
    found = parity.compare_scores(scores)
    related, front = found["correlation"]["sealed/now"], found["same_top"]["sealed/now"]
    said = f"scores of {len(asked)} queries have correlation {related:.4f}, {front:.2%} of first threes alike"
    return Alike(len(asked), {"correlation": related, "same_top": front}, said)


def _both(sealed: Path, now: Path) -> tuple[tuple[str, Path], tuple[str, Path]]:
    return ("sealed", sealed), ("now", now)


ALIKE: Final[Mapping[Family, Callable[[Path, Path, Any, Progress | None], Alike]]] = {
    Family.INTENT_CLASSIFIER: _labels,
    Family.EMBEDDING_ADAPTER: _vectors,
    Family.CROSS_ENCODER_RERANKER: _scores,
}
"""How two artifacts of a family are compared; one entry a family that can be trained."""
