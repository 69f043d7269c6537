"""The reranker: a cross-encoder fine-tuned on what a named adapter draws, exported, proven and sealed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mangaops.inference.answer import side_by_side
from mangaops.inference.preprocessing import TOKENIZER, PairEncoder, PairPreprocessing
from mangaops.inference.reranker import Reranker
from mangaops.inference.session import MODEL, session
from mangaops.training.foreign import translated
from mangaops.training.parameters import RerankerTraining
from mangaops.training.request import PairRequest, Progress, Trained
from mangaops.training.steps import (
    bases,
    correcting,
    crossing,
    export,
    matches,
    parity,
    precision,
    sealing,
    weighing,
)
from mangaops.training.steps.judged import (
    Candidate,
    Judged,
    Shortlists,
    judged,
    recall_and_ndcg,
    recalls_and_ndcgs,
)
from mangaops.training.steps.network import used_tokens
from mangaops.training.steps.run import Run
from mangaops.training.steps.seed import seeded

RerankerRun = Run[PairRequest, RerankerTraining]

_JUDGED_QUERIES: Final = 300
_LEAST_TOLERANCE, _MOST_TOLERANCE = 0.05, 0.5


def train(request: PairRequest, folder: Path, progress: Progress | None = None) -> Trained:
    """`folder` is a sealed reranker, trained on exactly this request and the candidates that it names.

    Equal requests give equal bytes on one machine (same CPU, cores and libraries). A kill leaves no `folder`.
    On the validation queries it ranks no worse than the adapter did, before it is quantised. Where the
    network adds nothing to what is weighed, the artifact has none.

    Raises:
        TrainingError: rows or candidates that cannot be trained on, a loss that is not a number, or a broken
            parity.
        SetupError: the base cannot be had, a package is missing, or the disk is full.
        UsageError: `folder` holds other files.
    """
    run = RerankerRun(request, RerankerTraining.model_validate(request.spec.training.model_dump()), progress)
    training, whole = judged(request)
    sides = tuple(
        Shortlists(request, side, run.options.depth) for side in (training, whole.first(_JUDGED_QUERIES))
    )
    with (
        translated(f"training {request.model}", folder),
        seeded(request.seed, run.options.threads) as rng,
        sealing.scratch_beside(folder) as scratch,
    ):
        with run.timed("setup"):
            run.say(f"reading the base {request.spec.base}", 0, 1)
            base = bases.find(request.spec.base)
            reads = _encoder(base.folder, run.options)
            telling = matches.rarity(reads.tokenizer, (reads.plain(text).ids for text in sides[0].texts))
            model = crossing.crossing(base.folder, run.options.layers, reads, telling)
        with run.timed("fit"):
            kept = _fit(run, model, sides, rng)
        with run.timed("export"):
            fp32 = _exported(run, model, scratch)
        with run.timed("parity"):
            int8, scores, found = _quantised(run, model, fp32, sides[1], scratch)
        with run.timed("seal"):
            run.say("sealing", 0, 1)
            tolerance = sealing.tolerance(fp32, int8, _LEAST_TOLERANCE, _MOST_TOLERANCE)
            config = _config(run, base, model, (training, whole))
            digest, fingerprint = sealing.seal_into(folder, scratch / "sealed", config, (reads,), tolerance)
    figures = _figures(sides[1], scores, run.options.top) | {
        "weighed_ndcg": kept.weighed,
        "epochs": float(kept.epochs),
    }
    return Trained(folder, digest, fingerprint, config, figures, found, run.seconds)


def _encoder(folder: Path, options: RerankerTraining) -> PairEncoder:
    spec = PairPreprocessing(max_tokens=options.max_tokens, takes="query and text")
    return PairEncoder(Tokenizer.from_file(str(folder / TOKENIZER)), spec)


@dataclass(frozen=True)
class Kept:
    """What the model carries: the best epoch, 0 without a network; `weighed` is the NDCG before the first."""

    weighed: float
    epochs: int


def _fit(
    run: RerankerRun, model: crossing.Crossing, sides: tuple[Shortlists, ...], rng: np.random.Generator
) -> Kept:
    """The model carries the best weights on validation: as drawn, weighed, or those of the best epoch.

    An epoch counts only if it gains more than the standard error of its gain: the network costs time. With
    `network: always` the first one counts whatever it gains.
    """
    options, held_out = run.options, sides[1]
    model.to(precision.device())
    encoder, model.scoring.encoder = model.scoring.encoder, None
    start = copy.deepcopy(model.scoring.weighing.state_dict())
    drawn = best = _ndcgs(held_out, held_out.candidates, options.top)
    weighing.weigh(run, model, sides[0], rng)
    weighed = _judged(run, model, held_out)
    if weighed.mean() > drawn.mean():
        best = weighed
    else:
        model.scoring.weighing.load_state_dict(start)
    model.scoring.encoder = encoder
    best_epoch, best_weights = 0, None
    with used_tokens(model.scoring.encoder, _tokens(model.reads, sides)):
        teacher = correcting.Teacher(run, model, sides[0], rng)
        for epoch in range(1, options.epochs + 1):
            model.train()
            for batch in teacher.batches():
                teacher.step(epoch, batch)
            run.say(f"judging epoch {epoch}", epoch, options.epochs)
            gain = (found := _judged(run, model, held_out)) - best
            first = options.network == "always" and not best_epoch
            if first or gain.mean() > gain.std() / len(gain) ** 0.5:
                best, best_epoch, best_weights = found, epoch, copy.deepcopy(model.state_dict())
            elif options.early_stopping and epoch - best_epoch >= options.early_stopping:
                break
        model.load_state_dict(best_weights or teacher.before)
    if not best_epoch:
        model.scoring.encoder = None
    model.cpu()
    return Kept(float(weighed.mean()), best_epoch)


def _tokens(reads: PairEncoder, sides: tuple[Shortlists, ...]) -> list[list[int]]:
    """Every token that training or judging may meet."""
    queries = [query for side in sides for query in side.queries.queries]
    framed, _ = reads.ids(reads.query(""), "")
    return [framed, *(reads.plain(text).ids for text in (*queries, *sides[0].texts))]


def _judged(run: RerankerRun, model: crossing.Crossing, held_out: Shortlists) -> NDArray[np.float64]:
    """The NDCG of each query as reranked; all -1 for a broken model."""
    given = crossing.scores(model, held_out.asked(), run.options.precision)
    if not all(np.isfinite(row).all() for row in given):
        return np.full(len(held_out.queries), -1.0)
    return _ndcgs(held_out, held_out.reranked(given), run.options.top)


def _ndcgs(held_out: Shortlists, ranked: list[list[int]], top: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = recalls_and_ndcgs(ranked, held_out.queries, top)[1]
    return found


def _exported(run: RerankerRun, model: crossing.Crossing, scratch: Path) -> Reranker:
    run.say("exporting to ONNX", 0, 1)
    export.to_onnx(model.scoring, scratch / "fp32.onnx", model.reads.inputs)
    return Reranker("fp32", model.reads, session(scratch, file="fp32.onnx", inputs=model.reads.inputs))


def _quantised(
    run: RerankerRun, model: crossing.Crossing, fp32: Reranker, held_out: Shortlists, scratch: Path
) -> tuple[Reranker, list[NDArray[np.float32]], dict[str, Any]]:
    """The smallest int8 graph whose parity holds, its scores as served, and the figures."""
    (scratch / "sealed").mkdir()
    asked = held_out.asked()
    scores = {"torch": crossing.scores(model, asked, "fp32")}
    scores["fp32"] = _served(run, fp32, asked)
    for keep in export.LADDER:
        export.to_int8(scratch / "fp32.onnx", scratch / "sealed" / MODEL, keep)
        int8 = Reranker("int8", model.reads, session(scratch / "sealed", inputs=model.reads.inputs))
        scores["int8"] = _served(run, int8, asked)
        found = parity.compare_scores(scores) | {"float32_products": sorted(keep)}
        broken = parity.under(found["correlation"], run.options.int8_correlation, "scores of correlation")
        if not broken:
            break
    accepted = f"a correlation of {run.options.int8_correlation}"
    parity.refuse(broken, accepted, "train longer, so that relevant and other items lie further apart")
    return int8, scores["int8"], found


def _served(
    run: RerankerRun, by: Reranker, asked: list[tuple[str, list[Candidate]]]
) -> list[NDArray[np.float32]]:
    """Each query's scores in the shape that serves."""

    def scores(one: tuple[str, list[Candidate]]) -> NDArray[np.float32]:
        query, offered = one
        return by.scores(query, [each.text for each in offered], [each.similarity for each in offered])

    return side_by_side(scores, asked, partial(run.say, f"parity of {by.name}"))


def _figures(held_out: Shortlists, scores: list[NDArray[np.float32]], top: int) -> dict[str, float]:
    """Of the sealed graph, beside the order in which the adapter drew."""
    recall, ndcg = recall_and_ndcg(held_out.reranked(scores), held_out.queries, top)
    drawn_recall, drawn_ndcg = recall_and_ndcg(held_out.candidates, held_out.queries, top)
    return {
        "validation_recall": recall,
        "validation_ndcg": ndcg,
        "drawn_recall": drawn_recall,
        "drawn_ndcg": drawn_ndcg,
    }


def _config(
    run: RerankerRun, base: bases.Base, model: crossing.Crossing, sides: tuple[Judged, Judged]
) -> dict[str, Any]:
    """All that the training depended on: enough to train it again."""
    by = run.request.candidates_from
    config = run.config(base)
    return config | {
        "candidates_from": {"version": by.version, "digest": by.digest} if by is not None else None,
        "layers": model.scoring.layers,
        "items": run.request.items.height,
        "queries": {"train": len(sides[0]), "validation": len(sides[1])},
        "libraries": config["libraries"] | sealing.libraries("sentence-transformers"),
    }
