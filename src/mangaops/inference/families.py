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
from mangaops.inference.load import load
from mangaops.inference.retrieval import load_retrieval
from mangaops.vocabulary import Action, Family

if TYPE_CHECKING:
    from mangaops.registry.permit import Permit


class Said(Protocol):
    """An answer of whatever family."""

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values, as logs keep it."""


class Servable(Protocol):
    """What answers live requests of one family, and may be shared between threads.

    It reads each request alone, and answers some of them together. What is asked is a text, or what its
    family makes of a request's body.
    """

    @property
    def name(self) -> str:
        """Who answers, as reports name it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that it can answer; none where its answers are no labels."""

    def answer(self, asked: Any) -> Said:
        """The answer to any text at all."""

    def read(self, asked: Any) -> Sized:
        """What is asked as the model takes it; what is of equal length goes together without padding."""

    def answer_together(self, read: Sequence[Any]) -> Sequence[Said]:
        """The answer to each that `read` gave, computed in one batch where that helps."""


@dataclass(frozen=True)
class Output:
    """One thing that an answer says. `datatype` is a word of the Open Inference Protocol."""

    name: str
    datatype: Literal["BYTES", "FP64", "INT64"]
    of: Callable[[Any], Any]


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


def _found_by_nobody(_fallback: str) -> dict[str, Any]:
    """What a search says without a release: nothing, of no catalogue."""
    return {"items": [], "scores": [], "catalogue_generation": 0}


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
    Family.EMBEDDING_ADAPTER: Serving(
        path="search",
        outputs=(
            Output("items", "BYTES", lambda answer: list(answer.items)),
            Output("scores", "FP64", lambda answer: [round(score, 6) for score in answer.scores]),
            Output("catalogue_generation", "INT64", lambda answer: answer.generation),
        ),
        load=load_retrieval,
        fallback=_found_by_nobody,
    ),
}
"""One entry a unit that is served, by the family of its first model."""


def loaded(folders: Mapping[str, Path], permits: Mapping[str, Permit], *, threads: int = 1) -> Servable:
    """One release as it serves: every model and part verified, and made for each other.

    Raises:
        IntegrityError: something is missing, changed, of another release, or answers otherwise than sealed.
        SetupError: this version of mangaops serves no such family, or a package is missing.
    """
    first = next(each.family for each in permits.values() if each.family is not None)
    return serving(first).load(folders, permits, threads)


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
