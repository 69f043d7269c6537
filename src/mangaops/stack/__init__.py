"""stack.yaml, strictly parsed: what a stack declares, or every mistake in it at once, each with its line."""

from mangaops.stack.differences import Difference, differences
from mangaops.stack.parsing import parse
from mangaops.stack.specs import (
    ANY,
    Actions,
    Cadence,
    DataSpec,
    GoldenSpec,
    ModelSpec,
    ReviewSpec,
    Rule,
    ShadowSpec,
    Splits,
    Stack,
    UnitSpec,
)

__all__ = [
    "ANY",
    "Actions",
    "Cadence",
    "DataSpec",
    "Difference",
    "GoldenSpec",
    "ModelSpec",
    "ReviewSpec",
    "Rule",
    "ShadowSpec",
    "Splits",
    "Stack",
    "UnitSpec",
    "differences",
    "parse",
]
