"""The embedding adapter: a residual projection over a frozen encoder, trained by contrast, in one graph."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mangaops.inference.embedder import Embedder
from mangaops.inference.manifest import file_digest
from mangaops.inference.nearest import NONE, nearest
from mangaops.inference.preprocessing import TOKENIZER, Encoder, Preprocessing
from mangaops.inference.session import MODEL, session
from mangaops.training.foreign import translated
from mangaops.training.parameters import AdapterTraining
from mangaops.training.request import PairRequest, Progress, Trained
from mangaops.training.steps import bases, export, losses, negatives, parity, precision, sealing, vectors
from mangaops.training.steps.embedding import Adapter, Embedding, embedding
from mangaops.training.steps.judged import Judged, judged, recall_and_ndcg
from mangaops.training.steps.run import Pace, Run, diverged
from mangaops.training.steps.seed import seeded

AdapterRun = Run[PairRequest, AdapterTraining]

_PARITY_TEXTS: Final = 400
_JUDGED_QUERIES: Final = 2000
_LEAST_TOLERANCE, _MOST_TOLERANCE = 0.01, 0.1


def train(request: PairRequest, folder: Path, progress: Progress | None = None) -> Trained:
    """`folder` is a sealed embedder: the base, its pooling, and an adapter trained on exactly this request.

    Equal requests give equal bytes on one machine (same CPU, cores and libraries). A kill leaves no `folder`.

    Raises:
        TrainingError: rows that cannot be trained on, a loss that is not a number, or a broken parity.
        SetupError: the base cannot be had, a package is missing, or the disk is full.
        UsageError: `folder` holds other files.
    """
    return _sealed(request, folder, progress, adapted=True)


def frozen_base(request: PairRequest, folder: Path, progress: Progress | None = None) -> Trained:
    """`folder` is a sealed embedder of the base alone, to measure adapters against. Raises as `train`."""
    return _sealed(request, folder, progress, adapted=False)


def _sealed(request: PairRequest, folder: Path, progress: Progress | None, *, adapted: bool) -> Trained:
    run = AdapterRun(request, AdapterTraining.model_validate(request.spec.training.model_dump()), progress)
    sides = judged(request)
    with (
        translated(f"training {request.model}", folder),
        seeded(request.seed, run.options.threads) as rng,
        sealing.scratch_beside(folder) as scratch,
    ):
        with run.timed("setup"):
            run.say(f"reading the base {request.spec.base}", 0, 1)
            base = bases.find(request.spec.base)
            reads = _encoder(base.folder, run.options)
            network = embedding(base.folder)
            source = vectors.Source(base, reads, network, request.cache, scratch, run.say)
            known = Vectors(source, request.items.get_column("text").to_list(), sides)
        with run.timed("fit"):
            figures = _figures("base", known.held_out, known.items, sides[1], run.options.top)
            if adapted:
                teacher = Teacher(run, known, sides, rng)
                figures["best_step"] = float(teacher.fit())
                network.adapter = teacher.adapter.cpu()
        with run.timed("export"):
            fp32 = _exported(run, network, reads, scratch)
        with run.timed("parity"):
            int8, found = _quantised(run, network, reads, fp32, sides[1], scratch)
            figures |= _judged_as_served(run, int8, sides[1])
        with run.timed("seal"):
            run.say("sealing", 0, 1)
            tolerance = sealing.tolerance(fp32, int8, _LEAST_TOLERANCE, _MOST_TOLERANCE)
            config = _config(run, base, network, sides)
            digest, fingerprint = sealing.seal_into(folder, scratch / "sealed", config, (reads,), tolerance)
    return Trained(folder, digest, fingerprint, config, figures, found, run.seconds)


def _encoder(folder: Path, options: AdapterTraining) -> Encoder:
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    return Encoder(tokenizer, Preprocessing(max_tokens=options.max_tokens))


class Vectors:
    """What the base gives: unit vectors of the training queries, the validation queries and the items."""

    def __init__(self, of: vectors.Source, items: list[str], sides: tuple[Judged, Judged]) -> None:
        training, held_out = (side.queries for side in sides)
        rows = of.vectors([*training, *held_out, *items])
        cuts = [len(training), len(training) + len(held_out)]
        self.training, self.held_out, self.items = np.split(rows, cuts)


class Teacher:
    """One adapter, one optimizer, and the base's vectors, which do not change."""

    def __init__(
        self, run: AdapterRun, known: Vectors, sides: tuple[Judged, Judged], rng: np.random.Generator
    ) -> None:
        self.run, self.known, self.rng, options = run, known, rng, run.options
        self.training, self.held_out = sides
        self.pairs = self.training.pairs()
        self.adapter = Adapter(known.items.shape[1], options.hidden).to(precision.device())
        self.items = torch.from_numpy(known.items).to(precision.device())
        self.pool = self._mined() if options.hard_negatives else None
        self.optimizer = torch.optim.AdamW(
            self.adapter.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        self.pace = Pace(run, options.steps, options.warm_up)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.pace)
        self.order: list[int] = []

    def _mined(self) -> NDArray[np.int64]:
        first, last = self.run.options.mined_from, self.run.options.mined_to
        ranked = nearest(self.known.items, self.known.training, last).positions.tolist()
        return negatives.pools(ranked, self.training.grades, first, last)

    def fit(self) -> int:
        """The adapter has the weights of its best check on validation, the untrained ones among them."""
        best, best_step, best_weights = self.score(), 0, copy.deepcopy(self.adapter.state_dict())
        checks = set(
            np.linspace(0, self.run.options.steps, self.run.options.checks + 1).round().astype(int)[1:]
        )
        for step in range(1, self.run.options.steps + 1):
            self.step(step)
            if step in checks and (score := self.score()) > best:
                best, best_step, best_weights = score, step, copy.deepcopy(self.adapter.state_dict())
        self.adapter.load_state_dict(best_weights)
        return best_step

    def step(self, number: int) -> None:
        """The adapter is one batch better.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        queries, items, relevant = self.batch()
        vectors_of = torch.from_numpy(self.known.training)
        with precision.autocast(self.run.options.precision):
            asked = self.adapter(vectors_of[queries].to(self.items.device))
            offered = self.adapter(self.items[items])
        loss = losses.info_nce(asked.float(), offered.float(), relevant, self.run.options.temperature)
        if not torch.isfinite(loss):
            raise diverged(f"step {number}", loss.item())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.pace.stepped(f"step {number}/{self.run.options.steps}", loss.item())

    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The next pairs: queries, items with hard negatives behind them, and which are relevant to which."""
        size = min(self.run.options.batch, len(self.pairs))
        while len(self.order) < size:
            self.order += self.rng.permutation(len(self.pairs)).tolist()
        chosen, self.order = self.order[:size], self.order[size:]
        queries, items = self.pairs[chosen].T
        if self.pool is not None:
            drawn = negatives.draw(self.pool, queries, self.run.options.hard_negatives, self.rng).ravel()
            items = np.concatenate([items, drawn[drawn != NONE]])
        relevant = np.asarray([[item in self.training.grades[query] for item in items] for query in queries])
        device = self.items.device
        return (
            torch.from_numpy(queries),
            torch.from_numpy(items).to(device),
            torch.from_numpy(relevant).to(device),
        )

    def score(self) -> tuple[float, float]:
        """Recall and NDCG of the adapter as it is, on the validation queries over all items."""
        with torch.inference_mode():
            asked = self.adapter(torch.from_numpy(self.known.held_out).to(self.items.device)).cpu().numpy()
            offered = self.adapter(self.items).cpu().numpy()
        return _score(asked, offered, self.held_out, self.run.options.top)


def _score(
    asked: NDArray[np.float32], offered: NDArray[np.float32], queries: Judged, top: int
) -> tuple[float, float]:
    return recall_and_ndcg(nearest(offered, asked, top).positions.tolist(), queries, top)


def _figures(
    whose: str, asked: NDArray[np.float32], offered: NDArray[np.float32], queries: Judged, top: int
) -> dict[str, float]:
    recall, ndcg = _score(asked, offered, queries, top)
    return {f"{whose}_recall": recall, f"{whose}_ndcg": ndcg}


def _exported(run: AdapterRun, network: Embedding, reads: Encoder, scratch: Path) -> Embedder:
    run.say("exporting to ONNX", 0, 1)
    export.to_onnx(network, scratch / "fp32.onnx", output="vector")
    return Embedder("fp32", reads, session(scratch, file="fp32.onnx"))


def _quantised(
    run: AdapterRun, network: Embedding, reads: Encoder, fp32: Embedder, held_out: Judged, scratch: Path
) -> tuple[Embedder, dict[str, Any]]:
    """The smallest int8 graph whose parity holds, and the figures, over validation queries and items."""
    (scratch / "sealed").mkdir()
    items = run.request.items.get_column("text").to_list()
    half = _PARITY_TEXTS // 2
    texts = [*held_out.first(half).queries, *(items[row] for row in parity.sample(len(items), half))]
    rows = {"torch": network.vectors([reads.ids(text) for text in texts]), "fp32": fp32.vectors(texts)}
    for keep in export.LADDER:
        export.to_int8(scratch / "fp32.onnx", scratch / "sealed" / MODEL, keep)
        int8 = Embedder("int8", reads, session(scratch / "sealed"))
        rows["int8"] = int8.vectors(texts, run.progress)
        found = parity.compare_vectors(rows) | {"float32_products": sorted(keep)}
        broken = parity.under(found["least_cosine"], run.options.int8_cosine, "a text at cosine")
        if not broken:
            break
    parity.refuse(
        broken, f"cosine {run.options.int8_cosine} for every text", "lower int8_cosine in stack.yaml"
    )
    return int8, found


def _judged_as_served(run: AdapterRun, int8: Embedder, held_out: Judged) -> dict[str, float]:
    """Recall and NDCG of the sealed graph."""
    some = held_out.first(_JUDGED_QUERIES)
    items = int8.vectors(run.request.items.get_column("text").to_list(), run.progress)
    return _figures("validation", int8.vectors(some.queries), items, some, run.options.top)


def _config(
    run: AdapterRun, base: bases.Base, network: Embedding, sides: tuple[Judged, Judged]
) -> dict[str, Any]:
    """All that the training depended on: enough to train it again."""
    return run.config(base) | {
        "adapter": network.adapter is not None,
        "pooling": network.pooling,
        "tokenizer": file_digest(base.folder / TOKENIZER),
        "items": run.request.items.height,
        "queries": {"train": len(sides[0]), "validation": len(sides[1])},
    }
