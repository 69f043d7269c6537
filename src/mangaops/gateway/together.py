"""Texts that are answered together: who goes with whom, and what each gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mangaops.inference.families import Said, Servable

_LIKE: Final = 0.1
"""Part of its length by which another text may be longer or shorter to go with it; one token always."""


def of_like_length(size: int, others: Sequence[int]) -> list[int]:
    """Where `others` holds lengths that may go with `size`: the nearest first, of equal ones the earlier."""
    far = [abs(each - size) for each in others]
    near = [place for place, by in enumerate(far) if by <= max(1, _LIKE * size)]
    return sorted(near, key=far.__getitem__)


def answers_to(predictor: Servable, read: Sequence[Any]) -> list[Said | Exception]:
    """The answer to each that the predictor `read`, together; or what it raised for that one alone."""
    try:
        answers = list(predictor.answer_together(read))
    except Exception as error:  # noqa: BLE001 - whatever a model raises goes to those who asked
        return [error] if len(read) == 1 else [answers_to(predictor, [each])[0] for each in read]
    if len(answers) != len(read):  # whose they are nobody knows
        return [ValueError(f"the model gave {len(answers)} answers to {len(read)} texts")] * len(read)
    return [*answers]
