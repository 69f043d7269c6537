"""Dataset versions: same rows, same version; splits that hold; a golden set that nothing changes."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from mangaops.datasets import Snapshot, compare, logs, snapshot
from mangaops.datasets.build import COLUMNS
from mangaops.datasets.golden import golden_digest
from mangaops.errors import InputError, LeakageError, UsageError
from mangaops.evidence.envelope import table_digest
from mangaops.stack import DataSpec
from mangaops.vocabulary import Side

LABELS = ("faq", "chitchat", "promotion", "escalation")
SPEC = DataSpec(labels=LABELS, golden={"rows": 120, "per_critical_label": 30}, minimum_critical=10)
WORDS = [
    f"{a}{b}"
    for a in ("man", "vol", "ser", "ship", "ret", "pro")
    for b in ("ga", "ume", "ies", "ping", "urn", "mo")
]


def week(number: int = 1, conversations: int = 300, **columns: Any) -> pl.DataFrame:
    """Conversations of two or three turns; each fourth user comes back every week."""
    rng = np.random.default_rng(number)
    rows = []
    for c in range(conversations):
        user = f"u{c}" if c % 4 == 0 else f"u{number}-{c}"
        for turn in range(1, int(rng.integers(3, 5))):
            rows.append(
                {
                    "text": " ".join(rng.choice(WORDS, int(rng.integers(2, 14)))),
                    "label": str(rng.choice(LABELS, p=[0.5, 0.3, 0.15, 0.05])),
                    "conversation_id": f"c{number}-{c}",
                    "user_id": user,
                    "at": f"2026-04-{number:02d}T{c % 24:02d}:{turn:02d}:00Z",
                    "turn": turn,
                }
            )
    frame = pl.DataFrame(rows)
    return frame.with_columns(**columns) if columns else frame


def made(rows: pl.DataFrame, spec: DataSpec = SPEC, **more: Any) -> Snapshot:
    return snapshot(logs(rows), spec, **{"data": "intent-data", "critical": ["escalation"], **more})


def leaks(golden: Snapshot, training: Snapshot, spec: DataSpec = SPEC) -> int:
    return compare(golden, {Side.RELEASE: training}, spec)[1].height


FIRST = made(week())


def test_the_same_rows_in_another_order_are_the_same_version() -> None:
    again = made(week().sample(fraction=1.0, shuffle=True, seed=3))
    assert (again.digest, again.name) == (FIRST.digest, FIRST.name)
    assert again.manifest["golden"] == FIRST.manifest["golden"]
    assert made(week(), previous=FIRST) is FIRST
    assert (
        made(week(), versions={"intent-data-2026-04-01-7": FIRST.digest}).name == "intent-data-2026-04-01-7"
    )


def test_it_is_named_by_its_newest_row_and_a_second_of_the_day_gets_a_number() -> None:
    assert FIRST.name == "intent-data-2026-04-01"
    other = made(week().head(500), versions={FIRST.name: FIRST.digest})
    assert other.name == "intent-data-2026-04-01-2"
    third = made(week().head(400), versions={FIRST.name: FIRST.digest, other.name: other.digest})
    assert third.name == "intent-data-2026-04-01-3"


def test_rows_without_a_time_are_dated_by_the_caller_or_refused() -> None:
    rows = week().drop("at")
    assert made(rows, at=date(2026, 4, 20)).name == "intent-data-2026-04-20"
    with pytest.raises(UsageError, match="cannot be dated"):
        made(rows)


def test_rows_and_digest_are_what_the_manifest_says() -> None:
    rows = FIRST.rows
    assert rows.columns == COLUMNS
    assert rows["row_id"].is_sorted()
    assert FIRST.digest == table_digest(rows) == FIRST.manifest["digest"]
    assert FIRST.manifest["splits"]["train"]["rows"] == FIRST.train.height
    assert (
        sum(part["rows"] for part in FIRST.manifest["splits"].values())
        == rows.height
        == FIRST.manifest["rows"]
    )
    assert FIRST.labels == LABELS
    assert json.loads(json.dumps(FIRST.manifest, allow_nan=False)) == FIRST.manifest


def test_no_group_is_in_two_splits_and_shares_are_near_those_asked_for() -> None:
    by_group = FIRST.rows.group_by("group").agg(pl.col("split").n_unique())
    assert by_group["split"].max() == 1
    for split, share in SPEC.splits.model_dump().items():
        assert abs(FIRST.manifest["splits"][split]["share"] - share) < 0.08


def test_a_snapshot_leaks_nothing_into_its_own_training() -> None:
    assert leaks(FIRST, FIRST) == 0


def test_the_golden_set_has_its_critical_rows_and_its_weights() -> None:
    golden = FIRST.golden
    pool = FIRST.rows.filter((pl.col("split") == "golden") & (pl.col("label") == "escalation")).height
    assert golden.height == 120
    assert golden.filter(pl.col("label") == "escalation").height == min(30, pool)
    assert abs(golden["weight"].mean() - 1) < 1e-9
    assert set(golden["split"]) == {"golden"}


def test_next_week_the_golden_set_is_the_same_row_for_row_and_nothing_of_it_trains() -> None:
    second = made(week(2), previous=FIRST)
    columns = ["row_id", "text", "label", "weight"]
    assert second.golden.select(columns).equals(FIRST.golden.select(columns))
    assert (
        second.manifest["golden"]["digest"]
        == FIRST.manifest["golden"]["digest"]
        == golden_digest(second.golden)
    )
    assert second.manifest["golden"]["since"] == FIRST.name
    assert second.manifest["previous"] == {"name": FIRST.name, "digest": FIRST.digest}
    held_out = FIRST.rows.filter(pl.col("split") == "golden").drop_nulls("user_id")["user_id"]
    assert not set(held_out) & set(second.train["user_id"])
    assert leaks(second, second) == leaks(second, FIRST) == 0


def test_users_keep_their_split_over_the_weeks_without_the_version_before() -> None:
    alone = made(week(2))
    both = (
        FIRST.rows.select("user_id", "split")
        .unique()
        .join(alone.rows.select("user_id", "split").unique(), on="user_id")
    )
    assert both.height > 50
    assert (both["split"] == both["split_right"]).all()


def test_two_groups_that_merge_across_splits_leave_training_and_never_golden() -> None:
    golden_user, train_user = FIRST.golden["user_id"][0], FIRST.train["user_id"][0]
    shared = pl.DataFrame(
        {
            "text": ["we use one account now", "both of us do"],
            "label": ["faq", "faq"],
            "conversation_id": ["merged", "merged"],
            "user_id": [golden_user, train_user],
            "at": ["2026-04-03T00:00:00Z"] * 2,
            "turn": [1, 2],
        }
    )
    merged = made(pl.concat([week(1), shared]), previous=FIRST)
    assert train_user in set(FIRST.train["user_id"])
    assert train_user not in set(merged.train["user_id"])
    assert set(FIRST.golden["row_id"]) == set(merged.golden["row_id"])
    assert leaks(merged, merged) == 0


def test_growing_adds_rows_keeps_all_and_takes_none_that_was_trained_on() -> None:
    spec = SPEC.model_copy(update={"golden": SPEC.golden.model_copy(update={"rows": 160})})
    grown = made(pl.concat([week(1), week(2)]), spec, previous=FIRST, grow_golden=True)
    assert set(FIRST.golden["row_id"]) < set(grown.golden["row_id"])
    assert grown.golden.height == 160
    assert grown.manifest["golden"]["version"] == 2
    assert grown.manifest["golden"]["since"] == grown.name
    assert leaks(grown, FIRST) == leaks(grown, grown) == 0
    kept = made(pl.concat([week(1), week(2)]), spec, previous=FIRST)
    assert kept.golden.height == 120


def test_a_grown_golden_set_shares_nothing_with_what_a_serving_release_learnt_from() -> None:
    """The logs roll: week 1, which the champion learnt from, is no longer in the version before."""
    spec = SPEC.model_copy(update={"golden": SPEC.golden.model_copy(update={"rows": 400})})
    long = FIRST.train.filter(pl.col("text").str.count_matches(" ") >= 7).head(80)
    copies = long.select("text", "label", at=pl.lit("2026-04-03T00:00:00Z"), turn=pl.lit(1, pl.Int64))
    numbers = pl.int_range(pl.len()).cast(pl.String)
    copies = copies.with_columns(conversation_id="again" + numbers, user_id="again" + numbers)
    second = made(week(2), previous=FIRST)
    rolled = pl.concat([week(2), week(3), copies.select(week(3).columns)])
    blind = made(rolled, spec, previous=second, grow_golden=True)
    told = made(rolled, spec, previous=second, grow_golden=True, trained=[FIRST])
    assert leaks(blind, FIRST) > 0
    assert leaks(told, FIRST) == leaks(told, second) == 0
    assert told.golden.height > second.golden.height


def test_golden_rows_that_a_serving_release_learnt_from_leave_when_the_set_grows() -> None:
    moved = made(week(), SPEC.model_copy(update={"split_key": "another"}))
    grown = made(week(), previous=FIRST, grow_golden=True, trained=[moved])
    assert leaks(FIRST, moved) > leaks(grown, moved) == 0
    assert grown.golden.height > 0
    assert (grown.manifest["golden"]["version"], leaks(grown, grown)) == (2, 0)


def test_a_golden_row_that_is_labelled_anew_keeps_its_label_and_that_is_counted() -> None:
    row = FIRST.golden.row(0, named=True)
    other = next(label for label in LABELS if label != row["label"])
    same = pl.col("conversation_id").eq(row["conversation_id"]) & pl.col("turn").eq(row["turn"])
    rows = week().with_columns(label=pl.when(same).then(pl.lit(other)).otherwise("label"))
    again = made(rows, previous=FIRST)
    assert again.golden.filter(pl.col("row_id") == row["row_id"])["label"].to_list() == [row["label"]]
    assert again.manifest["golden"]["relabelled_in_logs"] in (0, 1)
    assert again.manifest["golden"]["digest"] == FIRST.manifest["golden"]["digest"]


def test_a_planted_copy_of_a_golden_text_leaves_training_and_is_counted() -> None:
    long = FIRST.golden.filter(pl.col("text").str.count_matches(" ") >= 7)["text"][0]
    planted = pl.DataFrame(
        {
            "text": [long, long + " please"],
            "label": ["faq"] * 2,
            "conversation_id": [FIRST.train["conversation_id"][0]] * 2,
            "user_id": [FIRST.train["user_id"][0]] * 2,
            "at": ["2026-04-01T00:00:00Z"] * 2,
            "turn": [90, 91],
        }
    )
    found = made(pl.concat([week(), planted]))
    assert found.manifest["dropped"]["shared text (train)"] == 1
    assert found.manifest["dropped"]["shared near text (train)"] == 1
    assert found.train.height == FIRST.train.height


def test_a_stock_phrase_stays_on_both_sides() -> None:
    found = made(
        week(
            text=pl.when(pl.col("turn") == 2)
            .then(pl.lit("thank you so much for all of that"))
            .otherwise("text")
        )
    )
    phrase = found.rows.filter(pl.col("text").str.starts_with("thank you so much"))
    assert set(phrase["split"]) == {"train", "validation", "golden"}
    assert leaks(found, found) == 0


OWN = pl.col("conversation_id").str.extract(r"-(\d+)$").cast(pl.Int64) % 10


def own_split() -> pl.Expr:
    return pl.when(OWN < 2).then(pl.lit("test")).when(OWN < 3).then(pl.lit("dev")).otherwise(pl.lit("train"))


def test_own_splits_are_kept() -> None:
    rows = week(split=own_split())
    found = made(rows)
    assert found.manifest["own_splits"] is True
    joined = logs(rows).rows.select("row_id", "split").join(found.rows.select("row_id", "split"), on="row_id")
    assert joined.height == found.rows.height
    assert (joined["split"] == joined["split_right"]).all()


def test_own_splits_that_share_a_user_lose_the_training_rows() -> None:
    torn = pl.when(pl.col("turn") == 1).then(own_split()).otherwise(pl.lit("train"))
    found = made(week(split=torn))
    assert found.manifest["dropped"]["shared conversation (train)"] > 0
    assert leaks(found, found) == 0


def test_own_splits_that_share_everything_are_refused_as_leakage() -> None:
    rows = week(user_id=pl.lit("guest"), split=own_split())
    with pytest.raises(LeakageError, match="shares a conversation, user or text"):
        made(rows)


def test_a_split_without_rows_and_partly_split_logs_are_refused() -> None:
    with pytest.raises(InputError, match="no row for golden"):
        made(week(split=pl.when(OWN < 2).then(pl.lit("dev")).otherwise(pl.lit("train"))))
    with pytest.raises(InputError, match="no row for"):
        made(week(user_id=pl.lit("guest")))


def test_unusable_rows_are_dropped_and_counted_and_bad_logs_are_refused() -> None:
    bad = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("x" * 1_000_000)).otherwise("text")
    assert made(week(text=bad)).manifest["dropped"]["over-long text"] == 1
    with pytest.raises(InputError, match="refused by validation"):
        made(week(label=pl.lit("unheard of")))


def test_personal_data_is_masked_in_the_snapshot_on_request_only() -> None:
    rows = week(text=pl.concat_str("text", pl.lit(" ken@example.org")))
    assert made(rows).rows["text"].str.contains("ken@").all()
    masked = made(rows, SPEC.model_copy(update={"mask_personal_data": True}))
    assert not masked.rows["text"].str.contains("ken@").any()
    assert masked.rows["text"].str.contains("[e-mail]", literal=True).all()


def test_labels_from_logs_are_frozen_by_the_first_version() -> None:
    spec = SPEC.model_copy(update={"labels": "from_logs"})
    first = made(week(), spec)
    assert first.labels == tuple(sorted(LABELS))
    with pytest.raises(InputError, match="unknown label 'new'"):
        made(
            week(2, label=pl.when(pl.col("turn") == 2).then(pl.lit("new")).otherwise("label")),
            spec,
            previous=first,
        )


def test_a_golden_label_that_the_stack_no_longer_lists_is_refused() -> None:
    rows = week(2, label=pl.col("label").replace("promotion", "faq"))
    with pytest.raises(InputError, match="no longer listed"):
        made(rows, SPEC.model_copy(update={"labels": ("faq", "chitchat", "escalation")}), previous=FIRST)


def test_progress_is_told() -> None:
    seen: list[str] = []
    made(week(), progress=lambda what, done, total: seen.append(what))
    assert seen
