"""What people prefer of two lists is judged as preference, and never called accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from gates_world import finding, review, rule, shadow
from pydantic import ValidationError

from mangaops.evidence import Evidence
from mangaops.vocabulary import Verdict

PREFERENCE = rule("non_inferior", metric="preference", on="shadow_review", margin=0.01)
ACCURACY = rule("non_inferior", metric="accuracy", on="shadow_review", margin=0.01)
OLD, NEW = '["i1","i2","i3"]', '["i1","i2","i4"]'


def searches(agree: int, disagree: int, *, further_down: int = 0) -> Evidence:
    """A shadow of lists; `further_down` of those that agree differ below the third place."""
    seen = shadow(agree, disagree)
    at = pl.int_range(pl.len())
    lower = pl.when(at < further_down).then(pl.lit('["i1","i2","i3","i9"]')).otherwise(pl.lit(OLD))
    table = seen.tables["answers"].with_columns(
        baseline_label=pl.lit(OLD),
        release_label=pl.when("disagrees").then(pl.lit(NEW)).otherwise(lower),
        baseline_action=pl.lit(None, dtype=pl.String),
        release_action=pl.lit(None, dtype=pl.String),
        baseline_confidence=pl.lit(None, dtype=pl.Float64),
        release_confidence=pl.lit(None, dtype=pl.Float64),
    )
    return replace(seen, facts={**seen.facts, "lists": {}}, tables={"answers": table})


def preferred(*answers: str | None) -> Evidence:
    asked = review(list(answers), planted=[(OLD, OLD)] * 20)
    items = asked.tables["items"].with_columns(baseline_label=pl.lit(OLD), release_label=pl.lit(NEW))
    return replace(asked, tables={**asked.tables, "items": items})


def test_net_preference_over_the_window_is_judged_by_its_own_name() -> None:
    good = finding(PREFERENCE, searches(900, 100), preferred(*[NEW] * 60, *[OLD] * 20, *["neither"] * 20))
    assert (good.verdict, good.subject) == (Verdict.PASS, "preference on shadow_review")
    assert good.observed == pytest.approx(0.04)
    bad = finding(PREFERENCE, searches(900, 100), preferred(*[NEW] * 10, *[OLD] * 80, *["neither"] * 10))
    assert bad.verdict is Verdict.FAIL
    assert "accuracy" not in good.says + bad.says


def test_lists_that_differ_below_the_third_place_wait_for_nobody() -> None:
    found = finding(PREFERENCE, searches(1000, 0, further_down=400))
    assert (found.verdict, found.observed) == (Verdict.PASS, 0.0)
    waits = finding(PREFERENCE, searches(950, 50, further_down=400))
    assert waits.verdict is Verdict.INCONCLUSIVE
    assert "preference on shadow_review: 50 disagreements of 1,000" in waits.says


def test_a_rule_that_asks_for_the_other_measure_is_told() -> None:
    found = finding(ACCURACY, searches(900, 100), preferred(*[NEW] * 100))
    assert found.verdict is Verdict.ERROR
    assert "answers on traffic are lists, of which people tell preference and not accuracy" in found.says
    assert found.next_step == "write metric: preference in stack.yaml"
    labels = finding(PREFERENCE, shadow(1000, 0))
    assert labels.verdict is Verdict.ERROR
    assert "answers on traffic are labels" in labels.says


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"metric": "preference"}, "by non_inferior on shadow_review, not on golden"),
        (
            {"metric": "preference", "on": "shadow_review", "unjudged": "irrelevant", "min_judged": 0.1},
            "takes no unjudged",
        ),
        ({"metric": "harm_cost", "on": "shadow_review"}, "takes accuracy or preference"),
    ],
)
def test_preference_is_measured_on_reviewed_traffic_alone(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        rule("non_inferior", margin=0.0, **params)
    with pytest.raises(ValidationError, match="non_inferior on shadow_review"):
        rule("at_least", metric="preference", value=0.1)
