"""What the sections of a stack must say to each other, checked once every section is readable by itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mangaops.stack.document import Path
from mangaops.stack.specs import ANY, DataSpec, ModelSpec, Rule, Splits, Stack, UnitSpec
from mangaops.stack.spelling import near
from mangaops.vocabulary import FROM_LOGS, REVIEW_WORDS, SEARCHING, Family, Stage, is_review_word

RANKING_GATES: Final = frozenset({"pair", "index_recall", "added_latency"})
"""Gates that judge a search."""

LABEL_GATES: Final = frozenset({"no_critical_regression"})
"""Gates that judge answers with labels."""

LABEL_KEYS: Final = ("critical", "rare_under", "harm", "actions", "critical_examples")
"""Keys of a model that say something of labels."""

_OF_LISTS: Final = f"its rules are on {', '.join(Stage)}, or of preference on shadow_review"
_OF_LABELS: Final = "its rules are on golden, or of accuracy on shadow_review"

_PAIR: Final = (Family.EMBEDDING_ADAPTER, Family.CROSS_ENCODER_RERANKER)

Mistakes = Iterator[tuple[Path, str]]


def agreement(stack: Stack, tree: Any) -> Mistakes:
    """Every contradiction, as the path where it stands and what it says.

    `tree` holds the names of all sections, those with mistakes of their own included, so that a mistake
    in one section is not reported a second time as its absence.
    """
    for name, data in stack.data.items():
        yield from _data(("data", name), data)
    for name, searched in stack.search_data.items():
        yield from _splits(("data", name), searched.splits)
    for name, model in stack.models.items():
        yield from _kind(("models", name), model, stack)
        yield from _model(("models", name), model, stack.data, _names(tree, "data"))
        yield from _label_keys(("models", name), model)
    for name, unit in stack.units.items():
        yield from _unit(("units", name), unit, stack, _names(tree, "models"))
        written = tree["units"][name].get("gates")
        all_read = isinstance(written, list) and len(written) == len(unit.gates)
        yield from _search(("units", name), unit, stack, all_read=all_read)
        if not written:
            yield ("units", name, "gates"), f"units.{name}: without a gate nothing can be promoted; add some"


def _names(tree: Any, section: str) -> Collection[str]:
    found = tree.get(section)
    return list(found) if isinstance(found, Mapping) else []


def _kind(path: Path, model: ModelSpec, stack: Stack) -> Mistakes:
    """A model learns from data of the kind that its family reads."""
    searches = model.family in SEARCHING
    there, other = (stack.search_data, stack.data) if searches else (stack.data, stack.search_data)
    if model.data in other:
        kind = "search" if searches else "labels"
        says = (
            f"models.{path[-1]}: {model.family} learns from data of kind: {kind}, and '{model.data}' is not"
        )
        yield (*path, "data"), f"{says}{near(model.data, there)}"


def _label_keys(path: Path, model: ModelSpec) -> Mistakes:
    """A model that answers with lists has no labels of which a key could say something."""
    if model.family not in SEARCHING:
        return
    taken = ", ".join(key for key in ModelSpec.model_fields if key not in LABEL_KEYS)
    for key in LABEL_KEYS:
        if key in model.model_fields_set:
            says = f"{model.family} answers with no label that it could be about"
            yield (*path, key), f"models.{path[-1]}.{key}: {says}; take it away: the model takes {taken}"


def _data(path: Path, data: DataSpec) -> Mistakes:
    yield from _splits(path, data.splits)
    if data.labels != FROM_LOGS:
        yield from _doubled((*path, "labels"), data.labels)
        yield from _reserved((*path, "labels"), data.labels)
        if not data.labels:
            yield (*path, "labels"), f"data.{path[-1]}.labels: list the labels, or write {FROM_LOGS}"


def _splits(path: Path, splits: Splits) -> Mistakes:
    total = splits.train + splits.validation + splits.golden
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        yield (*path, "splits"), f"data.{path[-1]}.splits: the shares sum to {total:g}; they must sum to 1"
    if splits.train == 0 or splits.golden == 0:
        yield (*path, "splits"), f"data.{path[-1]}.splits: train and golden need a share above 0"


def _model(path: Path, model: ModelSpec, data: Mapping[str, DataSpec], names: Collection[str]) -> Mistakes:
    spot = f"models.{path[-1]}"
    if model.data not in names:
        yield (*path, "data"), f"{spot}: unknown data '{model.data}'{near(model.data, names)}"
    yield from _doubled((*path, "critical"), model.critical)
    listed = data[model.data].labels if model.data in data else FROM_LOGS
    if listed == FROM_LOGS:
        return
    yield from _known((*path, "critical"), model.critical, listed, f"{spot}.critical")
    offered = model.actions.offer_human
    yield from _known((*path, "actions", "offer_human"), offered, listed, f"{spot}.actions.offer_human")
    for truth, row in model.harm.items():
        yield from _known((*path, "harm", truth), [truth], [*listed, ANY], f"{spot}.harm")
        yield from _known((*path, "harm", truth), row, [*listed, ANY], f"{spot}.harm.{truth}")


def _unit(path: Path, unit: UnitSpec, stack: Stack, names: Collection[str]) -> Mistakes:
    spot = f"units.{path[-1]}"
    yield from _doubled((*path, "models"), unit.models)
    for at, model in enumerate(unit.models):
        if model not in names:
            yield (*path, "models", at), f"{spot}: unknown model '{model}'{near(model, names)}"
    if unit.cadence is not None:
        yield from _cadence((*path, "cadence"), unit.cadence.cron, unit.cadence.timezone, spot)
    yield from _readable((*path, "log", "text"), unit, spot)
    listed = _labels(unit, stack)
    for name in ("bootstrap", "gates"):
        for at, rule in enumerate(getattr(unit, name)):
            yield from _rule_labels(
                (*path, name, at), rule.params.model_dump(), listed, f"{spot}.{name}[{at}]"
            )


def _search(path: Path, unit: UnitSpec, stack: Stack, *, all_read: bool) -> Mistakes:
    """A unit that ranks is one pair on the same data, judged as a pair and by lists; no other unit is.

    Unless `all_read`, a rule of its list was refused by itself, and may be the one that judges the pair.
    """
    models = [stack.models[name] for name in unit.models if name in stack.models]
    if len(models) < len(unit.models):
        return
    spot, families = f"units.{path[-1]}", tuple(model.family for model in models)
    ranks = any(family in SEARCHING for family in families)
    if ranks and families != _PAIR:
        says = f"a unit that searches has exactly these models, in this order: {' and '.join(_PAIR)}"
        yield (*path, "models"), f"{spot}.models: {says}; found {', '.join(families)}"
    elif ranks and len({model.data for model in models}) > 1:
        found = ", ".join(f"{name} from {stack.models[name].data}" for name in unit.models)
        yield (
            (*path, "models"),
            f"{spot}.models: both models of a pair learn from the same data; found {found}",
        )
    if not ranks and "index" in unit.model_fields_set:
        says = "only a unit that searches has a vector index, and this one answers with labels"
        yield (*path, "index"), f"{spot}.index: {says}; take it away"
    if ranks and all_read and unit.gates and all(rule.gate != "pair" for rule in unit.gates):
        says = "adapter and reranker are released as a pair, and no rule judges it"
        yield (*path, "gates"), f"{spot}.gates: {says}; add gate: pair (with dry_run: true it counts nothing)"
    for name in ("bootstrap", "gates"):
        for at, rule in enumerate(getattr(unit, name)):
            if says := _out_of_place(rule, ranks=ranks):
                yield (*path, name, at), f"{spot}.{name}[{at}]: {says}"


def _out_of_place(rule: Rule, *, ranks: bool) -> str:
    """Why the rule makes no sense in such a unit, in words; empty where it does."""
    params = rule.params.model_dump()
    metric, on = params.get("metric"), params.get("on")
    preferred, reviewed = metric == "preference", on == "shadow_review"
    of_lists = rule.gate in RANKING_GATES or on in set(Stage) or (reviewed and preferred)
    of_labels = rule.gate in LABEL_GATES or on == "golden" or (reviewed and not preferred)
    what = f"{rule.gate}{f' of {metric} on {on}' if metric and on else ''}"
    if ranks and of_labels:
        return f"{what} judges answers with labels, and this unit answers with lists; {_OF_LISTS}"
    if not ranks and of_lists:
        return f"{what} judges lists of a search, and this unit answers with labels; {_OF_LABELS}"
    return ""


def _readable(path: Path, unit: UnitSpec, spot: str) -> Mistakes:
    """People review texts, so that a gate that needs a review does not go with texts that nobody can read."""
    reviewed = [at for at, rule in enumerate(unit.gates) if _needs_review(rule)]
    if unit.log.text == "hash" and reviewed:
        gates = ", ".join(f"{unit.gates[at].gate} (gates[{at}])" for at in reviewed)
        says = f"{spot}.log.text: hash leaves people nothing to review, and {gates} needs a review"
        yield path, f"{says}; write mask or keep, or take these gates away"


def _needs_review(rule: Rule) -> bool:
    return rule.gate == "disagreement" or rule.params.model_dump().get("on") == "shadow_review"


def _labels(unit: UnitSpec, stack: Stack) -> Collection[str] | None:
    """The labels that the unit's models may answer; None where the logs will say."""
    labels: list[str] = []
    for name in unit.models:
        data = stack.data.get(stack.models[name].data) if name in stack.models else None
        if data is None or data.labels == FROM_LOGS:
            return None
        labels += data.labels
    return labels


def _rule_labels(
    path: Path, params: Mapping[str, Any], listed: Collection[str] | None, spot: str
) -> Mistakes:
    named = [*(params.get("labels") or ()), *([params["label"]] if params.get("label") else [])]
    if listed is not None:
        yield from _known((*path, "labels" if params.get("labels") else "label"), named, listed, spot)


def _cadence(path: Path, cron: str, timezone: str, spot: str) -> Mistakes:
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as problem:
        needed = "five fields are needed: minute hour day month weekday"
        says = f"{spot}.cadence: '{cron}' is no cron line ({problem}); {needed}"
        yield (*path, "cron"), says
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        says = f"{spot}.cadence: unknown time zone '{timezone}'; a name like Asia/Tokyo or UTC is known"
        yield (*path, "timezone"), says


def _doubled(path: Path, words: Iterable[str]) -> Mistakes:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            yield path, f"{'.'.join(map(str, path))}: '{word}' is listed twice"
        seen.add(word)


def _reserved(path: Path, labels: Iterable[str]) -> Mistakes:
    for at, label in enumerate(labels):
        if is_review_word(label):
            says = f"a reviewer writes {', '.join(REVIEW_WORDS)} for something else; give it another name"
            yield (*path, at), f"{'.'.join(map(str, path))}: '{label}' cannot be a label: {says}"


def _known(path: Path, words: Iterable[str], accepted: Collection[str], spot: str) -> Mistakes:
    for word in words:
        if word not in accepted:
            yield path, f"{spot}: unknown label '{word}'{near(word, accepted)}"
