"""Rules on the lists of a search: what they compare, what they refuse, and how much must be judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gates_world import case, evaluation, judged, rule, verdict
from pydantic import ValidationError

from golden_rows import outcomes
from mangaops.evidence import Evidence
from mangaops.gates import Case, Finding, judge
from mangaops.gates.verdicts import SPENT
from mangaops.stack import Rule, UnitSpec
from mangaops.vocabulary import Cell, EvidenceKind, Stage, Verdict
from ranking_rows import BINDING, ranking, searched

POLICY = {"unjudged": "irrelevant", "min_judged": 0.5}


def before(*evidence: Evidence, **changed: Any) -> Case:
    return replace(case(**changed), binding=BINDING, evidence={one.kind: one for one in evidence})


def found(one: Rule, *evidence: Evidence, **changed: Any) -> Finding:
    return judge([one], before(*evidence, **changed)).findings[0]


def found_at(places: list[int | None], other: str = "x") -> dict[str, list[str]]:
    """A list a query with its relevant item at this place, behind judged and irrelevant ones."""
    return {
        f"q{at}": [f"{other}{n}" for n in range((place or 6) - 1)] + (["right"] if place else [])
        for at, place in enumerate(places)
    }


def judged_lists(baseline: list[int | None], release: list[int | None], **more: Any) -> Evidence:
    runs = (found_at(baseline), found_at(release))
    grades = {f"q{at}": {"right": 1.0, **{f"x{n}": 0.0 for n in range(9)}} for at in range(len(baseline))}
    return searched(*runs, grades, **more)


GOOD = judged_lists([1, 2, 3, None] * 100, [1, 1, 2, 3] * 100)
BAD = judged_lists([1, 1, 2, 3] * 100, [2, 3, None, None] * 100)


@pytest.mark.parametrize(
    "one",
    [
        rule("non_inferior", metric="ndcg@10", on="search", margin=0.01, confidence=0.95, **POLICY),
        rule("non_inferior", metric="recall@3", on="search", margin=0.01, **POLICY),
        rule("non_inferior", metric="bad_top1", on="search", margin=0.01, **POLICY),
        rule("no_increase", metric="bad_top1", on="search", **POLICY),
        rule("at_least", metric="mrr@10", on="search", value=0.6, **POLICY),
        rule("at_least", metric="bad_top1", on="search", value=0.6, **POLICY),
    ],
    ids=lambda one: f"{one.gate} {one.params.metric}",
)
def test_a_rule_on_lists_fires_and_stays_quiet(one: Rule) -> None:
    assert found(one, GOOD).verdict is Verdict.PASS
    bad = found(one, BAD)
    assert bad.verdict is Verdict.FAIL
    assert bad.next_step
    assert f"{one.params.metric} on search: release " in bad.says


def test_a_rule_reads_the_stage_that_it_names() -> None:
    grades = {f"q{at}": {"right": 1.0} for at in range(50)}
    best, worst = found_at([1] * 50), found_at([3] * 50)
    runs = {
        (Stage.ADAPTER, Cell.BASELINE): best,
        (Stage.ADAPTER, Cell.RELEASE): worst,
        (Stage.SEARCH, Cell.BASELINE): worst,
        (Stage.SEARCH, Cell.RELEASE): best,
    }
    policy = {"unjudged": "irrelevant", "min_judged": 0.0}
    rules = [
        rule("non_inferior", metric="mrr@10", on=on, margin=0.0, **policy) for on in ("adapter", "search")
    ]
    evidence = ranking(runs, grades)
    assert [found(one, evidence).verdict for one in rules] == [Verdict.FAIL, Verdict.PASS]
    missing = found(rule("non_inferior", metric="mrr@10", on="reranker", margin=0.0, **policy), evidence)
    assert missing.verdict is Verdict.ERROR
    assert "no lists of reranker" in missing.says


def test_the_policy_changes_what_is_compared() -> None:
    """The release shows an unjudged item first: irrelevant costs it the top, left out costs it nothing."""
    grades = {f"q{at}": {"right": 1.0} for at in range(50)}
    runs = (found_at([1] * 50), found_at([2] * 50))
    same = {"metric": "mrr@10", "on": "search", "margin": 0.1, "min_judged": 0.5}
    evidence = searched(*runs, grades)
    assert found(rule("non_inferior", unjudged="irrelevant", **same), evidence).verdict is Verdict.FAIL
    assert found(rule("non_inferior", unjudged="left_out", **same), evidence).verdict is Verdict.PASS


@pytest.mark.parametrize("gate", ["non_inferior", "at_least", "no_increase"])
def test_under_the_judged_share_nothing_is_decided(gate: str) -> None:
    """Half of what the release shows at the top is judged, and all of the baseline's."""
    grades = {f"q{at}": {"right": 1.0} for at in range(50)}
    evidence = searched(found_at([1] * 50), found_at([1, 2] * 25), grades)
    asked = {"non_inferior": {"margin": 0.0}, "at_least": {"value": 0.9}, "no_increase": {}}[gate]
    params = {"metric": "bad_top1", "on": "search", "unjudged": "irrelevant", **asked}
    open_ = found(rule(gate, min_judged=0.9, **params), evidence)
    assert open_.verdict is Verdict.INCONCLUSIVE
    assert "50.00% of the top place is judged, under the 90% that the rule asks for" in open_.says
    assert open_.labels_to_settle == 20
    assert open_.next_step == "judge 20 items that were shown, x0 for q1 first"
    assert (open_.facts or {})["to_judge"][:2] == [["q1", "x0"], ["q11", "x0"]]
    decided = found(rule(gate, min_judged=0.5, **params), evidence)
    assert decided.verdict is (Verdict.PASS if gate == "at_least" else Verdict.FAIL)
    assert "and what is not counts as irrelevant" in decided.says


def test_a_low_judged_share_is_not_passed_by_a_low_value() -> None:
    """`or_below` decides nothing either."""
    evidence = searched(
        found_at([1] * 50), found_at([2] * 50), {f"q{at}": {"right": 1.0} for at in range(50)}
    )
    params = {"metric": "bad_top1", "on": "search", "margin": 0.0, "or_below": 1.0, "unjudged": "irrelevant"}
    assert found(rule("non_inferior", min_judged=0.9, **params), evidence).verdict is Verdict.INCONCLUSIVE
    assert found(rule("non_inferior", min_judged=0.0, **params), evidence).verdict is Verdict.PASS


def test_metrics_without_grades_are_judged_without_a_policy() -> None:
    assert found(rule("at_least", metric="judged@3", on="search", value=0.9), GOOD).verdict is Verdict.PASS
    assert found(rule("at_least", metric="coverage@3", on="search", value=0.02), GOOD).verdict is Verdict.PASS


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "classifying on search": (
        "non_inferior",
        {"metric": "accuracy", "on": "search", "margin": 0.0},
        "accuracy is measured on golden, not on search, which takes recall@k, ndcg@k, mrr@k, bad_top1",
    ),
    "ranking on golden": (
        "non_inferior",
        {"metric": "ndcg@10", "margin": 0.0, **POLICY},
        "ndcg@10 is measured on adapter, reranker or search, not on golden",
    ),
    "ranking on reviewed traffic": (
        "non_inferior",
        {"metric": "ndcg@10", "on": "shadow_review", "margin": 0.0, **POLICY},
        "is measured on adapter, reranker or search, not on shadow_review",
    ),
    "k not said": (
        "at_least",
        {"metric": "ndcg@k", "on": "search", "value": 0.5, **POLICY},
        "needs a number in the place of k, as in ndcg@10",
    ),
    "no policy": (
        "at_least",
        {"metric": "ndcg@10", "on": "search", "value": 0.5, "min_judged": 0.5},
        "needs unjudged, what an item counts as that nobody judged: irrelevant or left_out",
    ),
    "no share": (
        "no_increase",
        {"metric": "bad_top1", "on": "search", "unjudged": "left_out"},
        "needs min_judged",
    ),
    "unjudged on golden": (
        "non_inferior",
        {"metric": "accuracy", "margin": 0.0, "unjudged": "irrelevant"},
        "accuracy takes no unjudged and no min_judged: these are for recall@k",
    ),
    "a judged share on golden": (
        "no_increase",
        {"metric": "harm_cost", "min_judged": 0.5},
        "takes no unjudged",
    ),
    "a policy without grades": (
        "at_least",
        {"metric": "judged@10", "on": "search", "value": 0.5, **POLICY},
        "reads no grades",
    ),
    "a label": (
        "non_inferior",
        {"metric": "recall@3", "on": "search", "label": "faq", "margin": 0.0, **POLICY},
        "takes no label",
    ),
    "an unknown policy": (
        "non_inferior",
        {"metric": "recall@3", "on": "search", "margin": 0.0, "unjudged": "relevant", "min_judged": 0.5},
        "'irrelevant' or 'left_out'",
    ),
    "a higher metric that may not rise": (
        "no_increase",
        {"metric": "ndcg@10", "on": "search", **POLICY},
        "for metrics where lower is better",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_measured_is_refused_when_the_rule_is_read(wrong: str) -> None:
    gate, params, says = REFUSED[wrong]
    with pytest.raises(ValidationError, match=says):
        rule(gate, **params)


def test_a_place_below_the_lists_is_an_error() -> None:
    shallow = judged_lists([1, 2], [1, 2], depth={"search": 5})
    one = rule("non_inferior", metric="ndcg@10", on="search", margin=0.0, **POLICY)
    open_ = found(one, shallow)
    assert open_.verdict is Verdict.ERROR
    assert open_.says == "the lists of search hold 5 places, and the rule looks at 10"
    assert open_.next_step == "state a k of at most 5, or measure deeper lists"


def test_evidence_that_contradicts_itself_is_an_error() -> None:
    one = rule("non_inferior", metric="ndcg@10", on="search", margin=0.0, **POLICY)
    open_ = found(one, judged_lists([1], [1], catalogue_items=0))
    assert (open_.verdict, open_.subject) == (Verdict.ERROR, "ndcg@10")
    assert "contradicts itself" in open_.says
    assert found(one).says == "there is no ranking evidence"
    stale = judged_lists([1], [1], binding=replace(BINDING, dataset="sha256:" + "9" * 64))
    assert "stale" in found(one, stale).says
    nobody = searched({"q": ["a"]}, {"q": ["a"]}, {})
    assert "no query bears it" in found(one, nobody).says
    assert "holds no queries" in found(one, searched({}, {}, {})).says


def test_queries_of_one_group_are_not_independent() -> None:
    apart = judged_lists([1, 1, 2, 2] * 25, [1, 2, 2, 1] * 25)
    queries = {f"q{at}": {"group": f"user-{at % 4}"} for at in range(100)}
    together = judged_lists([1, 1, 2, 2] * 25, [1, 2, 2, 1] * 25, queries=queries)
    one = rule("non_inferior", metric="mrr@10", on="search", margin=0.01, **POLICY)
    narrow, wide = found(one, apart), found(one, together)
    assert narrow.n == wide.n == 100
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0))


def test_few_queries_are_told_before_few_judgments() -> None:
    one = rule("non_inferior", metric="mrr@10", on="search", margin=0.01, min_examples=500, **POLICY)
    open_ = found(one, GOOD)
    assert open_.verdict is Verdict.INCONCLUSIVE
    assert open_.next_step == "label about 100 more queries"


def swapped(lost: int, gained: int) -> Evidence:
    """Of 400 queries so many lose the first place to an irrelevant item, and so many gain it."""
    baseline: list[int | None] = [1] * 200 + [2] * 200
    return judged_lists(baseline, [*[2] * lost, *[1] * (200 - lost), *[1] * gained, *[2] * (200 - gained)])


@pytest.mark.parametrize(("confidence", "helps"), [(0.5, ""), (0.95, " or a lower confidence")])
def test_a_need_beyond_what_an_evaluation_asks_is_no_hint_to_label(confidence: float, helps: str) -> None:
    """Thousands would be needed, and an evaluation asks 1,000."""
    params = {"metric": "mrr@10", "on": "search", "margin": 0.003, "confidence": confidence, **POLICY}
    decision = judge([rule("non_inferior", **params)], before(swapped(44, 36)))
    open_ = decision.findings[0]
    assert (open_.verdict, open_.labels_to_settle) == (Verdict.INCONCLUSIVE, None)
    need = (open_.facts or {})["out_of_reach"]
    assert need > 600
    assert open_.next_step == (
        f"no evaluation settles it: it takes about {need:,} more queries if nothing differs, and one asks at "
        f"most 1,000; state a wider margin{helps} in stack.yaml, or judge a challenger that gains"
    )
    assert decision.price == {"out_of_reach": ["mrr@10 on search"]}


def test_a_need_within_what_an_evaluation_asks_is_one() -> None:
    one = rule("non_inferior", metric="mrr@10", on="search", margin=0.02, confidence=0.95, **POLICY)
    decision = judge([one], before(swapped(24, 22)))
    need = decision.findings[0].labels_to_settle or 0
    assert 0 < need <= 600
    assert decision.findings[0].next_step == f"label about {need:,} more queries"
    assert decision.price == {"labels": need}


@pytest.mark.parametrize("gate", ["non_inferior", "at_least"])
def test_more_examples_than_an_evaluation_asks_are_told(gate: str) -> None:
    asked = {"non_inferior": {"margin": 0.01}, "at_least": {"value": 0.1}}[gate]
    params = {"metric": "mrr@10", "on": "search", **POLICY, **asked}
    decision = judge([rule(gate, min_examples=1500, **params)], before(GOOD))
    assert decision.findings[0].next_step == (
        "state a lower min_examples in stack.yaml: 1,500 queries are asked for, "
        "and an evaluation asks at most 1,000"
    )
    assert decision.price == {"out_of_reach": ["mrr@10 on search"]}
    settled = judge([rule(gate, min_examples=1000, **params)], before(GOOD))
    assert settled.price == {"labels": 600}


def test_a_subject_that_is_out_of_reach_is_priced_once() -> None:
    """A margin of zero is settled by no number of labels, and 1,500 queries are asked by no evaluation."""
    params = {"metric": "mrr@10", "on": "search", "margin": 0.0, "confidence": 0.95, **POLICY}
    beyond = judge([rule("non_inferior", min_examples=1500, **params)], before(swapped(44, 36)))
    assert beyond.price == {"out_of_reach": ["mrr@10 on search"]}
    within = judge([rule("non_inferior", **params)], before(swapped(44, 36)))
    assert within.price == {"unsettled": ["mrr@10 on search"]}


@pytest.mark.parametrize(("look", "price"), [(1, {"out_of_reach": ["mrr@10 on search"]}), (99, {})])
def test_what_was_judged_to_the_last_look_is_priced_at_no_queries(look: int, price: dict[str, Any]) -> None:
    params = {"metric": "mrr@10", "on": "search", "margin": 0.003, "confidence": 0.95, **POLICY}
    decision = judge([rule("non_inferior", **params)], before(swapped(44, 36), look=look))
    open_ = decision.findings[0]
    assert (open_.verdict, open_.labels_to_settle, decision.price) == (Verdict.INCONCLUSIVE, None, price)
    assert (open_.next_step == SPENT) == ("out_of_reach" not in (open_.facts or {})) == (look == 99)


def borne_by(bearing: int, asked: int, places: list[int | None], other: list[int | None]) -> Evidence:
    """So many of the queries have a relevant item, and no other bears a metric."""
    runs = (found_at(places * (asked // len(places))), found_at(other * (asked // len(other))))
    grades = {f"q{at}": {"right": float(at < bearing), "x0": 0.0, "x1": 0.0} for at in range(asked)}
    return searched(*runs, grades)


@pytest.mark.parametrize("gate", ["non_inferior", "at_least"])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (1000, 400, "1,000, of which about 300 bear it"),
        (600, 600, "1,000, of which about 500 bear it"),
        (600, 1500, "1,000"),
        (600, 500, None),
    ],
)
def test_queries_that_bear_no_metric_are_no_examples_to_come(
    gate: str, asked: int, least: int, most: str | None
) -> None:
    """300 of those that were asked bear it: of 400 more, 200 would."""
    value = {"non_inferior": {"margin": 0.01}, "at_least": {"value": 0.1}}[gate]
    one = rule(gate, metric="mrr@10", on="search", min_examples=least, **POLICY, **value)
    decision = judge([one], before(borne_by(300, asked, [1, 2], [1, 1])))
    open_ = decision.findings[0]
    assert open_.n == 300
    if most is None:
        assert decision.price == {"labels": 200}
        return
    assert open_.next_step == (
        f"state a lower min_examples in stack.yaml: {least:,} queries are asked for, "
        f"and an evaluation asks at most {most}"
    )
    assert decision.price == {"out_of_reach": ["mrr@10 on search"]}


@pytest.mark.parametrize(("margin", "most"), [(0.025, "1,000, of which about 500 bear it"), (0.01, "1,000")])
def test_a_need_that_the_other_queries_would_not_meet_is_out_of_reach(margin: float, most: str) -> None:
    """200 of 400 bear it: of 600 more, 300 would."""
    params = {"metric": "mrr@10", "on": "search", "margin": margin, "confidence": 0.95, **POLICY}
    mixed = borne_by(200, 400, [1] * 9 + [2], [1] * 8 + [2, 1])
    open_ = judge([rule("non_inferior", **params)], before(mixed)).findings[0]
    need = (open_.facts or {})["out_of_reach"]
    assert f"one asks at most {most}; state" in open_.next_step
    assert (300 < need <= 800) == ("bear it" in most)


def test_a_list_of_rules_may_read_rows_and_lists() -> None:
    golden = evaluation(outcomes([("faq", "faq", "faq")] * 50), BINDING)
    rules = [
        rule("non_inferior", metric="accuracy", margin=0.01),
        rule("non_inferior", metric="ndcg@10", on="search", margin=0.01, **POLICY),
    ]
    decision = judge(rules, before(golden, GOOD))
    assert [each.verdict for each in decision.findings] == [Verdict.PASS, Verdict.PASS]
    assert set(decision.evidence) == {EvidenceKind.EVALUATION, EvidenceKind.RANKING}


def test_verdicts_alone_are_those_of_the_full_judge() -> None:
    one = rule("at_least", metric="ndcg@10", on="search", value=0.5, **POLICY)
    for evidence in (GOOD, BAD):
        full, quick = found(one, evidence), found(one, evidence, verdicts_only=True)
        assert (quick.verdict, quick.observed) == (full.verdict, full.observed)


def test_a_unit_of_searches_still_needs_its_other_gates() -> None:
    """Nothing of the judge is special to lists: no rule, no promotion."""
    unit = UnitSpec(models=("adapter", "reranker"))
    assert judged([], unit=unit).findings[0].verdict is Verdict.ERROR
    assert verdict(rule("non_inferior", metric="accuracy", margin=0.0)) is Verdict.ERROR
