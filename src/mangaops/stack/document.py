"""YAML text to plain values, with the line of every key and item.

The tree of nodes is read, never built into objects. Booleans are `true` and `false` only, so that `yes`,
`no` and `on` stay words; dates stay words; a key may stand once; anchors are allowed and bombs are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]

MAX_BYTES: Final = 1_000_000
MAX_VALUES: Final = 50_000
MAX_DEPTH: Final = 30

_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})


class Unreadable(Exception):
    """The text is no YAML document that could be looked at piece by piece."""


@dataclass
class Document:
    """Plain values, the line of every path, and the mistakes found so far."""

    values: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def line(self, path: Path) -> int:
        """Line of the path, or of the nearest section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def wrong(self, path: Path, says: str) -> None:
        """One more mistake, at the line of the path."""
        self.mistakes.append((self.line(path), says))


def read(text: str | bytes) -> Document:
    """The document that the text holds; doubled keys and foreign tags are among its `mistakes`.

    Raises:
        Unreadable: not UTF-8, not YAML, empty, too long, too deep, or an anchor that unfolds without end.
    """
    document = Document()
    document.values = _plain(_compose(_decode(text)), document, (), ())
    return document


def where(path: Path) -> str:
    """A path as people write it: `units.router.gates[3]`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out or "the top level"


def _decode(text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        raise Unreadable(f"line 1: {len(text):,} bytes; a stack.yaml has at most {MAX_BYTES:,}")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = text[: problem.start].count(b"\n") + 1
        raise Unreadable(f"line {line}: this is not UTF-8 text (byte {problem.start})") from None


def _compose(text: str) -> yaml.Node:
    try:
        _shallow(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
        raise Unreadable(f"{place}: not YAML: {problem.problem or problem.context}") from None
    except yaml.YAMLError as problem:
        raise Unreadable(f"line 1: this is no text file: {str(problem).splitlines()[0]}") from None
    if node is None:
        raise Unreadable("line 1: the file is empty; `mangaops init` writes one to start from")
    return node


def _shallow(text: str) -> None:
    """Nothing, once the text is known to nest so little that composing it cannot exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH and event.start_mark is not None:
            raise Unreadable(f"line {event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")


def _plain(node: yaml.Node, document: Document, path: Path, inside: tuple[int, ...]) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(path, line)
    document.count += 1
    if document.count > MAX_VALUES:
        raise Unreadable(f"line {line}: anchors unfold to more than {MAX_VALUES:,} values")
    if id(node) in inside:
        raise Unreadable(f"line {line}: an anchor contains itself")
    if node.tag not in _TAGS:
        document.wrong(path, f"the tag {node.tag} in {where(path)} is not accepted: write a plain value")
        return None
    inside = (*inside, id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, document, path, inside)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, document, (*path, at), inside) for at, item in enumerate(node.value)]
    quoted = isinstance(node, yaml.ScalarNode) and node.style
    return str(node.value) if quoted else _scalar(str(node.value))


def _mapping(
    node: yaml.MappingNode, document: Document, path: Path, inside: tuple[int, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            document.mistakes.append((line, f"a key of {where(path)} is no word but a list or a mapping"))
            continue
        inner = (*path, str(key.value))
        if inner[-1] in found:
            first = document.lines[inner]
            says = f"key '{key.value}' stands twice in {where(path)} (first in line {first})"
            document.mistakes.append((line, says))
            continue
        document.lines[inner] = line
        found[str(key.value)] = _plain(value, document, inner, inside)
    return found


def _scalar(text: str) -> Any:
    """The value of an unquoted scalar by the core schema of YAML 1.2."""
    if text in _NOTHING:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if text.lstrip("+-").lower() in (".inf", ".nan"):
        infinite = math.nan if text.lower().endswith("nan") else math.inf
        return -infinite if text.startswith("-") else infinite
    if text[0] not in "+-.0123456789" or len(text) > 40 or "_" in text:
        return text
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text
