"""What a gate is: the parameters that a rule may set, what it judges, and how often it may prove harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.stack import Rule, Strict

Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Label = Annotated[str, Field(min_length=1)]


class Params(Strict):
    """The parameters of one gate: strict and frozen."""


@dataclass(frozen=True)
class Gate:
    """One entry of `GATES`.

    `judge` returns at least one finding. `comparisons` counts the statistical comparisons of a rule that
    can end in FAIL by chance; `fail_confidence` is shared over them.
    """

    params: type[Params]
    judge: Callable[[Rule, Case], tuple[Finding, ...]]
    comparisons: Callable[[Any], int]
