"""stack.yaml, strictly parsed: what a stack declares, or every mistake in it at once, each with its line.

YAML is read as a tree of nodes with marks, never as objects: booleans are `true` and `false` only (so that
`yes`, `no` and `on` stay words), a key may stand once, anchors are allowed and bombs are not.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from mangaops.errors import StackError
from mangaops.vocabulary import Family

FROM_LOGS: Final = "from_logs"
ANY: Final = "*"

Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """A frozen section of stack.yaml that refuses unknown keys and infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


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


class DataSpec(Strict):
    """One dataset: where its columns are, its labels, its splits and what counts as leakage.

    `columns` maps our names to the logs' names; a column that is not listed keeps its own name.
    """

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
    harm: dict[Word, dict[Word, Annotated[float, Field(ge=0)]]] = {}
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
    """How much mirrored traffic a shadow needs: share of requests, requests, hours of event time."""

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_requests: Annotated[int, Field(ge=1)] = 5000
    min_hours: Annotated[float, Field(ge=0)] = 24.0


class ReviewSpec(Strict):
    """How many disagreements people judge, how many known items are planted, and the floor on those."""

    budget: Annotated[int, Field(ge=1)] = 800
    planted: Count = 20
    floor: Share = 0.8


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
    """What is released as one: its models, cadence, shadow, review and gate lists."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    fallback: Word = "offer_human"
    cadence: Cadence | None = None
    shadow: ShadowSpec = ShadowSpec()
    review: ReviewSpec = ReviewSpec()
    looks: Annotated[int, Field(ge=1, le=100)] = 3
    fail_confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    bootstrap: tuple[Rule, ...] = ()
    gates: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Stack:
    """All that a stack.yaml declares, checked against itself."""

    stack: str
    simulated: bool
    data: Mapping[str, DataSpec]
    models: Mapping[str, ModelSpec]
    units: Mapping[str, UnitSpec]


def parse(
    text: str | bytes,
    *,
    gates: Mapping[str, type[BaseModel]],
    metrics: Collection[str],
    families: Mapping[str, type[BaseModel]],
    source: str = "stack.yaml",
) -> Stack:
    """The stack that `text` declares.

    `gates` holds the parameters of each known gate, `families` the training parameters of each known
    family, `metrics` the known metrics; a rule's parameter named `metric` must be one of them.

    Raises:
        StackError: with every mistake, in the order of lines.
    """
    reading = _Reading(gates, frozenset(metrics), families)
    try:
        tree = _plain(_compose(text), reading)
    except _Unreadable as problem:
        raise StackError(source, [str(problem)]) from None
    stack = _stack(tree, reading)
    if reading.mistakes or stack is None:
        raise StackError(source, [f"line {line}: {says}" for line, says in sorted(set(reading.mistakes))])
    return stack


# ---- text to plain values, with the line of every key and item ----------------------------------------

Path = tuple[str | int, ...]

MAX_BYTES: Final = 1_000_000
MAX_VALUES: Final = 50_000
MAX_DEPTH: Final = 30


class _Unreadable(Exception):
    """The text is no YAML document that could be looked at piece by piece."""


@dataclass
class _Reading:
    """The known words, the line of every path, and the mistakes found so far."""

    gates: Mapping[str, type[BaseModel]]
    metrics: frozenset[str]
    families: Mapping[str, type[BaseModel]]
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    values: int = 0

    def line(self, path: Path) -> int:
        """Line of the path, or of the nearest section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def wrong(self, path: Path, says: str) -> None:
        """One more mistake at the path."""
        self.mistakes.append((self.line(path), says))


def _compose(text: str | bytes) -> yaml.Node:
    """The tree of nodes, once size, encoding, syntax and depth allow one."""
    if len(text) > MAX_BYTES:
        raise _Unreadable(f"line 1: {len(text):,} bytes; a stack.yaml has at most {MAX_BYTES:,}")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        line = text[: problem.start].count(b"\n") + 1  # type: ignore[arg-type]
        raise _Unreadable(f"line {line}: this is not UTF-8 text (byte {problem.start})") from None
    try:
        depth = 0
        for event in yaml.parse(decoded, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _Unreadable(f"line {event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")
        node = yaml.compose(decoded, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
        raise _Unreadable(f"{where}: not YAML: {problem.problem or problem.context}") from None
    except yaml.YAMLError as problem:
        says = str(problem).splitlines()[0]
        raise _Unreadable(f"line 1: this is not text: {says}") from None
    if node is None:
        raise _Unreadable("line 1: the file is empty; `mangaops init` writes one to start from")
    return node


def _plain(node: yaml.Node, reading: _Reading, path: Path = (), inside: tuple[int, ...] = ()) -> Any:
    """Dicts, lists and scalars of a node; every mistake on the way is kept in `reading`."""
    reading.values += 1
    line = node.start_mark.line + 1
    reading.lines.setdefault(path, line)
    if reading.values > MAX_VALUES:
        raise _Unreadable(f"line {line}: anchors unfold to more than {MAX_VALUES:,} values")
    if id(node) in inside:
        raise _Unreadable(f"line {line}: an anchor contains itself")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, reading, path, (*inside, id(node)))
    if isinstance(node, yaml.SequenceNode):
        inner = (*inside, id(node))
        return [_plain(item, reading, (*path, at), inner) for at, item in enumerate(node.value)]
    return _scalar(node, reading, path)


def _mapping(
    node: yaml.MappingNode, reading: _Reading, path: Path, inside: tuple[int, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            reading.mistakes.append((line, f"a key of {_where(path)} is a list or a mapping, not a word"))
            continue
        name = str(key.value)
        if name in found:
            first = reading.lines[(*path, name)]
            reading.mistakes.append((line, f"key '{name}' stands twice in {_where(path)} (first in line {first})"))
            continue
        reading.lines[(*path, name)] = line
        found[name] = _plain(value, reading, (*path, name), inside)
    return found


_TRUTH: Final = {"true": True, "false": False}


def _scalar(node: yaml.Node, reading: _Reading, path: Path) -> Any:
    """The value of a scalar by YAML 1.2's core schema: `yes`, `on` and dates are words."""
    text = str(node.value)
    if node.style or node.tag == "tag:yaml.org,2002:str":
        tagged = "tag:yaml.org,2002:str"
    else:
        tagged = node.tag
    if not tagged.startswith("tag:yaml.org,2002:") or tagged.endswith((":binary", ":set")):
        reading.wrong(path, f"the tag '{node.tag}' in {_where(path)} is not accepted; write a plain value")
        return None
    if node.style:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    return _number(text)


def _number(text: str) -> Any:
    """An int or a float where the text is one in YAML 1.2's core schema, else the text."""
    body = text.lstrip("+-")
    if not body or body[0] not in "0123456789." or "_" in text or len(text) > 40:
        return text
    if body in (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"):
        return math.inf
    try:
        return int(text) if body.isdigit() else float(text)
    except ValueError:
        return text


# ---- plain values to specs --------------------------------------------------------------------------------

_TOP: Final = ("stack", "simulated", "data", "models", "units")


def _stack(tree: Any, reading: _Reading) -> Stack | None:
    if not isinstance(tree, dict):
        reading.wrong((), f"a stack.yaml is a mapping of {', '.join(_TOP)}; found {_kind(tree)}")
        return None
    for key in tree:
        if key not in _TOP:
            reading.wrong((key,), f"unknown key '{key}'{_near(key, _TOP)}")
    name = tree.get("stack")
    if not isinstance(name, str) or not name:
        reading.wrong(("stack",), f"stack must be a name; found {_kind(name)}")
    simulated = tree.get("simulated", False)
    if not isinstance(simulated, bool):
        reading.wrong(("simulated",), f"simulated must be true or false; found {simulated!r}")
    data = _section(tree, "data", reading, lambda value, path: _spec(DataSpec, value, path, reading))
    models = _section(tree, "models", reading, lambda value, path: _model(value, path, reading))
    units = _section(tree, "units", reading, lambda value, path: _unit(value, path, reading))
    stack = Stack(str(name), simulated is True, data, models, units)
    _agrees(tree, stack, reading)
    return stack
