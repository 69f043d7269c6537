"""What a metric is: a name, a unit, a direction, and a numerator and denominator a row and side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mangaops.metrics.ranked import Ranked
from mangaops.metrics.reviewed import Reviewed
from mangaops.metrics.scored import Scored
from mangaops.vocabulary import Direction, Side

Numbers = NDArray[np.float64]
View = Scored | Ranked | Reviewed
V = TypeVar("V", Scored, Ranked, Reviewed)

_NUMBER: Final = re.compile("[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class Sides:
    """A ratio of sums over the same rows, once for each side.

    The value of a side is `sum(numerator) / sum(denominator)`; a row that says nothing has 0 in both.
    `scale` is the largest difference that one row can make.
    """

    baseline_numerator: Numbers
    baseline_denominator: Numbers
    release_numerator: Numbers
    release_denominator: Numbers
    scale: float = 1.0

    def value(self, side: Side) -> float:
        """The metric of one side; NaN where no row counts."""
        mine = side is Side.RELEASE
        top = self.release_numerator if mine else self.baseline_numerator
        bottom = self.release_denominator if mine else self.baseline_denominator
        total = float(bottom.sum())
        return float(top.sum()) / total if total > 0 else float("nan")

    def rows(self) -> int:
        """How many rows count on either side."""
        return int(((self.baseline_denominator > 0) | (self.release_denominator > 0)).sum())


@dataclass(frozen=True)
class Metric(Generic[V]):
    """One entry of `METRICS`: no gate guesses a sign, a unit or where the numbers come from.

    `rows(view, label)` reads a `view`, needs a label where `per_label` is true, and takes none elsewhere.
    `graded`: it reads grades of items, so that a rule says what an unjudged one counts as. `places`: how many
    places of a list it looks at, None for all. `cut` makes the same of the first k places: `ndcg@10`.
    """

    name: str
    unit: str
    direction: Direction
    per_label: bool
    says: str
    rows: Callable[[V, str | None], Sides]
    view: type[V]
    graded: bool = False
    places: int | None = None
    cut: Callable[[int], Callable[[V, str | None], Sides]] | None = None


class Metrics(Mapping[str, Metric[Any]]):
    """Metrics by name. Of a metric that is listed as `name@k` there is one for each k from 1 to 9,999."""

    def __init__(self, metrics: Iterable[Metric[Any]]) -> None:
        self._listed = {metric.name: metric for metric in metrics}

    def __getitem__(self, name: str) -> Metric[Any]:
        if name in self._listed:
            return self._listed[name]
        stem, _, number = name.partition("@")
        whole = self._listed[f"{stem}@k"] if _NUMBER.fullmatch(number) else None
        if whole is None or whole.cut is None:
            raise KeyError(name)
        k = int(number)
        return replace(whole, name=name, rows=whole.cut(k), places=k, cut=None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def of(self, view: type[V]) -> list[Metric[V]]:
        """The listed metrics that read this view."""
        return [metric for metric in self._listed.values() if metric.view is view]
