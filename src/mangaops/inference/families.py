"""What each family's predictor is to the gateway: how it is loaded, under which path it answers, with what.

A unit is served by the family of its first model. A new family is one entry here; slots, cutover and shadow
know none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from mangaops.errors import SetupError
from mangaops.inference.answer import Answer, Predictor
from mangaops.inference.load import load
from mangaops.vocabulary import Action, Family

if TYPE_CHECKING:
    from mangaops.registry.permit import Permit


class Servable(Predictor, Protocol):
    """A predictor that answers live requests: it reads each text alone, and answers some of them together."""

    def read(self, text: str) -> Sized:
        """The text as the model takes it; texts of equal length are answered together without padding."""

    def answer_together(self, read: Sequence[Any]) -> list[Answer]:
        """The answer to each text that `read` gave, computed in one batch."""


@dataclass(frozen=True)
class Output:
    """One thing that an answer says. `datatype` is a word of the Open Inference Protocol."""

    name: str
    datatype: Literal["BYTES", "FP64"]
    of: Callable[[Answer], Any]


@dataclass(frozen=True)
class Serving:
    """How a family is served: `POST /v1/<path>`, an answer's outputs, and what a unit says without one."""

    path: str
    outputs: tuple[Output, ...]
    load: Callable[[Mapping[str, Path], Mapping[str, Permit], int], Servable]
    fallback: Callable[[str], dict[str, Any]]


def _one_model(folders: Mapping[str, Path], permits: Mapping[str, Permit], threads: int) -> Servable:
    (model,) = permits
    return load(folders[model], permits[model], threads=threads)


def _routed_by_hand(fallback: str) -> dict[str, Any]:
    """What a router says without a release: no intent, and a human where `fallback` is no action."""
    action = fallback if fallback in set(Action) else Action.OFFER_HUMAN
    return {"intent": None, "confidence": 0.0, "action": str(action)}


SERVING: Final[Mapping[Family, Serving]] = {
    Family.INTENT_CLASSIFIER: Serving(
        path="route",
        outputs=(
            Output("intent", "BYTES", lambda answer: answer.label),
            Output("confidence", "FP64", lambda answer: round(answer.confidence, 6)),
            Output("action", "BYTES", lambda answer: str(answer.action)),
        ),
        load=_one_model,
        fallback=_routed_by_hand,
    ),
}


def serving(family: Family) -> Serving:
    """How the family is served.

    Raises:
        SetupError: this version of mangaops serves no such family.
    """
    if family not in SERVING:
        raise SetupError(
            f"serving a unit of family {family} was refused: this version cannot",
            accepted=", ".join(SERVING),
            next_step="leave the unit out with --unit, or install a newer mangaops",
        )
    return SERVING[family]
