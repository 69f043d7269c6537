"""A review counts where people answered all of it, about this very shadow, other actions included."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from gates_world import counted, evaluation, judged, review, rule, shadow, verdict

from golden_rows import outcomes
from mangaops.evidence import Evidence
from mangaops.stack import UnitSpec
from mangaops.vocabulary import Verdict

ON_TRAFFIC = rule("non_inferior", metric="accuracy", on="shadow_review", margin=0.01, confidence=0.95)


def other_actions(requests: int) -> Evidence:
    """Half of the requests get the same label and another action."""
    seen = shadow(requests, 0)
    apart = pl.int_range(pl.len()) < requests // 2
    release = pl.when(apart).then(pl.lit("clarify")).otherwise("release_action")
    table = seen.tables["answers"].with_columns(release_action=release, disagrees=apart)
    return replace(seen, tables={"answers": table})


def asked_about_actions(answers: list[str | None]) -> Evidence:
    """A review of half of 1,000 requests; each item stands for as many of them."""
    asked = review(answers)
    items = asked.tables["items"].with_columns(
        by_action=~pl.col("planted"),
        probability=pl.lit(len(answers) / 500),
        baseline_label=pl.lit("faq (route)"),
        release_label=pl.lit("faq (clarify)"),
    )
    return replace(asked, tables={**asked.tables, "items": items})


@pytest.mark.parametrize(
    ("answers", "expected", "word"),
    [
        (None, Verdict.INCONCLUSIVE, "not complete"),
        ([], Verdict.INCONCLUSIVE, "by action alone"),
        (["faq (clarify)"] * 9 + [None], Verdict.INCONCLUSIVE, "not complete"),
        (["faq (route)"] * 10, Verdict.INCONCLUSIVE, "prefer the baseline's action on 50.00%"),
        (["faq (route)"] * 5 + ["faq (clarify)"] * 5, Verdict.PASS, "10 of 500 disagreements were reviewed"),
        (["neither"] * 10, Verdict.PASS, "neither of both 10 times"),
    ],
)
def test_other_actions_under_equal_labels_must_be_looked_at(
    answers: list[str | None] | None, expected: Verdict, word: str
) -> None:
    asked = [] if answers is None else [asked_about_actions(answers)]
    found = judged(rule("disagreement", review_over=0.05), other_actions(1000), *asked).findings[0]
    assert found.verdict is expected
    assert word in found.says
    assert found.next_step or expected is Verdict.PASS


def test_other_actions_are_no_difference_in_accuracy() -> None:
    asked = asked_about_actions(["faq (route)"] * 10)
    for evidence in ([], [asked]):
        found = judged(ON_TRAFFIC, other_actions(1000), *evidence).findings[0]
        assert (found.verdict, found.observed) == (Verdict.PASS, 0.0)


def test_a_review_of_another_shadow_is_stale() -> None:
    asked = review(["promotion"] * 5)
    other = replace(asked, facts={**asked.facts, "shadow": "sha256:" + "9" * 64})
    found = judged(ON_TRAFFIC, shadow(995, 5), other).findings[0]
    assert found.verdict is Verdict.ERROR
    assert "stale" in found.says
    assert found.next_step == "mangaops review open router"
    assert verdict(ON_TRAFFIC, shadow(995, 5), asked) is Verdict.PASS


def test_a_half_answered_review_waits_and_is_not_called_careless() -> None:
    half = review(["promotion"] * 4 + [None], planted=[("faq", "promotion")] * 20)
    found = judged(ON_TRAFFIC, shadow(995, 5), half).findings[0]
    assert found.verdict is Verdict.INCONCLUSIVE
    whole = review(["promotion"] * 5, planted=[("faq", "promotion")] * 20)
    found = judged(ON_TRAFFIC, shadow(995, 5), whole).findings[0]
    assert found.verdict is Verdict.ERROR
    assert found.next_step == "mangaops review open router --seed 8"
    named = judged(ON_TRAFFIC, shadow(995, 5), whole, name="router-2").findings[0]
    assert named.next_step == "mangaops review open router-2 --seed 8"


def test_looks_share_the_fail_confidence_where_labels_are_new() -> None:
    seen, asked = shadow(980, 20), review(["faq"] * 20)
    one_look = UnitSpec(models=("m",), shadow={"min_requests": 500, "min_hours": 24}, looks=1)
    alone = judged(ON_TRAFFIC, seen, asked, unit=one_look).findings[0]
    shared = judged(ON_TRAFFIC, seen, asked).findings[0]
    assert (alone.facts["fail_confidence"], shared.facts["fail_confidence"]) == (0.95, 1 - 0.05 / 3)
    golden = judged(
        rule("non_inferior", metric="accuracy", margin=0.01), evaluation(outcomes(counted("faq", both=500)))
    ).findings[0]
    assert golden.facts["fail_confidence"] == 0.95
