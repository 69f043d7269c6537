"""What stack.yaml may say, section by section: frozen, and strict about unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import PydanticKnownError

from mangaops.errors import SetupError, UsageError
from mangaops.stack.spelling import guess
from mangaops.vocabulary import FROM_LOGS, Family

ANY: Final = "*"

Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0)]


def _no_switch(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """What is read of the value; true and false, which pydantic reads as 1 and 0, are no numbers."""
    taken = read(value)
    if isinstance(value, bool) and not isinstance(taken, bool) and isinstance(taken, (int, float)):
        raise PydanticKnownError("int_type" if isinstance(taken, int) else "float_type")
    return taken


class Strict(BaseModel):
    """A frozen section of stack.yaml: no unknown key, no infinite number, no switch for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    _numbers = field_validator("*", mode="wrap")(_no_switch)


Cost = Annotated[float, Field(ge=0), WrapValidator(_no_switch)]


class Splits(Strict):
    """Shares of groups that go to each split; they sum to 1."""

    train: Share = 0.7
    validation: Share = 0.1
    golden: Share = 0.2


class GoldenSpec(Strict):
    """How large the frozen golden set is, in rows, and how many of them each critical label gets."""

    rows: Annotated[int, Field(ge=1)] = 6000
    per_critical_label: Count = 500


Column = Literal[
    "row_id",
    "text",
    "label",
    "conversation_id",
    "user_id",
    "at",
    "label_source",
    "annotator",
    "language",
    "turn",
    "split",
]


ItemColumn = Literal[
    "item_id",
    "title",
    "synopsis",
    "tags",
    "genres",
    "price",
    "stock",
    "language",
    "age_rating",
    "released",
]
JudgmentColumn = Literal["query_id", "query", "item_id", "grade", "language", "split"]
SearchColumn = Literal[
    "search_id", "query", "user_id", "session_id", "at", "item_id", "rank", "clicked", "bought"
]


class DataSpec(Strict):
    """One dataset: where its columns are, its labels, its splits and what counts as leakage.

    `columns` maps our names to the logs' names; a column that is not listed keeps its own name.
    """

    kind: Literal["labels"] = "labels"
    columns: dict[Column, Word] = {}
    labels: tuple[Word, ...] | Literal["from_logs"] = FROM_LOGS
    splits: Splits = Splits()
    split_key: Word | None = None
    golden: GoldenSpec = GoldenSpec()
    max_characters: Annotated[int, Field(ge=1)] = 2000
    distinctive_words: Annotated[int, Field(ge=1)] = 6
    distinctive_under: Annotated[int, Field(ge=1)] = 5
    near_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    mask_personal_data: bool = False
    minimum_critical: Count = 50
    too_good_over: Share = 0.05
    jargon: tuple[Word, ...] = ()


MOST_QUERIES: Final = 1000
"""Golden queries that an evaluation asks at most."""


class GoldenQueries(Strict):
    """How many golden queries there are at most: an evaluation asks each of four pairs of models."""

    queries: Annotated[int, Field(ge=1, le=MOST_QUERIES)] = MOST_QUERIES


class SearchDataSpec(Strict):
    """What people searched for: a catalogue, judged queries, and where there are some logs of searches.

    `catalogue`, `judgments` and `searches` map our columns to theirs. An item is relevant from the grade
    `relevant_from` on. Two queries that are equal, have the same words, or share `near_at` of their word
    3-shingles are never in two splits.
    """

    kind: Literal["search"] = "search"
    catalogue: dict[ItemColumn, Word] = {}
    judgments: dict[JudgmentColumn, Word] = {}
    searches: dict[SearchColumn, Word] = {}
    splits: Splits = Splits()
    split_key: Word | None = None
    golden: GoldenQueries = GoldenQueries()
    relevant_from: Annotated[float, Field(gt=0)] = 1.0
    near_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    mask_personal_data: bool = False
    head_share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class Actions(Strict):
    """What the chatbot does with an answer: asks back under a confidence, offers a human for some labels."""

    clarify_below: Share = 0.0
    offer_human: tuple[Word, ...] = ()


class ModelSpec(Strict):
    """One model: its family, base and data, and what its mistakes cost."""

    family: Family
    base: Word
    data: Name
    critical: tuple[Word, ...] = ()
    rare_under: Share = 0.06
    harm: dict[Word, dict[Word, Cost]] = {}
    actions: Actions = Actions()
    training: SerializeAsAny[BaseModel]
    critical_examples: Word | None = None

    def cost(self, truth: str, answer: str) -> float:
        """What it costs to answer `answer` where `truth` was right: 0 where equal, 1 where nothing is said.

        The most exact entry counts: truth and answer, truth and `*`, `*` and answer, `*` and `*`.
        """
        if truth == answer:
            return 0.0
        for row, column in ((truth, answer), (truth, ANY), (ANY, answer), (ANY, ANY)):
            if column in self.harm.get(row, {}):
                return self.harm[row][column]
        return 1.0


class Cadence(Strict):
    """When a unit is due: a cron line in a time zone, and triggers beside it."""

    cron: Word
    timezone: Word = "UTC"
    triggers: tuple[Literal["drift", "quality"], ...] = ()


class ShadowSpec(Strict):
    """How much mirrored traffic a shadow needs, and what a gateway may spend on it.

    Needed: share of requests, requests, hours of event time. Spent: the share of mirrored requests that the
    champion answers again, milliseconds a request, requests that wait, requests a second (None: the
    gateway's own measured bound).
    """

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_requests: Annotated[int, Field(ge=1)] = 5000
    min_hours: Annotated[float, Field(ge=0)] = 24.0
    control: Share = 0.1
    time_limit_ms: Annotated[int, Field(ge=1)] = 1000
    queue: Annotated[int, Field(ge=1)] = 256
    rate: Annotated[float, Field(gt=0)] | None = None


SPENT_ON_SHADOW: Final = ("control", "time_limit_ms", "queue", "rate")
"""Shadow settings of gateways alone: no decision hangs on them."""


class LogSpec(Strict):
    """What a gateway's logs keep of a request.

    `text`: as it came, with personal data masked, or its SHA-256, and then those of its ids too.
    """

    text: Literal["keep", "mask", "hash"] = "mask"


class ReviewSpec(Strict):
    """How many disagreements people judge, how many known items are planted, and the floor on those."""

    budget: Annotated[int, Field(ge=1)] = 800
    planted: Count = 20
    floor: Share = 0.8


class IndexParameters(Strict):
    """How a vector index is built and searched; sealed as index.json. The defaults are for a million items.

    `lists`: how many there are; None is four times the root of the items. `probe`: how many of them a query
    is looked for in. `oversample`: so many times k candidates are rescored.
    """

    exact_up_to: Annotated[int, Field(ge=1)] = 50_000
    lists: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    probe: Annotated[int, Field(ge=1)] = 128
    oversample: Annotated[float, Field(ge=1, le=16)] = 2.0

    def lists_of(self, items: int) -> int:
        """How many lists so many items lie in."""
        return min(self.lists or round(4 * math.sqrt(items)), items)


@dataclass(frozen=True)
class Rule:
    """One line of a gate list: the gate's name, its parsed parameters, and where it stands."""

    gate: str
    params: BaseModel
    dry_run: bool = False
    line: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON values: gate, parameters, dry_run."""
        return {"gate": self.gate, **self.params.model_dump(mode="json"), "dry_run": self.dry_run}


class UnitSpec(Strict):
    """What is released as one: its models, cadence, index, shadow, review and gate lists."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    fallback: Word = "offer_human"
    cadence: Cadence | None = None
    index: IndexParameters = IndexParameters()
    shadow: ShadowSpec = ShadowSpec()
    log: LogSpec = LogSpec()
    pin_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    review: ReviewSpec = ReviewSpec()
    looks: Annotated[int, Field(ge=1, le=100)] = 3
    fail_confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    bootstrap: tuple[Rule, ...] = ()
    gates: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Stack:
    """All that a stack.yaml declares, checked against itself.

    Under `data:` stand both kinds: `data` holds what is labelled, `search_data` what is of `kind: search`.
    """

    stack: str
    simulated: bool
    data: Mapping[str, DataSpec]
    search_data: Mapping[str, SearchDataSpec]
    models: Mapping[str, ModelSpec]
    units: Mapping[str, UnitSpec]

    def dataset(self, data: str) -> DataSpec | SearchDataSpec:
        """The dataset that is called so, of either kind."""
        return self.search_data[data] if data in self.search_data else self.data[data]

    def ranks(self, unit: str) -> bool:
        """Whether the unit answers with lists: its models learn from what people searched for."""
        return any(self.models[model].data in self.search_data for model in self.units[unit].models)

    def unit(self, name: str) -> UnitSpec:
        """What the stack says of the unit.

        Raises:
            UsageError: it declares no such unit.
        """
        if name not in self.units:
            raise UsageError(
                f"unit {name!r} was refused: the stack declares no such unit{guess(name, self.units)}",
                accepted=", ".join(sorted(self.units)),
                next_step="name one of these, or add it under `units:` in stack.yaml",
            )
        return self.units[name]

    def labelled(self, data: str) -> DataSpec:
        """The dataset of labelled logs that is called so.

        Raises:
            SetupError: it is of what people searched for, which has no labels.
        """
        if data in self.search_data:
            raise SetupError(
                f"{data} was refused: it is data of kind search, and only labelled logs will do here",
                accepted=f"labelled logs: {', '.join(sorted(self.data)) or 'the stack declares none'}",
                next_step="name data of labelled logs, or a unit that classifies",
            )
        return self.data[data]
