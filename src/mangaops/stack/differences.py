"""What one stack.yaml says otherwise than another, with the reasons that stand beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mangaops.stack.document import Document, Path, read, where

_REASON: Final = re.compile(r"#\s*init:\s*(?P<init>.*?);\s*here because\s+(?P<why>.+?)\s*$")
_ABSENT: Final = "nothing"


@dataclass(frozen=True)
class Difference:
    """One value that the example sets otherwise; `because` is the reason that its line states, or empty."""

    where: str
    init: str
    here: str
    because: str
    line: int


def differences(init_text: str, example_text: str) -> list[Difference]:
    """Every value of the example that is not init's, and every value of init's that the example lacks.

    Items of a list of words are compared as one value, rules of a gate list by gate and metric. The reason
    is read from the comment `# init: VALUE; here because REASON` on the value's line.

    Raises:
        mangaops.stack.document.Unreadable: one of the texts is no YAML.
    """
    init, example = read(init_text), read(example_text)
    before, after = _leaves(init.values), _leaves(example.values)
    lines = example_text.splitlines()
    found = []
    for path in [*after, *(path for path in before if path not in after)]:
        if before.get(path) == after.get(path):
            continue
        line = _line(example, path)
        reason = _REASON.search(lines[line - 1]) if 0 < line <= len(lines) else None
        because = reason["why"] if reason else ""
        found.append(Difference(where(path), _shown(before, path), _shown(after, path), because, line))
    return sorted(found, key=lambda difference: (difference.line, difference.where))


def _leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    if isinstance(value, Mapping) and value:
        return {at: leaf for key, inner in value.items() for at, leaf in _leaves(inner, (*path, key)).items()}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        named = [(_rule_name(item), item) for item in value]
        return {at: leaf for name, item in named for at, leaf in _leaves(item, (*path, name)).items()}
    return {path: value}


def _rule_name(rule: Mapping[str, Any]) -> str:
    return " ".join(str(rule[key]) for key in ("gate", "metric", "on") if key in rule)


def _line(document: Document, path: Path) -> int:
    """Line of a path whose rules are named instead of numbered."""
    real: Path = ()
    value = document.values
    for part in path:
        if isinstance(value, list):
            numbers = [at for at, item in enumerate(value) if _rule_name(item) == part]
            if not numbers:
                break
            real, value = (*real, numbers[0]), value[numbers[0]]
            continue
        if not isinstance(value, Mapping) or part not in value:
            break
        real, value = (*real, part), value[part]
    return document.line(real)


def _shown(leaves: Mapping[Path, Any], path: Path) -> str:
    if path not in leaves:
        return _ABSENT
    value = leaves[path]
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
