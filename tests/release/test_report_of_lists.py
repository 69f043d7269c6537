"""Report, error review and explanation of a search tell what its evidence holds, and the same everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from desk_world import WHY
from pair_world import ITEMS
from shop_desk import APART, CHAMPION, SearchWorld, search_world

from mangaops.evidence import Evidence
from mangaops.gates import GATES
from mangaops.metrics import Ranked
from mangaops.release import error_review, list_charts, review
from mangaops.release.desk import record_evidence
from mangaops.release.dossier import Dossier
from mangaops.release.explain import explained
from mangaops.release.figures import NO_CLASSES, count
from mangaops.release.helps import helps
from mangaops.release.latency import quantiles
from mangaops.release.list_figures import changes, measured
from mangaops.release.report import rendered
from mangaops.release.slices import slices
from mangaops.release.wording import price_lines
from mangaops.stack import Rule
from mangaops.vocabulary import Cell, EvidenceKind, Outcome, Side, Stage
from ranking_rows import found_at, models, ranking, searched

JOINT = "two separate wins make a joint loss"


@pytest.fixture
def searching(tmp_path: Path) -> SearchWorld:
    """A release whose models are each a gain beside the old partner, and a loss together."""
    world = search_world(tmp_path)
    world.ranked(CHAMPION, APART)
    world.shadowed()
    return world


def reviewed(world: SearchWorld) -> Dossier:
    name = review.open_review(world.desk, "retrieval", world.release, reason=WHY)
    review.answer_by_truth(world.desk, "retrieval", name, world.grades(), reason=WHY)
    return world.judged()


def test_the_report_shows_stages_pair_queries_shadow_and_review(searching: SearchWorld) -> None:
    case = reviewed(searching)
    page = rendered(case)
    (square,) = case.squares
    assert str(list_charts.table(square)) in page
    for word in ("adapter", "reranker", "judged@10", "old reranker", "Queries that lost most", "▼ broken"):
        assert word in page
    for word in ("Another set in the first three", "Rank-biased overlap", "Preferred was", "Net preference"):
        assert word in page
    assert "accuracy" not in page.partition("</style>")[2]
    assert f'<dt>confusion matrix</dt><dd class="mono">{NO_CLASSES}</dd>' in page
    assert '["i' not in page, "no list is shown as JSON"
    assert case.disagreement_by_label == []


def test_an_adapter_that_is_its_untrained_base_is_told_and_no_other(tmp_path: Path) -> None:
    pages = {}
    for step in (0.0, 60.0):
        world = search_world(tmp_path / str(step), adapter={"best_step": step})
        world.ranked(CHAMPION, APART)
        pages[step] = rendered(world.judged())
    assert "adapter@v1 is its untrained base" in pages[0.0]
    assert "untrained" not in pages[60.0]


def test_net_preference_tells_what_the_gate_judged(searching: SearchWorld) -> None:
    case = reviewed(searching)
    (finding,) = [each for each in case.rows if each.subject == "preference on shadow_review"]
    assert f"{finding.observed} of all mirrored requests" in rendered(case)


@pytest.mark.parametrize(
    ("price", "told"),
    [
        (
            {"out_of_reach": ["ndcg@10 on search"]},
            "more queries than an evaluation brings, which asks 1,000 at most: ndcg@10 on search; "
            "change the rule in stack.yaml, or judge another challenger",
        ),
        ({"labels": 372}, "about 372 more labels"),
    ],
)
def test_the_price_of_a_hold_can_be_paid(searching: SearchWorld, price: dict[str, Any], told: str) -> None:
    case = searching.judged()
    assert case.decision is not None
    assert price_lines(replace(case, decision=replace(case.decision, price=price))) == [told]


def test_error_review_and_explanation_hold_the_whole_sentence(searching: SearchWorld) -> None:
    case = searching.judged()
    assert case.outcome == Outcome.REJECT
    told = error_review.markdown(case)
    assert JOINT in told.replace("\\", "")
    assert JOINT in error_review.html(case)
    assert JOINT in explained(case).text
    assert any("train the reranker again" in line for line in helps(case))
    for part in (
        "## The pair",
        "| new adapter alone |",
        "Interaction",
        "## Queries that lost most",
        "(broken)",
    ):
        assert part in told
    assert "| 1. " in told
    assert "grade 2" in told


def test_a_report_without_lists_and_a_search_without_a_decision_are_drawn(searching: SearchWorld) -> None:
    bare = replace(searching.judged(), decision=None, decided=None)
    page = rendered(bare)
    assert "NOT JUDGED" in page
    assert "Queries that lost most" in page
    assert "The pair," not in page


def test_what_a_search_spends_its_time_on_is_shown_in_order(searching: SearchWorld) -> None:
    rng = np.random.default_rng(3)
    steps = ("encode", "rerank", "retrieve")
    rows = [
        (str(side), block, *rng.gamma((20.0, 30.0, 4.0), 1.0).tolist())
        for block in range(20)
        for side in Side
        for _ in range(30)
    ]
    samples = pl.DataFrame(rows, schema=["side", "block", *steps], orient="row").with_columns(
        ms=pl.sum_horizontal(*steps)
    )
    own = {step: quantiles(samples.select("side", "block", ms=step)) for step in steps}
    facts: dict[str, Any] = {
        "host": {"processor": "a", "cores": 2, "load_average": [0.1]},
        "runtime": {"load": "one at a time", "onnxruntime": "1", "threads": 1},
        "warm_up": 5,
        "quantiles": quantiles(samples),
        "steps": {str(side): {step: own[step][str(side)] for step in steps} for side in Side},
    }
    timed = Evidence(EvidenceKind.LATENCY, searching.binding, facts, {"samples": samples})
    record_evidence(searching.desk, "retrieval", searching.release, timed, reason=WHY)
    slow = Rule("latency", GATES["latency"].params(quantile=0.95, below_ms=20.0))
    case = searching.judged([slow])
    page = rendered(case)
    places = [page.index(f'data-label="Step">{step}<') for step in ("encode", "retrieve", "rerank")]
    assert places == sorted(places)
    assert "What a search spends its time on" in page


def test_the_index_tells_how_much_of_exact_search_it_finds(searching: SearchWorld) -> None:
    recalls = pl.DataFrame(
        {"query_id": ["q1", "q2"], "group": ["g1", "g2"], "weight": [3.0, 1.0], "recall": [1.0, 0.6]}
    )
    facts = {"k": 50, "items": 60, "kind": "lists", "index": "sha256:" + "1" * 64, "generation": 0}
    found = Evidence(EvidenceKind.INDEX, searching.binding, {**facts, "parameters": {}}, {"recalls": recalls})
    record_evidence(searching.desk, "retrieval", searching.release, found, reason=WHY)
    page = rendered(searching.judged())
    assert "lists, of 60 items" in page
    assert "90.00 % on 2 queries" in page


def few(**more: Any) -> Ranked:
    """A hundred queries of two languages: the Japanese ones lose their item, a few others gain it."""
    places = ([1] * 60 + [None] * 10 + [1] * 30, [1] * 70 + [5] * 30)
    named = [f"q{at}" for at in range(100)]
    asked = {name: {"language": "en" if at < 70 else "ja-en"} for at, name in enumerate(named)}
    grades = {name: {"right": 2.0, "x0": 0.0} for name in named}
    return Ranked.of(searched(*map(found_at, places), grades, queries=asked, **more))


def test_queries_that_changed_most_come_first_with_both_lists() -> None:
    found = changes(few(), {"right": "The right one"})
    assert (found.worse, found.better, found.broken, found.fixed, found.queries) == (30, 10, 30, 10, 100)
    lost, gained = found.lost[0], found.gained[0]
    assert (lost.word, lost.before) == ("broken", 1.0)
    assert (lost.baseline[0].text, lost.baseline[0].number) == ("The right one, grade 2", 1)
    assert (lost.release[0].text, lost.release[1].text) == ("x0, grade 0", "x1, not judged")
    assert (gained.word, gained.before, gained.after) == ("fixed", 0.0, 1.0)


def test_a_query_that_got_worse_is_never_fixed_and_one_that_got_better_never_broken() -> None:
    """One relevant item comes into the first three places, and others leave the list; and the reverse."""
    many, one = ["x1", "x2", "x3", "a", "b", "c", "d"], ["x1", "x2", "a"]
    grades = {query: dict.fromkeys("abcd", 1.0) for query in ("lost", "gained")}
    both = {"lost": many, "gained": one}, {"lost": one, "gained": many}
    found = changes(Ranked.of(searched(*both, grades)), {})
    assert (found.worse, found.better, found.broken, found.fixed) == (1, 1, 0, 0)
    assert [each.word for each in (*found.lost, *found.gained)] == ["", ""]


def test_equal_sides_changed_nothing() -> None:
    same = found_at([1, 2, None])
    found = changes(Ranked.of(searched(same, same, {"q0": {"right": 1.0}})), {})
    assert (found.lost, found.gained, found.queries) == ((), (), 1)


def test_only_stages_that_were_measured_are_told_and_coverage_has_no_interval() -> None:
    told = measured(few(), {}, rng=np.random.default_rng(1))
    assert {each.stage for each in told} == {"search"}
    by_name = {each.metric: each for each in told}
    assert by_name["ndcg@10"].low is not None
    assert by_name["ndcg@10"].low < by_name["ndcg@10"].difference
    assert by_name["coverage@10"].low is None
    short = {"q0": ["right", "x0", "x1"]}
    shallow = searched(short, short, {"q0": {"right": 1.0}}, depth={"search": 3})
    told = measured(Ranked.of(shallow), {}, rng=np.random.default_rng(1))
    assert [each.metric for each in told] == ["recall@3", "bad_top1"]


def test_a_figure_that_a_rule_judges_is_told_by_the_rule_s_policy(searching: SearchWorld) -> None:
    """Every other top item is unjudged: irrelevant it is bad, left out the next one is looked at."""
    places = found_at([2] * 50)
    grades = {f"q{at}": {"right": 2.0, "x0": 0.0} if at % 2 else {"right": 2.0} for at in range(50)}
    evidence = searched(places, places, grades, binding=searching.binding)
    record_evidence(searching.desk, "retrieval", searching.release, evidence, reason=WHY)

    def shown(*words: str) -> list[tuple[str, float]]:
        asked = {"metric": "bad_top1", "on": "search", "margin": 0.01, "min_judged": 0.0}
        rule = GATES["no_increase"]
        case = searching.judged([Rule("no_increase", rule.params(unjudged=word, **asked)) for word in words])
        found = [(str(each.unjudged), each.release) for each in case.lists if each.metric == "bad_top1"]
        for (word, value), row in zip(found, case.rows, strict=bool(words)):
            assert f"release {value:.2%}" in row.says or not words
            assert f"bad_top1, search, unjudged items {word.replace('_', ' ')}" in rendered(case)
        return found

    left, bad = ("left_out", 0.5), ("irrelevant", 1.0)
    assert shown("left_out") == [left]
    assert shown("irrelevant") == [bad]
    assert shown("left_out", "irrelevant") == [left, bad]
    assert shown() == [bad], "no rule of the list is on this metric"


def test_slices_of_a_search_are_compared_by_ndcg_with_holm() -> None:
    found = {each.value: each for each in slices(few(), rng=np.random.default_rng(5))}
    assert found["ja-en"].worse
    assert found["ja-en"].rows == 30
    assert found["en"].difference > 0
    assert not found["en"].worse
    assert found["ja-en"].release == pytest.approx(2 / np.log2(6) / 2)


def test_the_chart_of_slices_marks_what_is_proven_by_a_sign() -> None:
    drawn = list_charts.gains(slices(few(), rng=np.random.default_rng(5)))
    assert "language: ja-en (30)" in drawn
    assert "▼ -61." in drawn
    assert list_charts.gains([]) == ""


def squares_of(**facts: Any) -> Any:
    lists = {cell: found_at([1] * 50) for cell in (Cell.BASELINE, Cell.RELEASE)}
    runs = {(Stage.SEARCH, cell): run for cell, run in lists.items()}
    grades = {f"q{at}": {"right": 1.0} for at in range(50)}
    return ranking(runs, grades, **facts)


def test_a_lone_change_is_said_in_the_place_of_an_interaction(tmp_path: Path) -> None:
    world = search_world(tmp_path)
    evidence = squares_of(models=models(reranker="reranker@v2"), binding=world.binding, catalogue_items=ITEMS)
    record_evidence(world.desk, "retrieval", world.release, evidence, reason=WHY)
    pair_rule = Rule("pair", GATES["pair"].params(margin=0.01, unjudged="irrelevant", min_judged=0.0))
    case = world.judged([pair_rule])
    assert [each.changed for each in case.squares] == [("reranker",)]
    page = rendered(case)
    assert "Only the reranker is new" in page
    assert "Interaction" not in page
    drawn = list_charts.table(case.squares[0])
    assert drawn.count("the baseline") == 1
    assert not {"▲", "▼"} & set(drawn), "no interval excludes zero"


def test_few_judgments_are_what_helps_first(tmp_path: Path) -> None:
    world = search_world(tmp_path)
    evidence = squares_of(binding=world.binding, models=models(reranker="reranker@v2"))
    record_evidence(world.desk, "retrieval", world.release, evidence, reason=WHY)
    asks = Rule(
        "non_inferior",
        GATES["non_inferior"].params(
            metric="ndcg@10", on="search", margin=0.01, unjudged="irrelevant", min_judged=0.9
        ),
    )
    assert any("judge " in line and "items that were shown" in line for line in helps(world.judged([asks])))


@pytest.mark.parametrize(
    ("number", "word", "told"),
    [
        (1, "query", "1 query"),
        (2, "query", "2 queries"),
        (3, "search", "3 searches"),
        (1000, "row", "1,000 rows"),
    ],
)
def test_words_are_counted(number: int, word: str, told: str) -> None:
    assert count(number, word) == told
