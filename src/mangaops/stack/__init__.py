"""stack.yaml, strictly parsed: what a stack declares, or every mistake in it at once, each with its line."""

from mangaops.stack.differences import Difference, differences
from mangaops.stack.parsing import parse
from mangaops.stack.specs import (
    ANY,
    MOST_QUERIES,
    SPENT_ON_SHADOW,
    Actions,
    Cadence,
    DataSpec,
    GoldenSpec,
    IndexParameters,
    LogSpec,
    ModelSpec,
    ReviewSpec,
    Rule,
    SearchDataSpec,
    ShadowSpec,
    Splits,
    Stack,
    Strict,
    UnitSpec,
)
from mangaops.stack.spelling import guess
from mangaops.stack.wording import told

__all__ = [
    "ANY",
    "MOST_QUERIES",
    "SPENT_ON_SHADOW",
    "Actions",
    "Cadence",
    "DataSpec",
    "Difference",
    "GoldenSpec",
    "IndexParameters",
    "LogSpec",
    "ModelSpec",
    "ReviewSpec",
    "Rule",
    "SearchDataSpec",
    "ShadowSpec",
    "Splits",
    "Stack",
    "Strict",
    "UnitSpec",
    "differences",
    "guess",
    "parse",
    "told",
]
