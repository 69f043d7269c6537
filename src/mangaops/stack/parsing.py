"""Plain values to specs: every mistake is kept with its line, and near matches are named."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from mangaops.errors import StackError
from mangaops.stack.agreement import agreement
from mangaops.stack.document import Document, Path, Unreadable, read, where
from mangaops.stack.specs import DataSpec, ModelSpec, Rule, SearchDataSpec, Stack, Strict, UnitSpec
from mangaops.stack.spelling import closest, near
from mangaops.stack.wording import MISSING, OURS, UNKNOWN, Mistake, accepted, keys_at, kind_of, said, spelled
from mangaops.vocabulary import STACK_STREAM, STREAM_NAME, Family

KINDS: Final[dict[str, type[DataSpec] | type[SearchDataSpec]]] = {
    "labels": DataSpec,
    "search": SearchDataSpec,
}
"""What a dataset may be: labelled logs, or what people searched for."""

_TOP: Final = ("stack", "simulated", "data", "models", "units")
_OF_RULES: Final = ("gate", "dry_run")
"""Keys of any rule, beside the parameters of its gate."""
_Spec = TypeVar("_Spec", bound=BaseModel)
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Words:
    gates: Mapping[str, type[BaseModel]]
    metrics: Collection[str]
    families: Mapping[str, type[BaseModel]]


def parse(
    text: str | bytes,
    *,
    gates: Mapping[str, type[BaseModel]],
    metrics: Collection[str],
    families: Mapping[str, type[BaseModel]],
    source: str = "stack.yaml",
) -> Stack:
    """The stack that `text` declares, checked against itself.

    `gates` holds the parameters of each known gate, `families` the training parameters of each known
    family, `metrics` the known metrics: a rule's parameter named `metric` must be one of them.

    Raises:
        StackError: with every mistake, in the order of lines.
    """
    try:
        document = read(text)
    except Unreadable as problem:
        raise StackError(source, [str(problem)]) from None
    stack = _stack(document, _Words(gates, metrics, families))
    if stack is not None:
        for path, says in agreement(stack, document.values):
            document.wrong(path, says)
    if document.mistakes or stack is None:
        mistakes = dict.fromkeys(sorted(document.mistakes))
        raise StackError(source, [f"line {line}: {says}" for line, says in mistakes])
    return stack


def _stack(document: Document, words: _Words) -> Stack | None:
    tree = document.values
    if not isinstance(tree, dict):
        document.wrong((), f"a stack.yaml is a mapping of {', '.join(_TOP)}; this is {kind_of(tree)}")
        return None
    _strange(tree, _TOP, (), document)
    name, simulated = tree.get("stack"), tree.get("simulated", False)
    if not isinstance(name, str) or not name.strip():
        found = kind_of(name) if "stack" in tree else "nothing"
        document.wrong(("stack",), f"stack: the name of the stack is missing; found {found}")
    if not isinstance(simulated, bool):
        document.wrong(("simulated",), f"simulated: must be true or false; found {spelled(simulated)}")
    data = _section(document, "data", lambda value, path: _data(value, path, document))
    return Stack(
        stack=str(name),
        simulated=simulated is True,
        data={key: spec for key, spec in data.items() if isinstance(spec, DataSpec)},
        search_data={key: spec for key, spec in data.items() if isinstance(spec, SearchDataSpec)},
        models=_section(document, "models", lambda value, path: _model(value, path, document, words)),
        units=_section(document, "units", lambda value, path: _unit(value, path, document, words)),
    )


def _section(document: Document, name: str, build: Callable[[Any, Path], _Value | None]) -> dict[str, _Value]:
    """The named specs of one top-level section; those with mistakes are left out."""
    section = document.values.get(name)
    if not isinstance(section, dict) or not section:
        found = kind_of(section) if name in document.values else "nothing"
        document.wrong((name,), f"{name}: at least one entry is needed; found {found}")
        return {}
    if name != "models":
        _names(document, name, section)
    built = {key: build(value, (name, key)) for key, value in section.items()}
    return {key: spec for key, spec in built.items() if spec is not None}


def _names(document: Document, section: str, names: Iterable[str]) -> None:
    """Each name that the ledger would not take for a stream is a mistake."""
    for name in names:
        if not STREAM_NAME.fullmatch(name):
            like = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")
            accepted = "lower-case letters of English, digits, '.', '_' and '-', the first a letter or digit"
            says = f"'{name}' is no name for the ledger: it takes {accepted}"
            document.wrong((section, name), f"{section}: {says}{f', as in {like!r}' if like else ''}")
        elif section == "units" and name == STACK_STREAM:
            says = f"'{name}' is a stream of the ledger already; give the unit another name"
            document.wrong((section, name), f"{section}: {says}")


def _data(value: Any, path: Path, document: Document) -> DataSpec | SearchDataSpec | None:
    kind = value.get("kind", "labels") if isinstance(value, dict) else "labels"
    if not isinstance(kind, str) or kind not in KINDS:
        document.wrong((*path, "kind"), f"{where(path)}: kind {_unknown(kind, KINDS)}")
        _strange(value, {key for each in KINDS.values() for key in each.model_fields}, path, document)
        return None
    return _spec(KINDS[kind], value, path, document)


def _model(value: Any, path: Path, document: Document, words: _Words) -> ModelSpec | None:
    if not isinstance(value, dict):
        return _spec(ModelSpec, value, path, document)
    family = value.get("family")
    if not isinstance(family, str) or family not in words.families:
        known = words.families
        found = _unknown(family, known) if "family" in value else f"is missing{near('', known)}"
        document.wrong((*path, "family"), f"{where(path)}: family {found}")
        _spec(ModelSpec, {**value, "family": Family.INTENT_CLASSIFIER, "training": Strict()}, path, document)
        return None
    inner = (*path, "training")
    training = _spec(words.families[family], _mapping(value.get("training")), inner, document)
    spec = _spec(ModelSpec, {**value, "training": training or Strict()}, path, document)
    return spec if training is not None else None


def _unknown(value: Any, known: Collection[str]) -> str:
    if isinstance(value, str):
        return f"'{value}' is unknown{near(value, known)}"
    return f"must be a text; found {kind_of(value)}{near('', known)}"


def _unit(value: Any, path: Path, document: Document, words: _Words) -> UnitSpec | None:
    if not isinstance(value, dict):
        return _spec(UnitSpec, value, path, document)
    lists = {}
    for name in ("bootstrap", "gates"):
        rules = value.get(name, [])
        if not isinstance(rules, list):
            document.wrong(
                (*path, name), f"{where((*path, name))}: must be a list of rules; found {kind_of(rules)}"
            )
            rules = []
        built = [_rule(rule, (*path, name, at), document, words) for at, rule in enumerate(rules)]
        lists[name] = tuple(rule for rule in built if rule is not None)
    return _spec(UnitSpec, {**value, **lists}, path, document)


def _rule(value: Any, path: Path, document: Document, words: _Words) -> Rule | None:
    spot = where(path)
    if not isinstance(value, dict):
        document.wrong(path, f"{spot}: a rule is a mapping with a key gate; found {kind_of(value)}")
        return None
    gate, metric, dry_run = value.get("gate"), value.get("metric"), value.get("dry_run", False)
    if not isinstance(dry_run, bool):
        document.wrong((*path, "dry_run"), f"{spot}: dry_run must be true or false; found {spelled(dry_run)}")
    if isinstance(metric, str) and metric not in words.metrics:
        document.wrong((*path, "metric"), f"{spot}: unknown metric '{metric}'{near(metric, words.metrics)}")
    named = gate if isinstance(gate, str) and gate in words.gates else None
    meant = words.gates.get(named or _meant(value, path, document, words.gates))
    takers = words.gates.values() if meant is None else [meant]
    _strange(value, {*_OF_RULES, *(key for each in takers for key in each.model_fields)}, path, document)
    if meant is None:
        return None
    params = _spec(meant, {key: value[key] for key in meant.model_fields if key in value}, path, document)
    return Rule(named, params, dry_run is True, document.line(path)) if named and params is not None else None


def _meant(value: dict[str, Any], path: Path, document: Document, gates: Collection[str]) -> str:
    """The gate of a rule that names none that is known, so that the rest of the rule is read too."""
    spot = where(path)
    if "gate" not in value:
        document.wrong(path, f"{spot}: gate is missing{near('', gates)}")
        return next((str(value[key]) for key in value if closest(key, ["gate"])), "")
    gate = value["gate"]
    if not isinstance(gate, str):
        document.wrong((*path, "gate"), f"{spot}: gate {_unknown(gate, gates)}")
        return ""
    document.wrong((*path, "gate"), f"{spot}: unknown gate '{gate}'{near(gate, gates)}")
    return closest(gate, gates) or ""


def _strange(value: Iterable[str], known: Collection[str], path: Path, document: Document) -> None:
    """Each key that is not known is a mistake."""
    at = "in" if path else "at"
    for key in value:
        if key not in known:
            document.wrong((*path, key), f"unknown key '{key}' {at} {where(path)}{near(key, known)}")


def _spec(model: type[_Spec], value: Any, path: Path, document: Document) -> _Spec | None:
    """The validated section, or None; mistakes are kept.

    Where unknown keys are all that is wrong, the section without them is returned, so that the mistakes
    that only a whole stack shows are told at once with these.
    """
    if not isinstance(value, dict):
        document.wrong(path, f"{where(path)}: must be a mapping; found {kind_of(value)}")
        return None
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as refused:
        errors = refused.errors(include_url=False)
    for place, says in _mistakes(model, errors, path).items():
        document.wrong((*path, *place), says)
    if any(error["type"] != UNKNOWN for error in errors):
        return None
    return _spec(model, _without(value, [error["loc"] for error in errors]), path, document)


def _without(value: dict[str, Any], keys: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    """A copy that lacks the keys at these locations."""
    left = copy.deepcopy(value)
    for *outer, last in keys:
        section: Any = left
        for part in outer:
            section = section[part]
        del section[last]
    return left


def _mistakes(model: type[BaseModel], errors: Iterable[Mistake], path: Path) -> dict[Path, str]:
    """What is wrong by its place in the section: where something inside a place is wrong too, that alone.

    A place that may hold one of several things is told once, with all that it may hold.
    """
    found: dict[Path, list[Mistake]] = {}
    for error in errors:
        found.setdefault(_place(error["loc"]), []).append(error)
    inside = {place[:end] for place in found for end in range(len(place))}
    return {
        place: _told(model, told, (*path, *place), place)
        for place, told in found.items()
        if place not in inside
    }


def _place(loc: Iterable[int | str]) -> Path:
    """The keys and indexes of a location, without the marks such as `[key]` that pydantic adds to them."""
    return tuple(part for part in loc if isinstance(part, int) or "[" not in part)


def _told(model: type[BaseModel], errors: Sequence[Mistake], path: Path, place: Path) -> str:
    first = errors[0]
    if first["type"] == UNKNOWN:
        known = near(str(place[-1]), keys_at(model, place[:-1]))
        return f"unknown key '{place[-1]}' in {where(path[:-1])}{known}"
    if first["type"] == MISSING:
        return f"{where(path[:-1])}: the key '{place[-1]}' is missing"
    says = " or ".join([said(first, keys_at(model, place)), *(accepted(each) for each in errors[1:])])
    return f"{where(path)}: {says}{_found(first)}"


def _found(error: Mistake) -> str:
    """`; found VALUE` of a scalar, and of another value what it is where that is the mistake."""
    value = error["input"]
    if error["type"] == OURS and not isinstance(value, (str, int, float)):
        return ""
    return f"; found {spelled(value)}"


def _mapping(value: Any) -> Any:
    return {} if value is None else value
