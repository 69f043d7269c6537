"""However a stack.yaml is spoiled, it is understood or refused as a whole: no other exception comes out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mangaops.errors import StackError
from mangaops.gates import GATES
from mangaops.metrics import METRICS
from mangaops.stack import Stack, parse
from mangaops.stack.specs import Strict

INIT = Path(__file__).parents[2] / "src" / "mangaops" / "pipeline" / "templates" / "stack.yaml"
BITS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "\n",
    "-",
    '"',
    "*",
    "&a ",
    "!!x ",
    ".inf",
    "1e999",
    "#",
    "? ",
    "|",
    "\t",
    "~",
]
WORDS = ["gates", "labels", "harm", "data", "[]", "{}", "null", "5", "true", '"x"', "escalation"]


class Training(Strict):
    epochs: int = 3
    batch: int = 32
    learning_rate: float = 1e-4
    loss: str = "cross_entropy"
    class_weights: str = "none"
    frozen_layers: int = 0
    threads: int = 1


def spoiled(text: str, rng: np.random.Generator) -> str:
    kind, at = rng.integers(3), int(rng.integers(len(text)))
    if kind == 0:
        return text[:at] + str(rng.choice(BITS)) + text[at + int(rng.integers(3)) :]
    if kind == 1:
        lines = text.split("\n")
        lines.insert(int(rng.integers(len(lines))), lines.pop(int(rng.integers(len(lines)))))
        return "\n".join(lines)
    words = list(re.finditer(r"[\w.]+", text))
    word = words[int(rng.integers(len(words)))]
    return text[: word.start()] + str(rng.choice(WORDS)) + text[word.end() :]


def read(text: str) -> Stack | tuple[str, ...]:
    """The stack, or every mistake."""
    gates = {name: gate.params for name, gate in GATES.items()}
    try:
        return parse(text, gates=gates, metrics=METRICS, families={"intent-classifier": Training})
    except StackError as refused:
        return refused.mistakes


@pytest.mark.parametrize("seed", range(60))
def test_a_spoiled_stack_is_understood_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = INIT.read_text()
    for _ in range(int(rng.integers(1, 5))):
        text = spoiled(text, rng)
    outcome = read(text)
    assert isinstance(outcome, Stack) or all(re.match(r"line \d+", mistake) for mistake in outcome)
