"""The intent classifier: fine-tune an encoder, export it, prove the export, calibrate it, seal it."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mangaops.inference.labels import LabelMap
from mangaops.inference.preprocessing import TOKENIZER, Encoder, Preprocessing
from mangaops.inference.session import MODEL, Session, session
from mangaops.training.foreign import translated
from mangaops.training.parameters import IntentTraining
from mangaops.training.request import Progress, Trained, TrainingRequest
from mangaops.training.steps import (
    bases,
    calibrate,
    export,
    losses,
    parity,
    precision,
    scoring,
    sealing,
)
from mangaops.training.steps.network import Classifier, classifier, used_tokens
from mangaops.training.steps.rows import Rows, check
from mangaops.training.steps.run import Pace, Run, diverged
from mangaops.training.steps.seed import seeded


def train(request: TrainingRequest, folder: Path, progress: Progress | None = None) -> Trained:
    """`folder` is a sealed intent classifier, trained on exactly this request.

    Equal requests give equal bytes on one machine (same CPU, cores and libraries). A kill leaves no `folder`.

    Raises:
        TrainingError: rows that cannot be trained on, a loss that is not a number, or a broken parity.
        SetupError: the base cannot be had, a package is missing, or the disk is full.
        UsageError: `folder` holds other files.
    """
    run = IntentRun(request, IntentTraining.model_validate(request.spec.training.model_dump()), progress)
    check(request.train, request.validation, request.labels)
    with (
        translated(f"training {request.model}", folder),
        seeded(request.seed, run.options.threads) as rng,
        sealing.scratch_beside(folder) as scratch,
    ):
        with run.timed("setup"):
            run.say(f"reading the base {request.spec.base}", 0, 1)
            base = bases.find(request.spec.base)
            reads = _encoder(base.folder, run.options)
            training = Rows(request.train, request.labels, reads)
            held_out = Rows(request.validation, request.labels, reads)
            network = classifier(base.folder, len(request.labels), run.options)
        with run.timed("fit"):
            network.to(precision.device())
            with used_tokens(network.encoder, [*training.ids, *held_out.ids]):
                epochs = _fit(run, network, training, held_out, rng)
        with run.timed("export"):
            fp32 = _export(run, network, scratch)
        with run.timed("parity"):
            int8, served, targets, found = _quantised(run, network, held_out, fp32, scratch)
        with run.timed("seal"):
            run.say("sealing", 0, 1)
            means = _label_map(request, calibrate.temperature(served, targets))
            tolerance = sealing.probe_tolerance(fp32, int8, reads, means.temperature)
            config = _config(run, base)
            made = scratch / "sealed"
            digest, fingerprint = sealing.seal_into(folder, made, config, (means, reads), tolerance)
    metrics = _metrics(served, targets, means.temperature, epochs)
    return Trained(folder, digest, fingerprint, config, metrics, found, run.seconds)


IntentRun = Run[TrainingRequest, IntentTraining]


def _encoder(folder: Path, options: IntentTraining) -> Encoder:
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    return Encoder(tokenizer, Preprocessing(max_tokens=options.max_tokens))


def _fit(
    run: IntentRun, network: Classifier, training: Rows, held_out: Rows, rng: np.random.Generator
) -> int:
    """The network carries the weights of its best epoch on validation, whose number is returned."""
    options, everything = run.options, range(len(held_out))
    weights = losses.class_weights(training.targets, len(run.request.labels), options.class_weights)
    teacher = Teacher(run, network, weights.to(precision.device()), steps=-(-len(training) // options.batch))
    best, best_epoch, best_weights = (-1.0, 0.0), 0, network.state_dict()
    for epoch in range(1, options.epochs + 1):
        network.train()
        for batch in training.shuffled(options.batch, rng):
            teacher.step(epoch, training, batch)
        score = scoring.score(
            scoring.logits(network, held_out, everything, options.precision), held_out.targets
        )
        if score > best:
            best, best_epoch, best_weights = score, epoch, copy.deepcopy(network.state_dict())
        elif options.early_stopping and epoch - best_epoch >= options.early_stopping:
            break
    if not best_epoch:
        raise diverged("epoch 1", float("nan"))
    network.load_state_dict(best_weights)
    return best_epoch


class Teacher:
    """One optimizer over one network: warm-up, then a learning rate that falls to zero in a line."""

    def __init__(self, run: IntentRun, network: Classifier, weights: torch.Tensor, steps: int) -> None:
        self.run, self.network, self.weights, options = run, network, weights, run.options
        self.pace = Pace(run, steps * options.epochs, options.warm_up)
        body = [weight for weight in network.encoder.parameters() if weight.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": list(network.head.parameters()), "lr": options.head_learning_rate},
            {"params": body, "lr": options.learning_rate},
        ]
        groups = [group for group in groups if group["params"]]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay, fused=True)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.pace)

    def step(self, epoch: int, training: Rows, batch: list[int]) -> None:
        """The weights are one batch better.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        ids, mask, targets = training.tensors(batch, precision.device())
        with precision.autocast(self.run.options.precision):
            logits = self.network(ids, mask)
        loss = losses.loss(logits.float(), targets, self.weights, self.run.options)
        if not torch.isfinite(loss):
            raise diverged(f"epoch {epoch}", loss.item())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.pace.stepped(f"epoch {epoch}/{self.run.options.epochs}", loss.item())


def _export(run: IntentRun, network: Classifier, scratch: Path) -> Session:
    run.say("exporting to ONNX", 0, 1)
    export.to_onnx(network.cpu(), scratch / "fp32.onnx")
    return session(scratch, file="fp32.onnx")


def _quantised(
    run: IntentRun, network: Classifier, held_out: Rows, fp32: Session, scratch: Path
) -> tuple[Session, NDArray[np.float64], NDArray[np.int64], dict[str, Any]]:
    """The smallest int8 graph whose parity holds, its logits as served, their targets, and the figures."""
    (scratch / "sealed").mkdir()
    chosen = parity.sample(len(held_out))
    ids, targets = [held_out.ids[row] for row in chosen], held_out.targets[chosen]
    logits = {"torch": scoring.logits(network.to(precision.device()), held_out, chosen, "fp32")}
    logits["fp32"] = parity.serve(fp32, ids, partial(run.say, "parity of fp32"))
    for keep in export.LADDER:
        export.to_int8(scratch / "fp32.onnx", scratch / "sealed" / MODEL, keep)
        int8 = session(scratch / "sealed")
        logits["int8"] = parity.serve(int8, ids, partial(run.say, "parity of int8"))
        found = parity.compare(logits, targets) | {"float32_products": sorted(keep)}
        if not parity.broken(found, run.options.int8_agreement):
            break
    parity.require(found, run.options.int8_agreement)
    return int8, logits["int8"], targets, found


def _label_map(request: TrainingRequest, temperature: float) -> LabelMap:
    actions = request.spec.actions
    return LabelMap(
        labels=request.labels,
        temperature=temperature,
        clarify_below=actions.clarify_below,
        offer_human=actions.offer_human,
    )


def _metrics(
    served: NDArray[np.float64], targets: NDArray[np.int64], temperature: float, epochs: int
) -> dict[str, float]:
    return {
        "validation_accuracy": float((served.argmax(axis=1) == targets).mean()),
        "validation_loss": calibrate.log_loss(served, targets, temperature),
        "calibration_error": calibrate.calibration_error(served, targets, temperature),
        "temperature": temperature,
        "epochs": float(epochs),
    }


def _config(run: IntentRun, base: bases.Base) -> dict[str, Any]:
    """All that the training depended on: enough to train it again."""
    request = run.request
    return run.config(base) | {
        "actions": request.spec.actions.model_dump(mode="json"),
        "labels": list(request.labels),
        "rows": {"train": request.train.height, "validation": request.validation.height},
    }
