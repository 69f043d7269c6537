"""A message's next step can be typed: the command exists, takes these options and this many names, and lacks
none that it needs; a bare `mangaops review export` only names the command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import reading

SOURCE = reading.ROOT / "src" / "mangaops"
COMMANDS = dict(reading.commands())
FIRST = {name.split()[0] for name in COMMANDS}


def texts(code: str) -> Iterator[tuple[int, str]]:
    """Each string of the source that is no docstring, with `{expression}` where a value is put in."""
    tree = ast.parse(code)
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (
                f"{{{re.sub(r'[^A-Za-z0-9_.]', '_', ast.unparse(p.value))}}}"
                if isinstance(p, ast.FormattedValue)
                else p.value
                for p in node.values
            )
            yield node.lineno, "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within | plain
        ):
            yield node.lineno, node.value


def wrong(text: str) -> Iterator[str]:
    """What cannot be typed of the command lines in a message."""
    for match in re.finditer(r"(?<![\w/.-])mangaops (?P<line>[a-z][^\n,;`)]*)", text):
        words = match["line"].split()
        if words[0] not in FIRST:
            continue
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in COMMANDS), None)
        if name is None:
            yield f"mangaops {' '.join(words[:2])}: no such command"
            continue
        yield from _wrong_rest(name, words[len(name.split()) :])


def _wrong_rest(name: str, words: list[str]) -> Iterator[str]:
    parameters = COMMANDS[name].params
    arguments = [p.name for p in parameters if p.param_type_name == "argument"]
    options = {word for p in parameters for word in p.opts}
    needed = [p for p in parameters if p.required and p.param_type_name == "option"]
    if words and not re.fullmatch(r"[a-z]+", words[0]):
        yield from (f"mangaops {name}: no {p.opts[0]}" for p in needed if not set(p.opts) & set(words))
    if "..." in words:
        yield f"mangaops {name} {' '.join(words)}: what its reader fills in is a word in capitals, as FILE"
    given = []
    for word in words:
        if not re.fullmatch(r"\{.*\}", word):
            break
        given.append(word.strip("{}").split(".")[-1])
    if len(given) > len(arguments):
        yield f"mangaops {name} {' '.join(words)}: it takes {', '.join(arguments) or 'no name'}"
    elif given and given[0] == "release" and arguments[0] == "unit":
        yield f"mangaops {name} {' '.join(words)}: it takes a {arguments[0]}, not a {given[0]}"
    yield from (f"mangaops {name}: no option {w}" for w in words if w.startswith("--") and w not in options)


@pytest.mark.parametrize("room", sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}))
def test_the_commands_that_messages_name_can_be_typed(room: str) -> None:
    place = SOURCE / room
    paths: list[Path] = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {says}"
        for path in paths
        for line, text in texts(path.read_text(encoding="utf-8"))
        for says in wrong(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "mangaops release explian {release}",
        "mangaops release explain {unit} {release}",
        "mangaops release rollback {release}",
        "mangaops release run {unit} --agian latency",
        "mangaops release run {unit} --logs ...",
        "mangaops review export {unit}",
    ],
)
def test_the_message_check_fires(text: str) -> None:
    assert list(wrong(f"next: {text}, then read"))


@pytest.mark.parametrize(
    "text",
    [
        "mangaops release explain {release}",
        "mangaops release run {unit} --logs FILE --again {kind} on an idle machine",
        "mangaops review export writes one",
        "mangaops that wrote it",
        "mangaops audit verify, then restore",
    ],
)
def test_the_message_check_stays_quiet(text: str) -> None:
    assert list(wrong(text)) == []
