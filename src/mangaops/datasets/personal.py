"""Personal data that slipped into texts: e-mail, phone, card and order numbers.

Small and precise rather than complete: prices, years, volume numbers, dates and ISBNs are none of it.
A card number must pass Luhn's check; a bare run of digits is a phone or an order number only where a
word nearby says so.

Users write the texts and a gateway masks them: the time of each pattern grows with the length of the text and
not with its square. So runs are possessive (`*+`) or bounded, and what is cheap is asked first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}(?![\w-])", re.ASCII
)
_CARD = re.compile(r"(?<![\d.,-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d-])|"
                   r"(?<![\d.,-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\d-])")  # fmt: skip
_ORDER = re.compile(
    r"(?:\b(?:order|invoice|tracking)|注文)(?:\s*+(?:number|no|num|id|番号))?"
    r"\s*+(?:is|was|:|#|\.|は)*\s*+#?\s*+"
    r"(?P<value>(?=[A-Z]{0,4}-?\d)(?=[A-Z\d-]{0,40}\d{4})[A-Z]{0,4}-?\d[\dA-Z]*(?:-[\dA-Z]+)*)(?![.,]*\d)|"
    r"(?<![\w-])(?P<bare>\d{3}-\d{7}-\d{7}|(?:ORD|INV|PO)-?\d{5,})(?![\w-])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.,+-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){1,4}\d{2,4}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|(?!97[89]-)(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|0\d{1,4}-\d{1,4}-\d{3,4}"
    r")(?![\w-]|[.,]\d)",
    re.ASCII,
)
_SAID_PHONE = re.compile(
    r"(?:\b(?:phone|call|mobile|cell|telephone|tel)\b|電話)[^\d\n]{0,30}(?P<value>\d{9,12})(?!\d)",
    re.IGNORECASE,
)
_MAYBE = r"[@＠]|\d{3}"
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}


@dataclass(frozen=True)
class Found:
    """One piece of personal data: its kind and where it stands in the text."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Found]:
    """Personal data in the order of the text; of overlapping kinds e-mail, card, order, phone the first.

    Full-width letters and digits count like narrow ones.
    """
    text = text.translate(_NARROW)
    spans = [Found("e-mail", m.start(), m.end()) for m in _EMAIL.finditer(text)]
    spans += [Found("card", m.start(), m.end()) for m in _CARD.finditer(text) if _luhn(m.group())]
    for match in _ORDER.finditer(text):
        name = "value" if match.group("value") else "bare"
        spans.append(Found("order number", *match.span(name)))
    spans += [Found("phone", *m.span("value")) for m in _SAID_PHONE.finditer(text)]
    spans += [
        Found("phone", m.start(), m.end()) for m in _PHONE.finditer(text) if 9 <= _digits(m.group()) <= 15
    ]
    kept: list[Found] = []
    taken = bytearray(len(text))
    for each in spans:
        if not any(taken[each.start : each.end]):
            kept.append(each)
            taken[each.start : each.end] = b"\1" * (each.end - each.start)
    return sorted(kept, key=lambda each: each.start)


def mask(text: str) -> str:
    """The text with each piece of personal data replaced by its kind, as in `[e-mail]`."""
    for each in reversed(find(text)):
        text = f"{text[: each.start]}[{each.kind}]{text[each.end :]}"
    return text


def masked(column: pl.Series) -> pl.Series:
    """The column with each text masked."""
    maybe = column.str.contains(_MAYBE).fill_null(False)
    texts = [
        mask(text) if flag else text for text, flag in zip(column.to_list(), maybe.to_list(), strict=True)
    ]
    return pl.Series(column.name, texts, dtype=pl.String)


def count(texts: Iterable[str]) -> dict[str, int]:
    """How many texts hold each kind; kinds that none holds are left out."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update({each.kind for each in find(text)})
    return dict(sorted(found.items()))


def suspects(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose text might hold personal data: a cheap sieve before `find`."""
    return rows.filter(pl.col("text").str.contains(_MAYBE))


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _luhn(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [2 * digit - 9 if digit > 4 else 2 * digit for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
