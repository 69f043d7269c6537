"""The plain baseline that stands in a champion's place while there is none: TF-IDF, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mangaops.errors import TrainingError
from mangaops.inference.answer import Answer, action_for
from mangaops.inference.preprocessing import Preprocessing
from mangaops.stack import Actions
from mangaops.training.foreign import translated


class Baseline:
    """A predictor in memory: measured beside a first release, never sealed and never served."""

    name = "baseline (TF-IDF and logistic regression)"

    def __init__(self, pipeline: object, labels: tuple[str, ...], actions: Actions) -> None:
        self._pipeline, self.labels, self._actions = pipeline, labels, actions
        self._reads = Preprocessing()

    def answer(self, text: str) -> Answer:
        """The most probable label; of equal ones the first."""
        prepared = self._reads.prepare(text)
        probabilities = self._pipeline.predict_proba([prepared])[0]  # type: ignore[attr-defined]
        best = int(probabilities.argmax())
        label, confidence = str(self._pipeline.classes_[best]), float(probabilities[best])  # type: ignore[attr-defined]
        return Answer(label, confidence, action_for(self._actions, label, confidence))


def baseline(train: pl.DataFrame, labels: Sequence[str], actions: Actions) -> Baseline:
    """A predictor fitted on the columns `text` and `label`; the same rows give the same answers.

    Raises:
        TrainingError: no rows, or one label only.
        SetupError: scikit-learn is not installed.
    """
    if train.height == 0 or train.get_column("label").n_unique() < 2:
        raise TrainingError(
            "the baseline was refused before it began",
            found=f"{train.height} rows of {train.get_column('label').n_unique()} labels",
            accepted="training rows of two labels or more",
            next_step="see `mangaops data show`",
        )
    with translated("fitting the baseline"):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\S+")
        pipeline = make_pipeline(words, LogisticRegression(C=10.0, max_iter=300))
        prepare = Preprocessing().prepare
        pipeline.fit(
            [prepare(text) for text in train.get_column("text")], train.get_column("label").to_list()
        )
    return Baseline(pipeline, tuple(labels), actions)
