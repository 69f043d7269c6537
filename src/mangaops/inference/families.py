"""What each family's predictor is to the gateway: how it is loaded, under which path it answers, with what.

A unit is served by one family of its models. A new family is one entry here; slots, cutover and shadow know
none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from mangaops.errors import SetupError
from mangaops.inference.answer import Answer
from mangaops.inference.bodies import SHOWN, Asking, RouteSaid, SearchAsked, SearchSaid, TextAsked
from mangaops.inference.catalogue import Catalogue, ItemDelta
from mangaops.inference.load import load
from mangaops.inference.retrieval import Listed, Query, load_retrieval
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


@runtime_checkable
class FollowsCatalogue(Protocol):
    """A servable whose answers are from a catalogue that changes: it embeds each delta for itself."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that it was made of; under its name the deltas since then are kept."""

    @property
    def generation(self) -> int:
        """The number of the last delta that answers come from."""

    @property
    def embedded(self) -> int:
        """The number of the last delta that was embedded; answers come from it once it is shown."""

    @property
    def later(self) -> int:
        """How many items that answers come from are not in that catalogue, or were otherwise there."""

    def embed(self, deltas: Sequence[ItemDelta]) -> None:
        """The deltas are ready to be shown, or refused and nothing is changed."""

    def show(self) -> None:
        """Answers that begin now come from all that is embedded."""


@dataclass(frozen=True)
class Output:
    """A tensor of answers, one row an answer. `datatype` is a word of the Open Inference Protocol.

    `width`: how many values a row has, None where it is one value and no list.
    """

    name: str
    datatype: Literal["BYTES", "FP64", "INT64"]
    of: Callable[[Any], Any]
    width: int | None = None


@dataclass(frozen=True)
class Serving:
    """How a family is served under `POST /v1/<path>`.

    `asking` is the body, and `asks` makes of its words and options what the predictor takes; `saying` is the
    reply, and `says` makes its fields of an answer. `fallback` is what a unit answers without a release.
    `together`: whether some are answered faster in one batch. `labelled`: whether answers are labels.
    """

    path: str
    asking: type[Asking]
    asks: Callable[[str, Mapping[str, Any]], Any]
    saying: type[BaseModel]
    says: Callable[[Any], dict[str, Any]]
    outputs: tuple[Output, ...]
    load: Callable[[Mapping[str, Path], Mapping[str, Permit], int], Servable]
    fallback: Callable[[str], Said]
    together: bool = True
    labelled: bool = True


@dataclass(frozen=True)
class Unrouted:
    """What a router answers without a release."""

    action: Action
    label: None = None
    confidence: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values, as logs keep it."""
        return {"intent": self.label, "confidence": self.confidence, "action": str(self.action)}


def _one_model(folders: Mapping[str, Path], permits: Mapping[str, Permit], threads: int) -> Servable:
    (model,) = permits
    return load(folders[model], permits[model], threads=threads)


def _routed_by_hand(fallback: str) -> Unrouted:
    """No intent, and a human where `fallback` is no action."""
    return Unrouted(Action(fallback) if fallback in set(Action) else Action.OFFER_HUMAN)


def _routed(answer: Answer | Unrouted) -> dict[str, Any]:
    confidence = round(answer.confidence, 6)
    return {"intent": answer.label, "confidence": confidence, "action": str(answer.action)}


def _found(answer: Listed) -> dict[str, Any]:
    hits = zip(answer.items, answer.titles, answer.scores, strict=True)
    items = [{"item_id": item, "title": title, "score": round(score, 6)} for item, title, score in hits]
    return {"items": items, "catalogue_generation": answer.generation}


def _row(values: Sequence[Any], empty: Any) -> list[Any]:
    """The first places of a list; those that it does not have are empty."""
    return [*values[:SHOWN], *[empty] * (SHOWN - len(values))]


SERVING: Final[Mapping[Family, Serving]] = {
    Family.INTENT_CLASSIFIER: Serving(
        path="route",
        asking=TextAsked,
        asks=lambda text, _options: text,
        saying=RouteSaid,
        says=_routed,
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
        asking=SearchAsked,
        asks=Query.of,
        saying=SearchSaid,
        says=_found,
        outputs=(
            Output("items", "BYTES", lambda answer: _row(answer.items, ""), SHOWN),
            Output("scores", "FP64", lambda answer: _row([round(s, 6) for s in answer.scores], 0.0), SHOWN),
            Output("catalogue_generation", "INT64", lambda answer: answer.generation),
        ),
        load=load_retrieval,
        fallback=lambda _fallback: Listed((), (), 0, {}),
        together=False,
        labelled=False,
    ),
}
"""One entry a unit that is served, by the family that serves it."""


def loaded(folders: Mapping[str, Path], permits: Mapping[str, Permit], *, threads: int = 1) -> Servable:
    """One release as it serves: every model and part verified, and made for each other.

    Raises:
        IntegrityError: something is missing, changed, of another release, or answers otherwise than sealed.
        SetupError: this version of mangaops serves no such family, or a package is missing.
    """
    families = [each.family for each in permits.values() if each.family is not None]
    return serving(served_family(families)).load(folders, permits, threads)


def served_family(families: Sequence[Family]) -> Family:
    """The family that serves a unit of these models, in whatever order: the first that is served at all."""
    return next((family for family in families if family in SERVING), families[0])


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
