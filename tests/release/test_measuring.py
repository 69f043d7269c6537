"""What is measured is what serves: one request at a time, both sides alike."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import polars as pl
import pytest
from desk_world import GATE_LIST, LABELS, WHY, Rigged, World, golden_rows, make_traffic, make_world, stack

from mangaops.errors import InputError
from mangaops.inference import Answer
from mangaops.release import checks, evaluate, judge, latency, shadow
from mangaops.release.critical import critical_examples
from mangaops.release.desk import state
from mangaops.vocabulary import Action, EvidenceKind, Outcome, Side, State, Verdict

EQUAL = evaluate.Pair(Rigged("champion", 0.1), Rigged("equal", 0.1))
MODEL = stack().models["intent-classifier"]


@dataclass
class Counting:
    """Remembers who was asked, in order."""

    name: str
    asked: list[str]
    labels: tuple[str, ...] = LABELS
    texts: list[str] = field(default_factory=list)

    def answer(self, text: str) -> Answer:
        self.asked.append(self.name)
        self.texts.append(text)
        return Answer("faq", 0.5, Action.ROUTE)


def test_blocks_alternate_and_who_goes_first_alternates_too() -> None:
    asked: list[str] = []
    pair = evaluate.Pair(Counting("baseline", asked), Counting("release", asked))
    plan = latency.Plan(blocks=3, requests=2, warm_up=1)
    latency.interleave(latency.asks_of(pair), ["a", "b"], plan)
    order = "".join(name[0] for name in asked)
    assert order == "br" + "bbrr" + "rrbb" + "bbrr"


def test_both_sides_get_the_same_texts_in_a_block() -> None:
    asked: list[str] = []
    pair = evaluate.Pair(Counting("baseline", asked), Counting("release", asked))
    latency.interleave(latency.asks_of(pair), list("abcde"), latency.Plan(blocks=4, requests=3, warm_up=0))
    assert pair.baseline.texts == pair.release.texts


def test_samples_are_milliseconds_of_the_given_clock() -> None:
    ticks = itertools.count(0, 2_000_000)
    samples = latency.interleave(
        latency.asks_of(EQUAL),
        ["a"],
        latency.Plan(blocks=2, requests=5, warm_up=0),
        clock_ns=lambda: next(ticks),
    )
    assert set(samples["ms"]) == {2.0}
    assert samples.height == 20


def test_a_latency_test_without_texts_is_refused() -> None:
    with pytest.raises(InputError):
        latency.interleave(latency.asks_of(EQUAL), [], latency.Plan())


def test_latency_evidence_names_host_runtime_and_quantiles(served: World) -> None:
    release = served.candidate()
    served.measure_offline(release, EQUAL)
    ref = state(served.desk, "router").releases[release].latest(EvidenceKind.LATENCY)
    facts = served.desk.evidence.get(ref.digest).facts
    assert facts["host"]["cores"] >= 1
    assert facts["runtime"]["threads"] == 1
    assert set(facts["quantiles"][str(Side.RELEASE)]) == {"p50", "p95", "p99"}


def test_a_row_without_traits_is_refused(served: World) -> None:
    release = served.candidate()
    golden = golden_rows(served.snapshot)
    short = evaluate.GoldenRows(
        golden.snapshot, golden.dataset_version, golden.rows, golden.nearness, golden.traits.head(10)
    )
    with pytest.raises(InputError):
        evaluate.evaluate(served.desk, "router", release, EQUAL, short, reason=WHY)


def test_measuring_the_same_twice_is_one_attempt(served: World) -> None:
    release = served.candidate()
    golden = golden_rows(served.snapshot)
    for _ in range(2):
        evaluate.evaluate(served.desk, "router", release, EQUAL, golden, reason=WHY)
    evidence = state(served.desk, "router").releases[release].evidence
    assert [ref.attempt for ref in evidence if ref.kind == EvidenceKind.EVALUATION] == [1]


def test_the_golden_set_counts_whom_it_has_judged(served: World) -> None:
    served.run(Rigged("worse", 0.4))
    release = served.candidate()
    found = evaluate.evaluate(served.desk, "router", release, EQUAL, golden_rows(served.snapshot), reason=WHY)
    assert found.facts["golden_judgements"] == 3


def test_one_wrong_answer_among_critical_examples_is_refused(served: World) -> None:
    examples = pl.DataFrame({"text": ["escalation now please"], "label": ["escalation"]})
    wrong = Rigged("forgets", 0.02, fixed={"escalation now please": "faq"})
    pair = evaluate.Pair(Rigged("champion", 0.1), wrong)
    release = served.candidate()
    served.measure_offline(release, pair, examples)
    judged = judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    assert judged is not None
    assert judged.outcome == Outcome.REJECT


def test_critical_examples_that_are_answered_rightly_let_the_release_pass(served: World) -> None:
    examples = pl.DataFrame({"text": ["escalation now please"], "label": ["escalation"]})
    pair = evaluate.Pair(
        Rigged("champion", 0.1), Rigged("fine", 0.02, fixed={"escalation now please": "escalation"})
    )
    release = served.candidate()
    served.measure_offline(release, pair, examples)
    assert judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY) is None
    assert state(served.desk, "router").releases[release].state == State.CHALLENGER


def test_critical_examples_are_read_and_a_broken_line_is_named(served: World, tmp_path) -> None:
    spec = served.desk.stack.models["intent-classifier"]
    assert critical_examples(spec) is None
    file = tmp_path / "examples.jsonl"
    file.write_text('{"text": "get me a person", "label": "escalation"}\n\n')
    named = spec.model_copy(update={"critical_examples": "examples.jsonl"})
    assert critical_examples(named, tmp_path).rows() == [("get me a person", "escalation")]
    file.write_text('{"text": "get me a person"}\n')
    with pytest.raises(InputError) as caught:
        critical_examples(named, tmp_path)
    assert "line 1" in caught.value.found


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85"])
def test_a_critical_example_may_hold_any_sign_of_a_line_end_but_its_own(tmp_path, inside: str) -> None:
    text = f"get me{inside}a person"
    written = json.dumps({"text": text, "label": "escalation"}, ensure_ascii=False)
    file = tmp_path / "examples.jsonl"
    file.write_bytes(f"\ufeff{written}\r\n\n{written}".encode())
    named = MODEL.model_copy(update={"critical_examples": str(file)})
    assert critical_examples(named).rows() == [(text, "escalation")] * 2


@pytest.mark.parametrize(
    "line", ['{"text": "call mei, please', '["call mei, please"]', '{"text": "call mei, please", "label": 3}']
)
def test_a_refused_critical_example_is_named_by_its_line_alone(tmp_path, line: str) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text('{"text": "get me a person", "label": "escalation"}\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        critical_examples(MODEL.model_copy(update={"critical_examples": str(file)}))
    assert "line 2" in caught.value.message
    assert "critical examples" in caught.value.message
    assert "mei" not in caught.value.message


def shadowed(world: World, pair: evaluate.Pair, **options: object):
    release = world.candidate()
    return shadow.replay(world.desk, "router", release, pair, world.traffic, reason=WHY, **options)


def test_a_replay_keeps_both_answers_side_by_side_in_order_of_time(served: World) -> None:
    found = shadowed(served, evaluate.Pair(Rigged("champion", 0.1), Rigged("other", 0.1, "other")))
    table = found.tables["answers"]
    assert table["seq"].to_list() == list(range(400))
    assert table["request_id"].to_list() == sorted(table["request_id"].to_list())
    differs = (table["baseline_label"] != table["release_label"]).sum()
    assert differs == table["disagrees"].sum() == found.facts["disagreements"]
    assert found.facts["control_disagreements"] == 0
    assert found.facts["hours"] == pytest.approx(399 / 60)


def test_a_baseline_that_contradicts_itself_shows_in_the_control(served: World) -> None:
    class Moody(Rigged):
        """Answers differently every second time."""

        turns = itertools.count()

        def answer(self, text: str) -> Answer:
            return Answer("faq" if next(self.turns) % 3 else "promotion", 0.9, Action.ROUTE)

    found = shadowed(served, evaluate.Pair(Moody("moody"), Rigged("other")))
    assert found.facts["control_disagreements"] > 0


def test_a_share_mirrors_the_same_requests_each_time(served: World) -> None:
    window = shadow.ordered(served.traffic.rows)
    first, second = shadow.sample(window, 0.5), shadow.sample(window, 0.5)
    assert first.equals(second)
    assert 150 < first.height < 250
    found = shadowed(served, EQUAL, share=0.5)
    assert found.facts["requests"] == first.height


def test_a_small_share_of_traffic_is_covered_as_well_as_all_of_it(tmp_path) -> None:
    """Coverage is of the mirrored requests: what a unit does not mirror, it does not lack."""
    gates = GATE_LIST.replace("review_over: 0.02", "review_over: 0.9, min_requests: 50")
    world = make_world(tmp_path, gates)
    world.bootstrapped()
    release = world.candidate()
    world.measure_offline(release, EQUAL)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    found = shadow.replay(world.desk, "router", release, EQUAL, world.traffic, reason=WHY, share=0.5)
    assert found.facts["coverage"] == 1.0
    findings = world.judged(release).decision.findings
    assert [one.verdict for one in findings if one.gate == "disagreement"] == [Verdict.PASS]


def test_traffic_without_a_column_or_with_a_doubled_request_is_refused() -> None:
    rows = make_traffic(10).rows
    for bad in (rows.drop("group"), pl.concat([rows, rows.head(1)])):
        with pytest.raises(InputError):
            shadow.ordered(bad)
    assert shadow.ordered(rows).height == 10


def test_a_champion_that_does_not_verify_is_no_rollback_pointer(served: World) -> None:
    release = served.candidate()
    parts = checks.record_parts(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    assert parts.facts["parts"]["rollback_pointer"] == "router-1"
    assert parts.facts["parts"]["latency_report"] is None
    artifact = state(served.desk, "router").models["intent-classifier@v1"].artifact
    (served.desk.artifacts.open(artifact) / "model.onnx").chmod(0o644)
    (served.desk.artifacts.open(artifact) / "model.onnx").write_text("tampered")
    parts = checks.record_parts(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    assert parts.facts["parts"]["rollback_pointer"] is None
