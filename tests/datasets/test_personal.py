"""Personal data: found where it is, and prices, years, volumes and ISBNs left alone."""

from __future__ import annotations

import time

import polars as pl
import pytest

from mangaops.datasets import mask
from mangaops.datasets.personal import count, find, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to ken.sato+manga@mail.example.co.jp please", "write to [e-mail] please"),
        ("call me at 415-555-0123", "call me at [phone]"),
        ("call me at (415) 555-0123.", "call me at [phone]."),
        ("+81 90-1234-5678 is mine", "[phone] is mine"),
        ("電話は090-1234-5678です", "電話は[phone]です"),
        ("電話番号は０９０－１２３４－５６７８です", "電話番号は[phone]です"),
        ("tel 090-1234-5678 ok", "tel [phone] ok"),
        ("my phone number is 2065551212", "my phone number is [phone]"),
        ("card 4111 1111 1111 1111 declined", "card [card] declined"),
        ("card 4111111111111111", "card [card]"),
        ("amex 3782 822463 10005", "amex [card]"),
        ("where is order #12345678?", "where is order #[order number]?"),
        ("order number is MN-20261234", "order number is [order number]"),
        ("about 123-4567890-1234567", "about [order number]"),
        ("ORD-998877 never came", "[order number] never came"),
    ],
)
def test_personal_data_is_masked(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "vol. 12-14 for $1,234.56",
        "the 1999-2004 run cost 1 234 567 yen",
        "released 2026-04-20 at 10:30",
        "ISBN 978-4-08-882011-5 or 9784088820115",
        "chapters 100-110 of 1000",
        "20th century boys 1-22",
        "order 66 more volumes",
        "order one piece volume 101 please",
        "in order 1 2 3 4",
        "order by 2026",
        "card 4111 1111 1111 1112 fails the check digit",
        "pre-order 3 for 19.99",
        "is it 10:30 @ shibuya or @anna?",
        "call 2 of 3 was dropped",
        "3.14159265358979",
        "192.168.100.200",
    ],
)
def test_prices_years_volumes_and_isbns_are_not_personal(text: str) -> None:
    assert find(text) == []


def test_texts_are_counted_by_kind_and_columns_masked() -> None:
    texts = ["a@b.org and c@d.org", "a@b.org or 415-555-0123", "nothing"]
    assert count(texts) == {"e-mail": 2, "phone": 1}
    assert masked(pl.Series("text", texts)).to_list()[1:] == ["[e-mail] or [phone]", "nothing"]


def test_a_long_run_of_digits_or_marks_does_not_hang() -> None:
    assert find("@" * 20_000 + "1-" * 20_000 + "a." * 20_000) == []


@pytest.mark.parametrize(
    ("head", "again"),
    [
        ("order", " "),
        ("order", "\n"),
        ("order", "\u3000"),
        ("order", ":"),
        ("order", "is"),
        ("order 1234", "5"),
        ("order 1234", "-5"),
        ("order 12345", ".,"),
        ("", "order-"),
        ("", "order 1-"),
        ("", "注文1234 "),
        ("", "phone"),
        ("call ", "1 2 3 "),
        ("tel", " "),
        ("", "+111 1111 1111 1111 1111x "),
        ("", "4111-"),
        ("a@", "b."),
        ("", "a@b."),
        ("", "a@b.cc "),
        ("", "PO12345 "),
    ],
)
def test_no_text_takes_time_by_the_square_of_its_length(head: str, again: str) -> None:
    """Eight times the text: 8 times the work by its length, 64 times by its square, 512 by its cube."""
    short, long = (_work(head + again * (length // len(again)) + ".5") for length in (1024, 8192))
    assert long < 30 * short


def _work(text: str) -> float:
    """Seconds of the processor, which other processes on the machine do not lengthen; of three the least."""
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        find(text)
        seconds.append(time.thread_time() - began)
    return min(seconds)


def test_an_order_number_is_masked_wherever_the_blanks_are() -> None:
    apart = " " * 4000
    assert mask(f"order{apart}number{apart}is{apart}#{apart}20261234") == (
        f"order{apart}number{apart}is{apart}#{apart}[order number]"
    )
