"""User text is text everywhere: in HTML, in Markdown, in spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import polars as pl
import pytest
from desk_world import WHY, Rigged, World

from mangaops.release import evaluate, judge, review, shadow
from mangaops.release.escape import csv_cell, escape_markdown, visible
from mangaops.release.report import release_report

EVIL = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) **bold** `code` | cell |",
    "# heading\n- list\n\n> quote",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }} {% raw %}",
    "https://evil.example/?q=1 www.evil.example",
    "call me at mei@example.com",
)
FORMULAS = ("=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "  =1+1", "＝1+1", "\r=1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_read_as_a_formula(text: str) -> None:
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize(
    "text",
    ["3-4", "007", " 1/2 ", "1e5", "12345e678901", "12:30 PM", "5. März 2026", "$1,000.00", "１２３", "True"],
)
def test_no_cell_is_read_as_a_number_or_a_date(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize(
    "text", ["item-123 is late?", "order_2", "was it volume 3", "cancellation 2", "truth"]
)
def test_words_with_a_digit_are_no_number(text: str) -> None:
    assert csv_cell(text) == text


@pytest.mark.parametrize("text", ["where is my order", "12-05 of this volume?", "返品したいです", "", "a=b"])
def test_a_plain_cell_stays_as_it_is(text: str) -> None:
    assert csv_cell(text) == text


@pytest.mark.parametrize("text", EVIL)
def test_markdown_has_no_markup_left(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"[<>]", escaped)
    assert not re.search(r"(?<!\\)[\[\]()*`|#_:]", escaped)


def test_plain_words_stay_readable_in_markdown() -> None:
    assert escape_markdown("where is my order") == "where is my order"


def test_what_hides_or_turns_text_is_written_out() -> None:
    assert visible("a\u202eb\u200bc\0d") == "a\\u202eb\\u200bc\\u0000d"


def test_long_text_is_cut() -> None:
    assert len(visible("x" * 10**6)) == 300


@pytest.fixture
def attacked(served: World) -> tuple[World, str]:
    """A rejected release whose golden rows and traffic hold hostile text."""
    texts = [*EVIL, *FORMULAS]
    labels = dict.fromkeys(texts, "escalation")

    def hostile(frame: pl.DataFrame) -> pl.DataFrame:
        given = frame["text"].to_list()
        return frame.with_columns(text=pl.Series([*texts, *given[len(texts) :]]))

    snapshot = served.snapshot
    golden = hostile(snapshot.golden).with_columns(
        label=pl.when(pl.col("text").is_in(texts)).then(pl.lit("faq")).otherwise("label")
    )
    rows = pl.concat([snapshot.rows.filter(~pl.col("golden")), golden])
    served.snapshot = type(snapshot)(
        "intent-data-2026-05-04", "sha256:" + "e" * 64, dict(snapshot.manifest), rows
    )
    served.traffic = shadow.Traffic(hostile(served.traffic.rows))
    release = served.candidate()
    fine = dict.fromkeys(texts, "faq")
    pair = evaluate.Pair(Rigged("champion", 0.1, fixed=fine), Rigged("hostile", 0.1, fixed=labels))
    served.measure_offline(release, pair)
    judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    shadow.replay(served.desk, "router", release, pair, served.traffic, reason=WHY)
    return served, release


def test_no_user_text_becomes_markup_in_reports(attacked: tuple[World, str]) -> None:
    world, release = attacked
    acted = world.act(release, world.judged(release))
    assert acted.error_review is not None
    for page in (release_report(world.desk, "router", release), acted.error_review.html):
        assert "&lt;script&gt;alert(1)" in page
        assert "<script" not in page
        assert "<img" not in page
        assert 'onmouseover="' not in page
        assert "mei@example.com" not in page
        assert "{{ 7 * 7 }}" in page
    assert "<script" not in acted.error_review.markdown
    assert "mei" not in acted.error_review.markdown
    assert "](javascript" not in acted.error_review.markdown


class Elements(HTMLParser):
    """What a browser would see: names of elements, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_reports_fetch_nothing_and_run_nothing(attacked: tuple[World, str]) -> None:
    world, release = attacked
    acted = world.act(release, world.judged(release))
    assert acted.error_review is not None
    for page in (release_report(world.desk, "router", release), acted.error_review.html):
        seen = Elements(page)
        assert not seen.names & {"link", "script", "iframe", "object", "embed", "img", "a", "form", "base"}
        assert not {name for name in seen.attributes if name.startswith("on")}
        assert not seen.attributes & {"src", "href", "xlink:href", "style", "action"}
        assert "url(" not in page.split("</style>")[0]
        assert "default-src 'none'" in page


def test_an_export_holds_no_formula_and_no_address_and_comes_back(attacked: tuple[World, str]) -> None:
    world, release = attacked
    name = review.open_review(world.desk, "router", release, seed=1, reason=WHY)
    exported = review.export_review(world.desk, "router", name)
    rows = list(csv.DictReader(io.StringIO(exported.decode(), newline="")))
    assert any(row["text"].startswith("'=cmd") for row in rows)
    assert not any(cell[:1] in "=+-@\t\r" for row in rows for cell in row.values() if cell)
    assert b"mei@example.com" not in exported
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerows({**row, "answer": "A"} for row in rows)
    found = review.import_answers(world.desk, "router", name, out.getvalue().encode(), reason="done")
    assert found.facts["unanswered"] == 0
