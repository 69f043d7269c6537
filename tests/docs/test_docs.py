"""What exists is in its page, and what a page shows exists: a new word fails here until it is told."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reading
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mangaops import errors
from mangaops.gates import GATES
from mangaops.metrics import METRICS
from mangaops.registry import picture
from mangaops.registry.events import BODIES
from mangaops.stack import DataSpec, ModelSpec, SearchDataSpec, UnitSpec
from mangaops.training.parameters import PARAMETERS
from mangaops.vocabulary import EventKind, EvidenceKind, Outcome, RecordPart, State, Verdict

SHARED = {"--stack", "--home", "--ledger", "--files", "--actor", "--json"}
COMMANDS = dict(reading.commands())
ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.MangaopsError)
}
SOURCE = reading.ROOT / "src" / "mangaops"
MACHINE = re.compile(r"(?<![\w.~<{$])/(?:work|home|root|Users|mnt|opt|srv)/\w+|[A-Z]:\\\\?\w+|/tmp/\w+")


# ---- commands.md


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_told(name: str) -> None:
    text = reading.sections(reading.page("commands.md")).get(f"mangaops {name}")
    assert text is not None, f"docs/commands.md has no section `mangaops {name}`"
    told = {option for key in reading.rows(text) for option in key.split()}
    for parameter in COMMANDS[name].params:
        word = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name.upper()
        assert word in told | SHARED, f"docs/commands.md, mangaops {name}: {word} is missing"
        if parameter.required:
            assert reading.rows(text)[word][0] == "required", f"mangaops {name}: {word} is required"
    assert "Exit code" in text, f"docs/commands.md, mangaops {name}: no exit code"


def test_no_command_or_option_is_told_that_does_not_exist() -> None:
    for title, text in reading.sections(reading.page("commands.md")).items():
        if not title.startswith("mangaops "):
            continue
        assert title.removeprefix("mangaops ") in COMMANDS
        known = {
            word
            for parameter in COMMANDS[title.removeprefix("mangaops ")].params
            for word in (*parameter.opts, parameter.name.upper())
        }
        assert set(reading.rows(text)) <= known, title


def test_options_of_every_command_and_their_environment_variables_are_told() -> None:
    told = reading.rows(reading.sections(reading.page("commands.md"))["Options of every command"])
    for command in COMMANDS.values():
        for parameter in command.params:
            if parameter.opts[0] in SHARED:
                cell = told[parameter.opts[0]][0]
                assert cell == (f"`{parameter.envvar}`" if parameter.envvar else "")


def test_every_environment_variable_of_the_source_is_told() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    used = set(re.findall(r"MANGAOPS_[A-Z0-9_]+", sources))
    missing = [word for word in sorted(used) if word not in reading.page("commands.md")]
    assert missing == []


# ---- gates.md and metrics.md


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_and_parameter_is_told_with_its_default(gate: str) -> None:
    text = reading.sections(reading.page("gates.md")).get(gate)
    assert text is not None, f"docs/gates.md has no section `{gate}`"
    told = {name: cells[0] for name, cells in reading.rows(text).items()}
    assert told == {name: default_shown(f.default) for name, f in GATES[gate].params.model_fields.items()}
    example = rf"^    \S (PASS|FAIL|INCONCLUSIVE|ERROR) {gate}: "
    assert re.search(example, text, re.MULTILINE), f"docs/gates.md: no example line of {gate}"


def test_verdicts_decisions_evidence_and_record_parts_are_told() -> None:
    words = [*(v.name for v in Verdict), *Outcome, *EvidenceKind, *RecordPart]
    assert [word for word in words if word not in reading.ticked(reading.page("gates.md"))] == []


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_told_with_unit_and_direction(metric: str) -> None:
    known = METRICS[metric]
    told = reading.rows(reading.page("metrics.md"))
    assert metric in told, f"docs/metrics.md: {metric} is missing"
    assert told[metric][:3] == [known.unit, str(known.direction), "yes" if known.per_label else "no"]


def test_no_metric_is_told_that_does_not_exist() -> None:
    assert set(reading.rows(reading.page("metrics.md"))) == set(METRICS)


# ---- ledger.md, errors.md, architecture.md


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_is_told_with_its_fields(kind: EventKind) -> None:
    told = reading.rows(reading.sections(reading.page("ledger.md"))["Events"])
    assert kind in told, f"docs/ledger.md: event {kind} is missing"
    assert reading.ticked(told[kind][0]) == set(BODIES[kind]), f"docs/ledger.md: fields of {kind}"
    assert told[kind][1], f"docs/ledger.md: who appends {kind}?"


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_told_with_parent_exit_code_and_an_example(name: str) -> None:
    found = reading.sections(reading.page("errors.md"))
    told = reading.rows(found["Errors"])
    assert name in told, f"docs/errors.md: {name} is missing"
    parent = ERRORS[name].__bases__[0].__name__
    assert told[name][:2] == [f"`{parent}`" if parent in ERRORS else "", str(ERRORS[name].exit_code)]
    assert "    mangaops: " in found[name], f"docs/errors.md: no example of {name}"


def test_the_picture_of_the_lifecycle_is_the_generated_one() -> None:
    text = reading.sections(reading.page("architecture.md"))["The life of a release"]
    assert f"```mermaid\n{picture()}```" in text, "paste the output of mangaops.registry.picture()"


def test_the_picture_of_the_arrows_is_that_of_importlinter() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(reading.ROOT / ".importlinter", encoding="utf-8")
    listed = contracts["importlinter:contract:layers"]["layers"]
    levels = [line.replace("(", "").replace(")", "") for line in listed.splitlines() if line]
    pairs = enumerate(pairwise(levels))
    arrows = "".join(f'    l{at}["{upper}"] --> l{at + 1}["{lower}"]\n' for at, (upper, lower) in pairs)
    assert f"```mermaid\nflowchart TD\n{arrows}```" in reading.page("architecture.md"), arrows


def test_every_state_and_room_is_told() -> None:
    text = reading.page("architecture.md")
    states = reading.rows(reading.sections(text)["The life of a release"])
    assert set(states) == set(State)
    rooms = {place.parent.name for place in SOURCE.glob("*/__init__.py")}
    modules = {place.name for place in SOURCE.glob("*.py") if not place.name.startswith("__")}
    told = set(reading.rows(reading.sections(text)["The rooms"]))
    assert told == {f"{room}/" for room in rooms} | modules


# ---- stack-yaml.md


def default_shown(default: Any) -> str:
    """A default as the pages write it."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if default in ((), {}):
        return "`[]`" if default == () else "`{}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Each setting of a section with its default; a section within counts as its settings."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        inner = [kind for kind in kinds if _section(kind)]
        if name == "training":
            yield prefix + name, "`{}`"
        elif inner:
            yield from settings(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name, default_shown(field.default)


def _section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


SETTINGS = {
    **dict(settings(DataSpec, "data.NAME.")),
    **dict(settings(SearchDataSpec, "data.SEARCH.")),
    **dict(settings(ModelSpec, "models.NAME.")),
    **dict(settings(UnitSpec, "units.NAME.")),
}


@pytest.mark.parametrize("family", PARAMETERS)
def test_every_training_parameter_of_a_family_is_told_with_its_default(family: str) -> None:
    text = reading.sections(reading.page("stack-yaml.md")).get(f"Training parameters of {family}")
    assert text is not None, f"docs/stack-yaml.md: no training parameters of {family}"
    told = {name: cells[1] for name, cells in reading.rows(text).items()}
    assert told == dict(settings(PARAMETERS[family], "models.NAME.training."))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_told_with_its_default(setting: str) -> None:
    told = reading.rows(reading.page("stack-yaml.md"))
    assert setting in told, f"docs/stack-yaml.md: {setting} is missing"
    assert told[setting][1] == SETTINGS[setting], f"docs/stack-yaml.md: default of {setting}"


def test_no_setting_is_told_that_does_not_exist() -> None:
    top = {"stack", "simulated", "data", "models", "units"}
    trained = {name for each in PARAMETERS.values() for name, _ in settings(each, "models.NAME.training.")}
    assert set(reading.rows(reading.page("stack-yaml.md"))) == set(SETTINGS) | top | trained


# ---- every page


def links(text: str) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = [re.sub(r"[^\w\- ]", "", title.lower()) for title in reading.sections(text)]
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", reading.PAGES, ids=lambda path: str(path.relative_to(reading.ROOT)))
def test_relative_links_resolve(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in links(text):
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{path.name}: no such file {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path.name}: no heading {link}"


@pytest.mark.parametrize("path", reading.PAGES, ids=lambda path: str(path.relative_to(reading.ROOT)))
def test_command_lines_parse(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in reading.shown_lines(text):
        reading.parse(line)
    for line in reading.named_lines(text):
        reading.parse_named(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_each_help_parses(name: str) -> None:
    example = COMMANDS[name].epilog.removeprefix("Example: ")
    assert example.startswith(f"mangaops {name}")
    reading.parse(example)


def test_the_example_of_quickstart_works_where_nothing_was_made_yet() -> None:
    example = COMMANDS["quickstart"].epilog.removeprefix("Example: ")
    assert f"    {example}\n" in reading.page("commands.md")
    words = example.split()
    assert (reading.ROOT / words[words.index("--stack") + 1]).is_file()


WRONG = {
    "mangaops release run router --logz x": "logz",
    "mangaops relaese": "relaese",
    "mangaops release run router --logs x --because whim": "whim",
}


@pytest.mark.parametrize("line", WRONG)
def test_the_parse_check_fires(line: str) -> None:
    with pytest.raises(Exception, match=WRONG[line]):
        reading.parse(line)


@pytest.mark.parametrize("path", reading.PAGES, ids=lambda path: str(path.relative_to(reading.ROOT)))
def test_no_page_names_a_place_of_one_machine(path: Path) -> None:
    assert MACHINE.findall(path.read_text(encoding="utf-8")) == []


def test_the_machine_check_fires_and_stays_quiet() -> None:
    assert MACHINE.findall("see /home/ann/mangaops and /work/main") == ["/home/ann", "/work/main"]
    assert MACHINE.findall("s3://bucket/home/x, sqlite:////folder/ledger.db, reports/home/x.html") == []
