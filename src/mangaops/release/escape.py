"""User text made harmless for the place where it is shown; HTML is escaped by Jinja2's autoescape."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@/=$^\"'])")
_FORMULA: Final = frozenset("=+-@|%＝＋－＠")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_AMONG_DIGITS: Final = frozenset(".,:/-+%'()")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def visible(text: str, limit: int = 300) -> str:
    """The text on one line, invisible characters written out (`\\u202e`), cut with `…` after `limit`.

    Line breaks and tabs become one space. Control, format (among them those that turn the direction
    of writing), surrogate and private characters could hide or reorder what a person reads.
    """
    line = " ".join(text[: limit * 4].split())
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(_written_out(character) for character in cut)


def visible_lines(text: str) -> str:
    """The text with its line breaks and blanks, every other invisible character written out (`\\u001b`).

    What a terminal would obey is read instead. JSON stays the same JSON.
    """
    return "".join(c if c == "\n" else _written_out(c) for c in text.replace("\r\n", "\n").expandtabs())


def _written_out(character: str) -> str:
    """As JSON and Python write it: four digits, or two escapes of four beyond the first 65,536."""
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}
    return json.dumps(character)[1:-1] if hidden and character != "\u200d" else character


def escape_markdown(text: str, limit: int = 300) -> str:
    """The text as Markdown that renders as that very text, also inside a table cell.

    Backslashes before every character that Markdown or its common extensions read; entities for
    `&`, `<` and `>`, so that no renderer sees HTML, a link or an image.
    """
    whole = "".join(_ENTITIES.get(character, character) for character in visible(text, limit))
    return _MARKDOWN.sub(r"\\\1", whole)


def csv_cell(text: str) -> str:
    """The text as a cell that spreadsheets keep as text: an apostrophe goes before what they would not.

    That is a formula, whose first sign leading blanks and control characters do not hide, and what is
    `like_a_number`. Reversed by nothing: an imported file is compared with what was exported.
    """
    first = next((c for c in text if not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf"}), "")
    blank_start = text[:1] in {"\t", "\r", "\n"}
    return "'" + text if first in _FORMULA or blank_start or like_a_number(text) else text


def like_a_number(text: str) -> bool:
    """Whether a spreadsheet may take the text for a number, date, time or truth value, and rewrite it.

    Judged by its shape, since each language has its own months: a digit, no sign that numbers and dates
    do not have, and two words at most, none longer than `September`. So `size 9` is like one, too.
    """
    line = unicodedata.normalize("NFKC", text).strip()
    words = _WORDS.findall(line)
    return line.lower() in ("true", "false") or (
        any(c.isdigit() for c in line)
        and len(words) <= 2
        and all(len(word) <= len("September") for word in words)
        and all(
            c.isalnum() or c.isspace() or c in _AMONG_DIGITS or unicodedata.category(c) == "Sc" for c in line
        )
    )
