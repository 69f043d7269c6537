"""A report as Markdown in which nothing from the logs can become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SPECIAL = re.compile(r"([\\`*_\[\]|~#]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|(?<=[Ww]{3})\.)")
_ESCAPED = re.compile(r"\\([\\`*_\[\]|~#+=.)-])")


def escaped(text: object) -> str:
    """The text in one line, shown as it is by a Markdown renderer: no markup, no HTML, no link."""
    line = " ".join(str(text).split())
    marked = _SPECIAL.sub(r"\\\1", line)
    return html.escape(marked, quote=False).replace("://", "&#58;//").replace("@", "&#64;")


def unescaped(text: str) -> str:
    """The Markdown without its escapes, for where nobody renders it: `escaped`, undone."""
    return html.unescape(_ESCAPED.sub(r"\1", text))


def report(
    what: str, errors: Sequence[str], warnings: Sequence[str], sections: Mapping[str, Mapping[str, Any]]
) -> str:
    """Whether `what` can be used, errors, warnings, then a list for each section."""
    head = "refused" if errors else "usable"
    lines = [f"# Validation of {what}: {head}", ""]
    for title, messages in (("Errors", errors), ("Warnings", warnings)):
        lines += [f"## {title}", "", *(f"- {escaped(each)}" for each in messages or ("none",)), ""]
    for name, section in sections.items():
        lines += [f"## {name.replace('_', ' ').capitalize()}", ""]
        for key, value in section.items():
            lines += _item(key.replace("_", " "), value)
        lines.append("")
    return "\n".join(lines)


def _item(name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        inner = [f"  - {escaped(key)}: {_number(each)}" for key, each in value.items()]
        return [f"- {name}:", *(inner or ["  - none"])]
    if isinstance(value, list):
        inner = [f"  - {_one(each)}" for each in value]
        return [f"- {name}:", *(inner or ["  - none"])]
    return [f"- {name}: {_number(value)}"]


def _one(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_number(each)}" for key, each in value.items())
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:z.4g}"
    if isinstance(value, list):
        return ", ".join(escaped(each) for each in value)
    return escaped(value)
