"""The report: what keeps a snapshot from being made, what is only told, and what a reader sees of it."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mangaops.datasets import logs, validate
from mangaops.datasets.markdown import escaped, unescaped
from mangaops.datasets.markdown import report as as_markdown
from mangaops.datasets.validation import ValidationReport
from mangaops.stack import DataSpec

SPEC = DataSpec(labels=("faq", "promotion"), minimum_critical=20)


def frame(count: int = 60) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text": [f"question number {i} about shipping" for i in range(count)],
            "label": ["faq", "promotion"] * (count // 2),
            "conversation_id": [f"c{i // 2}" for i in range(count)],
            "user_id": [f"u{i // 2}" for i in range(count)],
            "at": [f"2026-04-{1 + i % 20:02d}T00:00:00Z" for i in range(count)],
        }
    )


def report(rows: pl.DataFrame, spec: DataSpec = SPEC) -> ValidationReport:
    return validate(logs(rows), spec, ["promotion"])


def told(messages: tuple[str, ...], part: str) -> bool:
    return any(part in message for message in messages)


@pytest.mark.parametrize("text", ["NaN", "nan", "null", "None", " <NA> "])
def test_a_text_that_looks_like_a_missing_value_is_kept_and_told(text: str) -> None:
    spoiled = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(text)).otherwise("text")
    found = report(frame().with_columns(text=spoiled))
    assert found.errors == ()
    assert [each for each in found.warnings if "look like a missing value" in each]
    assert "row 3" in found.warnings[0]
    assert found.sections["texts"]["like_a_missing_value"] == 1


@pytest.mark.parametrize("text", ["none of these", "is it null?", "Nanatsu", "no", "nah"])
def test_a_text_that_only_begins_like_a_missing_value_is_not_told(text: str) -> None:
    spoiled = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(text)).otherwise("text")
    found = report(frame().with_columns(text=spoiled))
    assert found.warnings == ()
    assert found.sections["texts"]["like_a_missing_value"] == 0


def test_clean_logs_give_neither_errors_nor_warnings() -> None:
    found = report(frame())
    assert found.errors == ()
    assert found.warnings == ()
    assert found.sections["rows"] == {
        "rows": 60,
        "conversations": 30,
        "users": 30,
        "groups": 30,
        "largest_group_rows": 2,
        "rows_without_conversation_or_user": 0,
        "own_splits": {},
    }
    assert found.sections["time"]["latest"] == "2026-04-20T00:00:00Z"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": pl.lit("promotoin")}, "did you mean 'promotion'?"),
        ({"label": pl.lit("faq")}, "critical label 'promotion' has 0 rows"),
        ({"text": pl.lit("")}, "no usable text"),
    ],
)
def test_an_error_names_what_is_wrong(change: dict[str, pl.Expr], says: str) -> None:
    assert told(report(frame().with_columns(**change)).errors, says)


def test_unknown_labels_name_the_first_row_and_the_number() -> None:
    rows = (
        frame()
        .with_row_index("i")
        .with_columns(label=pl.when(pl.col("i").is_in([7, 9])).then(pl.lit("refund")).otherwise("label"))
    )
    assert told(report(rows.drop("i")).errors, "'refund' on 2 rows, the first is rows row 8")


def test_from_logs_takes_any_label_at_first_and_only_frozen_ones_later() -> None:
    spec = DataSpec(minimum_critical=20)
    assert validate(logs(frame()), spec, []).errors == ()
    assert told(validate(logs(frame()), spec, [], labels=("faq",)).errors, "unknown label 'promotion'")
    assert told(validate(logs(frame().with_columns(label=pl.lit("x"))), spec, []).errors, "only one label")


@pytest.mark.parametrize("label", ["unclear", "Neither", " A ", "b"])
@pytest.mark.parametrize("spec", [DataSpec(minimum_critical=20), SPEC])
def test_a_word_of_the_review_is_no_label(spec: DataSpec, label: str) -> None:
    rows = frame().with_columns(label=pl.col("label").replace("faq", label))
    (found,) = report(rows, spec).errors
    assert f"{label.strip()!r} cannot be a label, the first is rows row 1" in found
    assert "Rename it in the logs" in found


def test_a_label_may_hold_a_word_of_the_review() -> None:
    rows = frame().with_columns(label=pl.col("label").replace("faq", "unclear_request"))
    assert report(rows, DataSpec(minimum_critical=20)).errors == ()


def test_a_critical_label_that_the_stack_does_not_list_is_an_error() -> None:
    assert told(validate(logs(frame()), SPEC, ["promo"]).errors, "'promo' is not among the labels")


@pytest.mark.parametrize(
    ("text", "section", "says"),
    [
        ("", "empty_text", "empty text"),
        (" \n ", "empty_text", "empty text"),
        ("x" * 1_000_000, "over-long_text", "over-long text"),
        ("\x01\x02\x03 a", "unreadable_text", "unreadable text"),
    ],
)
def test_a_few_unusable_texts_are_counted_and_told_but_no_error(text: str, section: str, says: str) -> None:
    rows = (
        frame()
        .with_row_index("i")
        .with_columns(text=pl.when(pl.col("i") == 3).then(pl.lit(text)).otherwise("text"))
    )
    found = report(rows.drop("i"))
    assert found.errors == ()
    assert found.sections["texts"][section] == 1
    assert told(found.warnings, f"1 rows of {says} are dropped, the first is rows row 4")


def test_rows_without_conversation_and_user_are_their_own_groups_and_that_is_said() -> None:
    found = report(frame().drop("conversation_id", "user_id"))
    assert found.sections["rows"]["groups"] == 60
    assert told(found.warnings, "each row is its own group")


def test_a_placeholder_user_that_joins_everything_is_told() -> None:
    assert told(report(frame().with_columns(user_id=pl.lit("guest"))).warnings, "placeholder")


def test_contradictions_are_counted_against_the_majority() -> None:
    rows = pl.concat(
        [
            frame(),
            pl.DataFrame(
                {
                    "text": ["Is it free?", "is it free", "is it  FREE"],
                    "label": ["faq", "faq", "promotion"],
                    "conversation_id": ["x", "y", "z"],
                    "user_id": ["x", "y", "z"],
                    "at": ["2026-04-01T00:00:00Z"] * 3,
                }
            ),
        ]
    )
    section = report(rows).sections["contradictions"]
    assert (section["texts"], section["rows"]) == (1, 3)
    assert section["share_against_majority"] == round(1 / 63, 6)
    assert section["examples"][0]["labels"] == ["faq", "promotion"]


def test_duplicates_synthetic_rows_languages_and_missing_times_are_told() -> None:
    rows = pl.concat([frame(), frame().head(3)]).with_columns(
        label_source=pl.when(pl.int_range(pl.len()) < 9).then(pl.lit("Synthetic")).otherwise(pl.lit("human")),
        language=pl.when(pl.int_range(pl.len()) < 9).then(pl.lit("ja-en")),
    )
    found = report(rows)
    assert found.sections["synthetic"]["rows"] == 12 - 3
    assert found.sections["languages"]["share"]["ja-en"] == round(9 / 63, 6)
    assert found.sections["repeats"]["duplicate_rows"] in (0, 3)
    assert told(report(frame().with_columns(at=pl.lit(None, dtype=pl.String))).warnings, "no row has a time")


@pytest.mark.parametrize(
    ("source", "counts"),
    [("simulated-annotator", True), ("llm_generated", True), ("Degenerated", False), ("annotator", False)],
)
def test_a_label_source_with_such_a_word_is_synthetic(source: str, counts: bool) -> None:
    found = report(frame().with_columns(label_source=pl.lit(source)))
    assert found.sections["synthetic"]["share"] == float(counts)
    assert told(found.warnings, "synthetic") is counts


def test_the_same_request_twice_is_a_duplicate_and_the_same_words_again_are_not() -> None:
    assert report(pl.concat([frame(), frame().head(3)])).sections["repeats"]["duplicate_rows"] == 3
    later = frame().head(3).with_columns(at=pl.lit("2026-05-01T00:00:00Z"))
    assert report(pl.concat([frame(), later])).sections["repeats"]["duplicate_rows"] == 0
    assert (
        report(pl.concat([frame(), frame()]).select("text", "label")).sections["repeats"]["duplicate_rows"]
        == 0
    )


def test_personal_data_is_counted_and_never_shown() -> None:
    rows = frame().with_columns(text=pl.lit("mail me at ken@example.org about it"))
    found = report(rows)
    assert found.sections["personal_data"]["texts_with"] == {"e-mail": 60}
    for shown in (found.to_markdown(), json.dumps(found.as_dict())):
        assert "ken@" not in shown
        assert "[e-mail]" in shown.replace("\\", "")


def test_text_from_the_logs_is_never_markup() -> None:
    nasty = "# head\n- <script>alert(1)</script> [x](http://evil.example) | `c` *b* www.evil.example"
    shown = report(frame().with_columns(text=pl.lit(nasty))).to_markdown()
    assert "<script" not in shown
    assert "[x](" not in shown
    assert "http://evil" not in shown
    assert "www.evil" not in shown
    assert not any(line.startswith("# head") for line in shown.splitlines())


@given(st.text())
def test_an_escaped_text_can_be_read_without_a_renderer(text: str) -> None:
    assert unescaped(escaped(text)) == " ".join(text.split())


def test_the_report_is_json_and_says_refused_or_usable() -> None:
    good, bad = report(frame()), report(frame().with_columns(label=pl.lit("x")))
    assert json.loads(json.dumps(good.as_dict(), allow_nan=False))["errors"] == []
    assert "usable" in good.to_markdown().splitlines()[0]
    assert "refused" in bad.to_markdown().splitlines()[0]


def test_a_zero_in_a_report_has_no_minus_and_other_numbers_keep_theirs() -> None:
    told = as_markdown("logs", [], [], {"gaps": {"none": -0.0, "some": -0.5}})
    assert ("none: 0" in told, "some: -0.5" in told) == (True, True)
