"""The intent predictor: text, tokens, logits, temperature, softmax, label, action."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.answer import Answer, action_for
from mangaops.inference.fingerprint import PROBES
from mangaops.inference.foreign import translated
from mangaops.inference.labels import LabelMap, label_map
from mangaops.inference.preprocessing import Encoder, encoder
from mangaops.inference.session import MODEL, Session, session

_TINY: Final = 1e-12

_CLOSE: Final = 0.5
"""Calibrated log-odds by which a decision counts as close.

What an int8 batch changes is mostly less: `python -m bench.batches` tells what is left (ADR 0098).
"""


class IntentPredictor:
    """Answers one text at a time; holds no state between texts and may be shared between threads."""

    def __init__(self, name: str, reads: Encoder, runs: Session, means: LabelMap) -> None:
        self.name = name
        self.labels = means.labels
        self._reads, self._runs = reads, runs
        self._temperature, self._actions = means.temperature, means.actions

    def probabilities(self, text: str) -> NDArray[np.float64]:
        """Calibrated probabilities of shape (labels,) that sum to 1; NaN where the model is broken."""
        return self._alone(self.read(text))

    def probed(self) -> dict[str, NDArray[np.float64]]:
        """Probabilities for each fixed probe."""
        return {text: self.probabilities(text) for text in PROBES}

    def answer(self, text: str) -> Answer:
        """The most probable label; of equal ones the first."""
        return self._answer(self.probabilities(text))

    def read(self, text: str) -> list[int]:
        """Token ids of the text, at least one."""
        return self._reads.ids(text)

    def answer_together(self, read: Sequence[list[int]]) -> list[Answer]:
        """The answer to each text that was `read`, in one batch.

        Label and action are those that the text gets alone, but for a few in a thousand: close calls are
        answered again, alone. The confidence of the others may differ a little.
        """
        if len(read) == 1:
            return [self._answer(self._alone(read[0]))]
        logits = self._runs.batch(read).astype(np.float64) / self._temperature
        rows = softmax(logits)
        for place in np.flatnonzero(self._close(logits, rows)).tolist():
            rows[place] = self._alone(read[place])
        return [self._answer(row) for row in rows]

    def _close(self, logits: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which decisions could be others if the logits were a little so."""
        close: NDArray[np.bool_] = ~(_gap(logits) >= _CLOSE)  # also where a number is none
        bar = self._actions.clarify_below
        if 0.0 < bar < 1.0:
            best = rows.max(axis=1).clip(_TINY, 1.0 - _TINY)
            close |= np.abs(np.log(best / (1.0 - best)) - math.log(bar / (1.0 - bar))) < _CLOSE
        return close

    def _alone(self, ids: list[int]) -> NDArray[np.float64]:
        return softmax(self._runs.alone(ids).astype(np.float64) / self._temperature)

    def _answer(self, probabilities: NDArray[np.float64]) -> Answer:
        best = int(probabilities.argmax())
        label, confidence = self.labels[best], float(probabilities[best])
        return Answer(label, confidence, action_for(self._actions, label, confidence))


def _gap(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much the first of each row is ahead of the second; of one label by infinity."""
    if logits.shape[1] < 2:
        return np.full(len(logits), np.inf)
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    ahead: NDArray[np.float64] = first - second
    return ahead


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities along the last axis; no overflow for large logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def assemble(folder: Path, name: str, *, threads: int = 1, file: str = MODEL) -> IntentPredictor:
    """A predictor from the files of a folder, unverified: for training and for the loader, never for serving.

    Raises:
        ArtifactTampered: a file is missing or unreadable, or the graph has not one column a label.
    """
    means = label_map(folder)
    predictor = IntentPredictor(name, encoder(folder), session(folder, threads, file), means)
    with translated(folder, "answering a first text"):
        if (columns := predictor.probabilities("").size) != len(means.labels):
            raise ValueError(f"the graph gives {columns} columns for {len(means.labels)} labels")
    return predictor
