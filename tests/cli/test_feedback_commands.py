"""`feedback list|review|export`: what users said is looked at by people before it may teach anything."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mangaops.datasets import Source, collect
from mangaops.stack import DataSpec
from mangaops.store import FeedbackBook, Ledger, LogWriter, Roller

AT = datetime(2026, 4, 20, 3, tzinfo=UTC)
TEXTS = {
    "r1": "is there a sale",
    "r2": "where is my parcel",
    "r3": "hello",
    "r4": "sha256:" + hashlib.sha256(b"secret").hexdigest(),
}
WHY = ("--reason", "I read it")


SEARCHING = """
stack: shop
data:
  shop: {kind: search}
models:
  adapter: {family: embedding-adapter, base: minilm-l6, data: shop, training: {}}
  reranker: {family: cross-encoder-reranker, base: minilm-l6, data: shop, training: {}}
units:
  retrieval:
    models: [adapter, reranker]
    gates: [{gate: pair, margin: 0.01, unjudged: irrelevant, min_judged: 0.5}]
"""


@pytest.fixture
def told(stack: Path) -> Path:
    """A stack whose gateway logged four requests, and took feedback on them and on one that is not rolled."""
    home = stack.parent / ".mangaops"
    home.mkdir()
    Ledger(f"sqlite:///{home}/ledger.db").close()
    folder = home / "gateway" / "gateway"
    writer = LogWriter(folder / "journal", "requests", "gateway/0", every=0.0)
    for number, (request, text) in enumerate(TEXTS.items()):
        asked = {"request_id": request, "unit": "router", "release": "router-1", "text": text}
        who = {"conversation_id": f"c{number}", "user_id": f"u{number}"}
        answer = json.dumps({"label": "faq", "confidence": 0.6, "action": "answer"})
        writer.put({**asked, **who, "at": AT + timedelta(minutes=number), "generation": 1, "answer": answer})
    writer.close()
    assert Roller(folder / "journal", home).roll(living=[]) == len(TEXTS)
    book = FeedbackBook(folder / "feedback.db")
    for request, label in (
        ("r1", "promotion"),
        ("r2", None),
        ("r3", "chitchat"),
        ("r4", "faq"),
        ("r5", "faq"),
    ):
        said = {"request_id": request, "at": AT.isoformat(), "unit": "router", "release": "router-1"}
        assert book.record({**said, "generation": 1, "outcome": "not_helped", "label": label})
    book.close()
    return stack


def waiting(stack: Path, mangaops) -> list[str]:
    ended = mangaops("feedback", "list", "--stack", stack, "--json")
    assert ended.code == 0, ended.err
    return [each["request_id"] for each in json.loads(ended.out)["feedback"]]


def test_feedback_is_listed_with_what_was_asked_and_answered_until_it_is_reviewed(
    told: Path, mangaops
) -> None:
    listed = json.loads(mangaops("feedback", "list", "--stack", told, "--json").out)["feedback"]
    first = listed[0]
    assert (first["request_id"], first["label"], first["text"]) == ("r1", "promotion", "is there a sale")
    assert json.loads(first["answer"])["label"] == "faq"
    assert listed[-1]["text"] is None
    assert "where is my parcel" in mangaops("feedback", "list", "--stack", told).out
    done = mangaops("feedback", "review", "r1", "r3", *WHY, "--actor", "mei", "--stack", told)
    assert (done.code, done.out) == (0, "2 of the feedback reviewed by mei\n")
    assert waiting(told, mangaops) == ["r2", "r4", "r5"]
    every = json.loads(mangaops("feedback", "list", "--all", "--stack", told, "--json").out)["feedback"]
    assert every[0]["reviewed"] is True
    assert (every[0]["reviewer"], every[0]["reason"], every[0]["true_label"]) == (
        "mei",
        "I read it",
        "promotion",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("r2", *WHY), "its user told no label"),
        (("r9", *WHY), "this gateway has no feedback on it"),
        (("r2", "--label", "promotoin", *WHY), "is no label of router"),
        (("r1", "--label", "faq", "--reject", *WHY), "one of the two"),
        (("r1", "--gateway", "other", *WHY), "accepted: gateway"),
    ],
)
def test_a_review_that_says_nothing_is_refused_and_changes_nothing(
    words: tuple[str, ...], says: str, told: Path, mangaops
) -> None:
    ended = mangaops("feedback", "review", *words, "--stack", told)
    assert ended.code == 2
    assert says in ended.err
    assert len(waiting(told, mangaops)) == 5


def test_feedback_on_a_search_takes_no_label_and_may_be_laid_aside(told: Path, mangaops) -> None:
    told.write_text(SEARCHING)
    book = FeedbackBook(told.parent / ".mangaops" / "gateway" / "gateway" / "feedback.db")
    said = {"request_id": "s1", "at": AT.isoformat(), "unit": "retrieval", "release": "retrieval-1"}
    assert book.record({**said, "generation": 1, "outcome": "not_helped", "label": None})
    book.close()
    refused = mangaops("feedback", "review", "s1", "--label", "faq", *WHY, "--stack", told)
    assert refused.code == 2
    assert "retrieval answers with lists" in refused.err
    assert mangaops("feedback", "review", "s1", "--reject", *WHY, "--stack", told).code == 0


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_review_without_a_reason_is_refused(told: Path, mangaops, blank: str) -> None:
    ended = mangaops("feedback", "review", "r1", "--reason", blank, "--stack", told)
    assert (ended.code, "no reason" in ended.err) == (2, True)
    assert "--reason TEXT" in ended.err
    assert waiting(told, mangaops) == ["r1", "r2", "r3", "r4", "r5"]


def test_what_was_reviewed_stands_and_nothing_beside_it_is_changed(told: Path, mangaops) -> None:
    assert mangaops("feedback", "review", "r1", *WHY, "--stack", told).code == 0
    again = mangaops("feedback", "review", "r3", "r1", "--reject", *WHY, "--stack", told)
    assert again.code != 0
    assert "r1" in again.err
    assert waiting(told, mangaops) == ["r2", "r3", "r4", "r5"]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_reviewed_labels_are_rows_that_a_snapshot_reads(
    form: str, told: Path, tmp_path: Path, mangaops
) -> None:
    out = tmp_path / f"feedback.{form}"
    nothing = mangaops("feedback", "export", "--out", out, "--stack", told)
    assert nothing.code == 4
    assert not out.exists()
    assert mangaops("feedback", "review", "r1", "r4", "r5", *WHY, "--actor", "mei", "--stack", told).code == 0
    labelled = ("feedback", "review", "r2", "--label", "order_tracking", *WHY, "--actor", "mei")
    assert mangaops(*labelled, "--stack", told).code == 0
    assert mangaops("feedback", "review", "r3", "--reject", *WHY, "--stack", told).code == 0
    wrote = json.loads(mangaops("feedback", "export", "--out", out, "--stack", told, "--json").out)
    assert (wrote["rows"], wrote["without_text"]) == (2, 2)
    rows = collect(Source((str(out),)), DataSpec()).rows.sort("row_id")
    assert rows["row_id"].to_list() == ["r1", "r2"]
    assert rows["text"].to_list() == [TEXTS["r1"], TEXTS["r2"]]
    assert rows["label"].to_list() == ["promotion", "order_tracking"]
    assert rows["user_id"].to_list() == ["u0", "u1"]
    assert rows["at"].to_list() == [AT, AT + timedelta(minutes=1)]
    assert set(rows["label_source"]) == {"feedback"}
    assert set(rows["annotator"]) == {"mei"}


def test_a_file_of_another_form_is_refused(told: Path, tmp_path: Path, mangaops) -> None:
    ended = mangaops("feedback", "export", "--out", tmp_path / "feedback.xlsx", "--stack", told)
    assert ended.code == 2
    assert ".parquet, .csv, .jsonl" in ended.err
