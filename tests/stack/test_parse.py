"""stack.yaml is read strictly: what is right is understood, every mistake is told with its line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from mangaops.errors import StackError
from mangaops.gates import GATES
from mangaops.metrics import METRICS
from mangaops.pipeline.first_stack import beside_init
from mangaops.registry import drafts
from mangaops.stack import Stack, differences, parse
from mangaops.stack.specs import IndexParameters, Strict, UnitSpec
from mangaops.training import PARAMETERS
from mangaops.vocabulary import Because, Family
from mangaops.wiring import parse_stack

ROOT = Path(__file__).parents[2]
INIT = ROOT / "src" / "mangaops" / "pipeline" / "templates" / "stack.yaml"
QUICKSTART = ROOT / "examples" / "quickstart" / "stack.yaml"


class Training(Strict):
    epochs: int = 3
    learning_rate: float = 1e-4
    batch: int = 32
    loss: str = "cross_entropy"
    class_weights: str = "none"
    frozen_layers: int = 0
    threads: int = 1


def read(text: str | bytes) -> Stack:
    families = ("intent-classifier", "embedding-adapter", "cross-encoder-reranker")
    return parse(
        text,
        gates={name: gate.params for name, gate in GATES.items()},
        metrics=METRICS,
        families=dict.fromkeys(families, Training),
    )


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(StackError) as refused:
        read(text)
    return list(refused.value.mistakes)


SMALL = """\
stack: shop
data:
  logs:
    labels: [yes, no, 2026-04-20]
    splits: {train: 0.8, validation: 0.1, golden: 0.1}
models:
  intents: {family: intent-classifier, base: minilm-l6, data: logs, critical: [yes], training: {epochs: 2}}
units:
  router:
    models: [intents]
    cadence: {cron: "0 3 * * 5", timezone: Asia/Tokyo}
    gates:
      - {gate: non_inferior, metric: accuracy, on: golden, margin: 0.002}
      - {gate: leakage, dry_run: true}
"""


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def test_a_small_stack_is_understood() -> None:
    stack = read(SMALL)
    assert stack.simulated is False
    assert stack.models["intents"].training == Training(epochs=2)
    first, second = stack.units["router"].gates
    assert (first.gate, first.line, first.dry_run) == ("non_inferior", 13, False)
    assert first.params.model_dump()["margin"] == 0.002
    assert second.dry_run
    assert stack.units["router"].looks == 3


SEARCH = SMALL.replace(
    "models:\n",
    """\
  shop: {kind: search, catalogue: {item_id: doc}, golden: {queries: 200}, relevant_from: 2}
models:
  adapter: {family: embedding-adapter, base: minilm-l6, data: shop}
""",
)


def test_a_dataset_may_be_of_what_people_searched_for() -> None:
    stack = read(SEARCH)
    assert list(stack.data) == ["logs"]
    shop = stack.search_data["shop"]
    assert (shop.catalogue, shop.golden.queries, shop.relevant_from) == ({"item_id": "doc"}, 200, 2)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("units:\n", "simulated: null\nunits:\n", "simulated: must be true or false; found null"),
        ("dry_run: true", "dry_run: null", "dry_run must be true or false; found null"),
        ("dry_run: true", "dry_run: 'true'", "dry_run must be true or false; found 'true'"),
        ("margin: 0.002", "margin: null", "margin: must be a number; found null"),
        ("margin: 0.002", "margin: .inf", "found .inf"),
        ("margin: 0.002", "margin: -.inf", "found -.inf"),
        ("margin: 0.002", "margin: .nan", "found .nan"),
        ("metric: accuracy", "metric: true", "metric: must be a text; found true"),
        ("gates:\n", "gates: null\n    other:\n", "gates: must be a list of rules; found null"),
        ("stack: shop", "stack: null", "stack: the name of the stack is missing; found null"),
        ("stack: shop\n", "", "stack: the name of the stack is missing; found nothing"),
    ],
)
def test_a_value_is_told_as_yaml_spells_it(old: str, new: str, says: str) -> None:
    told = mistakes(changed(old, new))
    assert any(says in each for each in told), told


@pytest.mark.parametrize(("left", "found"), [("data: null\n", "null"), ("", "nothing")])
def test_a_section_that_is_null_is_told_apart_from_one_that_is_not_there(left: str, found: str) -> None:
    head, _, rest = SMALL.partition("data:\n")
    told = mistakes(head + left + rest[rest.index("models:") :])
    assert any(f"data: at least one entry is needed; found {found}" in each for each in told), told


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "kind: search",
            "kind: [search]",
            "kind must be a text; found a list of 1; known are labels, search",
        ),
        ("kind: search", "kind: null", "kind must be a text; found null; known are labels, search"),
        ("kind: search", "kind: serach", "kind 'serach' is unknown; did you mean 'search'?"),
        ("item_id: doc", "item: doc", "data.shop.catalogue.item"),
        (
            "data: shop}",
            "data: logs}",
            "embedding-adapter learns from data of kind: search, and 'logs' is not",
        ),
        ("data: logs, critical: [yes]", "data: shop", "learns from data of kind: labels, and 'shop' is not"),
        ("relevant_from: 2", "labels: [yes]", "unknown key 'labels' in data.shop"),
        ("relevant_from: 2", "splits: {train: 0.9}", "the shares sum to 1.2"),
        ("queries: 200", "queries: 2000", "data.shop.golden.queries"),
    ],
)
def test_a_mistake_in_search_data_is_told(old: str, new: str, says: str) -> None:
    assert old in SEARCH
    told = mistakes(SEARCH.replace(old, new))
    assert any(says in each for each in told), told


def uncommented(text: str) -> str:
    return re.sub("^# (?=  )", "", text, flags=re.MULTILINE)


def test_the_search_unit_of_the_template_is_complete_once_it_is_uncommented() -> None:
    written = INIT.read_text(encoding="utf-8")
    before, after = (parse_stack(text) for text in (written, uncommented(written)))
    assert (before.search_data, list(before.units)) == ({}, ["router"])
    assert before.units["router"] == replaced_lines(after.units["router"], before.units["router"])
    assert after.data == before.data
    retrieval = after.units["retrieval"]
    families = [after.models[name].family for name in retrieval.models]
    assert families == [Family.EMBEDDING_ADAPTER, Family.CROSS_ENCODER_RERANKER]
    assert {after.models[name].data for name in retrieval.models} == {"shop"}
    assert after.search_data["shop"].relevant_from == 2
    assert "pair" in [rule.gate for rule in retrieval.gates]
    assert "release_record" in [rule.gate for rule in retrieval.bootstrap]


COMPARING = {"non_inferior", "no_increase", "no_critical_regression", "pair"}


@pytest.mark.parametrize("place", [INIT, *sorted(ROOT.glob("examples/*/*.yaml"))], ids=str)
def test_a_bootstrap_list_that_a_first_user_meets_compares_with_the_plain_baseline(place: Path) -> None:
    """Beside its absolute values: what is told as judged against a baseline is."""
    units = parse_stack(uncommented(place.read_text(encoding="utf-8"))).units
    for unit in units.values():
        counted = {rule.gate for rule in unit.bootstrap if not rule.dry_run}
        assert "at_least" in counted
        assert counted & COMPARING


def test_the_search_unit_of_the_template_says_the_defaults_that_it_shows() -> None:
    shown = parse_stack(uncommented(INIT.read_text(encoding="utf-8")))
    for name in ("embedding-adapter", "reranker"):
        training = shown.models[name].training
        assert training == type(training)()


def replaced_lines(unit: UnitSpec, like: UnitSpec) -> UnitSpec:
    """The unit with the line numbers of another, where rules stand in the file."""
    lists = {
        name: tuple(
            replace(rule, line=other.line)
            for rule, other in zip(getattr(unit, name), getattr(like, name), strict=True)
        )
        for name in ("bootstrap", "gates")
    }
    return unit.model_copy(update=lists)


def test_words_stay_words() -> None:
    """YAML 1.1 reads yes, no, on and dates as something else; labels and keys are words here."""
    assert read(SMALL).data["logs"].labels == ("yes", "no", "2026-04-20")


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    assert read(b"\xef\xbb\xbf" + SMALL.encode()).stack == "shop"


def test_anchors_are_allowed() -> None:
    text = changed("labels: [yes", "jargon: &words [otaku]\n    labels: [yes").replace(
        "units:", "  more: {family: intent-classifier, base: x, data: logs, critical: []}\nunits:"
    )
    assert read(text).data["logs"].jargon == ("otaku",)


def test_five_mistakes_are_told_at_once_in_the_order_of_lines() -> None:
    text = (
        changed("golden: 0.1}", "golden: 0.2}")
        .replace("family: intent-classifier", "family: intent-clasifier")
        .replace("Asia/Tokyo", "Asia/Tokio")
        .replace("metric: accuracy", "metric: acuracy")
        .replace("gate: leakage", "gate: leekage")
    )
    found = mistakes(text)
    lines = [int(each.split(":")[0].removeprefix("line ")) for each in found]
    assert lines == sorted(lines) == [5, 7, 11, 13, 14]
    words = ("1.1", "intent-classifier", "Asia/Tokio", "accuracy", "leakage")
    assert [word in each for word, each in zip(words, found, strict=True)] == [True] * 5


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("stack: shop", "stack: shop\nsimulate: true", 2, "did you mean 'simulated'"),
        ("stack: shop", "stack: shop\nsimulated: yes", 2, "true or false"),
        ("stack: shop", "stack: 5", 1, "name of the stack"),
        ("  logs:", "  Intent-Data:", 3, "'Intent-Data' is no name for the ledger"),
        ("  logs:", "  .logs:", 3, "the first a letter or digit, as in 'logs'"),
        ("  logs:", "  データ:", 3, "lower-case letters of English"),
        ("  router:", "  My Router:", 9, "units: 'My Router' is no name for the ledger"),
        ("  router:", "  My Router:", 9, "as in 'my-router'"),
        ("  router:", "  data/router:", 9, "as in 'data-router'"),
        ("  router:", "  stack:", 9, "a stream of the ledger already"),
        ("labels: [yes,", "labels: [yes, unclear,", 4, "'unclear' cannot be a label: a reviewer writes"),
        ("labels: [yes,", "labels: [yes, Neither,", 4, "'Neither' cannot be a label"),
        ("labels: [yes,", "labels: [\n      yes,\n      b,", 6, "A, B, neither, unclear for something else"),
        ("golden: 0.1}", "golden: 0.2}", 5, "sum to 1.1"),
        ("train: 0.8", "tain: 0.8", 5, "did you mean 'train'"),
        ("critical: [yes]", "critical: [yess]", 7, "did you mean 'yes'"),
        ("critical: [yes]", "critical: [yes, yes]", 7, "twice"),
        ("critical: [yes]", "critical: [yes], harm: {yes: {maybe: 3}}", 7, "unknown label 'maybe'"),
        ("critical: [yes]", "critical: [yes], harm: {yes: {no: -3}}", 7, "greater than or equal to 0"),
        ("critical: [yes]", "critical: [yes], actions: {offer_human: [maybe]}", 7, "unknown label 'maybe'"),
        ("data: logs", "data: log", 7, "did you mean 'logs'"),
        ("base: minilm-l6, ", "", 7, "'base' is missing"),
        ("epochs: 2", "epocs: 2", 7, "did you mean 'epochs'"),
        ("models: [intents]", "models: [intent]", 10, "did you mean 'intents'"),
        ("models: [intents]", "models: []", 10, "at least 1"),
        ("0 3 * * 5", "0 3 * *", 11, "five fields"),
        ("0 3 * * 5", "99 3 * * 5", 11, "no cron line"),
        ("Asia/Tokyo", "../../etc/passwd", 11, "unknown time zone"),
        ("margin: 0.002", "margn: 0.002", 13, "did you mean 'margin'"),
        ("margin: 0.002", "margin: -1", 13, "greater than or equal to 0"),
        ("margin: 0.002", "margin: .nan", 13, "finite"),
        ("margin: 0.002", "margin: two", 13, "must be a number; found 'two'"),
        ("margin: 0.002", "margin: 0.002, confidence: 0.3", 13, "0.5"),
        ("margin: 0.002", "margin: 0.002, confidence: 1", 13, "less than 1"),
        ("margin: 0.002", "margin: 0.002, margin: 0.003", 13, "stands twice"),
        ("on: golden", "on: goldn", 13, "'golden' or 'shadow_review'"),
        ("  router:\n", "  router:\n    shadow: {rate: 0}\n", 10, "greater than 0"),
        ("  router:\n", "  router:\n    log: {text: masked}\n", 10, "'keep', 'mask' or 'hash'"),
        ("metric: accuracy", "metric: ndcg", 13, "did you mean 'ndcg@k'"),
        (
            "metric: accuracy, on: golden",
            "metric: accuracy, on: search",
            13,
            "measured on golden, not on search",
        ),
        ("metric: accuracy, on: golden", "metric: ndcg@10, on: search", 13, "needs unjudged"),
        ("metric: accuracy, on: golden", "metric: ndcg@k, on: search", 13, "as in ndcg@10"),
        ("on: golden", "on: golden, unjudged: left_out", 13, "takes no unjudged"),
        ("gate: leakage", "gate: [leakage]", 14, "gates[1]: gate must be a text; found a list of 1; known"),
        ("{gate: leakage, dry_run: true}", "leakage", 14, "a mapping with a key gate; found a text"),
        (
            "gate: leakage",
            "gat: leakage",
            14,
            "key 'gat' in units.router.gates[1]; did you mean 'gate'",
        ),
        ("gate: leakage", "gat: leakage", 14, "gates[1]: gate is missing; known are added_latency, at_least"),
        ("gate: leakage", "gate: leekage, margn: 1", 14, "unknown key 'margn'"),
        ("dry_run: true", "dry_rnu: true", 14, "did you mean 'dry_run'"),
        ("labels: [yes", "kind: serch\n    lables: [yes", 5, "did you mean 'labels'"),
        ("dry_run: true", "dry_run: maybe", 14, "true or false"),
    ],
)
def test_a_mistake_names_its_line_and_what_would_be_accepted(
    old: str, new: str, line: int, says: str
) -> None:
    found = mistakes(changed(old, new))
    assert any(each.startswith(f"line {line}: ") and says in each for each in found), found


@pytest.mark.parametrize("name", ["router", "router-2", "r.o_u-ter", "7", "data", "stack-a"])
def test_every_unit_and_dataset_that_is_read_has_a_stream_in_the_ledger(name: str) -> None:
    text = changed("  router:", f"  {name}:").replace("  logs:", f"  {name}:")
    stack = read(text.replace("data: logs", f'data: "{name}"'))
    for stream in (*stack.units, *(f"data/{data}" for data in stack.data)):
        drafts.run_requested(stream, run="r", because=Because.MANUAL, reason="due", actor="mei")


def test_names_are_refused_beside_other_mistakes() -> None:
    text = changed("  router:", "  My Router:").replace("  logs:", "  Intent-Data:")
    told = mistakes(text.replace("margin: 0.002", "margin: -1").replace("data: logs", "data: Intent-Data"))
    assert [each.split(":")[0] for each in told] == ["line 3", "line 9", "line 13"]


def test_a_label_may_hold_a_word_of_the_review() -> None:
    text = changed("labels: [yes,", "labels: [yes, unclear_request, ab,")
    assert read(text).data["logs"].labels[1:3] == ("unclear_request", "ab")


def test_mistakes_of_the_whole_are_told_beside_unknown_keys() -> None:
    text = SMALL.replace("critical: [yes]", "critical: [yse], bse: x")
    text = text.replace("golden: 0.1}", "golden: 0.2}\n    golde: {rows: 5}")
    text = text.replace("Asia/Tokyo}", "Asia/Tokio, zone: here}")
    told = "\n".join(mistakes(text))
    for says in ("'golde'", "sum to 1.1", "'bse'", "'yse'", "'zone'", "Asia/Tokio"):
        assert says in told


@pytest.mark.parametrize(
    "gate",
    ["gate: disagreement, review_over: 0.1", "gate: non_inferior, metric: accuracy, on: shadow_review"],
)
def test_hashed_texts_and_a_gate_that_needs_a_review_are_refused(gate: str) -> None:
    text = changed("  router:\n", "  router:\n    log: {text: hash}\n").replace("gate: leakage", gate)
    margin = ", margin: 0.1" if "metric" in gate else ""
    (said,) = mistakes(text.replace(", dry_run", f"{margin}, dry_run"))
    assert said.startswith("line 10: units.router.log.text: hash leaves people nothing to review, and ")
    assert "(gates[1]) needs a review" in said


@pytest.mark.parametrize("kept", ["keep", "mask", "hash"])
def test_texts_may_be_hashed_where_nobody_reviews_them(kept: str) -> None:
    stack = read(changed("  router:\n", f"  router:\n    log: {{text: {kept}}}\n"))
    assert stack.units["router"].log.text == kept


def test_a_unit_without_gates_is_refused() -> None:
    text = SMALL[: SMALL.index("    gates:")]
    assert any("without a gate nothing can be promoted" in each for each in mistakes(text))


def test_a_label_of_a_rule_must_be_a_label_of_the_data() -> None:
    rule = "{gate: no_critical_regression, labels: [maybe], margin: 0.1}"
    assert any(
        "unknown label 'maybe'" in each for each in mistakes(changed("{gate: leakage, dry_run: true}", rule))
    )
    from_logs = changed("{gate: leakage, dry_run: true}", rule).replace(
        "labels: [yes, no, 2026-04-20]", "labels: from_logs"
    )
    assert read(from_logs).data["logs"].labels == "from_logs"


RULE = "gate: non_inferior, metric: accuracy, on: golden, margin: 0.002"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            "gat: accuracy, metric: acuracy, dry_run: maybe",
            ("dry_run must be true", "gate is missing", "gates[0]; did you mean 'gate'", "metric 'acuracy'"),
        ),
        (
            "gat: non_inferior, metric: accuracy, on: goldn, margin: -1",
            ("gate is missing", "margin: must be greater", "on: must be 'search'", "'gat'"),
        ),
        (
            "gate: non_inferor, metric: acuracy, margin: -1, marg: 2",
            ("unknown gate 'non_inferor'", "metric 'acuracy'", "margin: must be greater", "'marg'"),
        ),
    ],
)
def test_every_mistake_of_a_rule_is_told_at_once(wrong: str, says: tuple[str, ...]) -> None:
    found = mistakes(changed(RULE, wrong))
    assert {each.split(":")[0] for each in found} == {"line 13"}
    assert sorted(words for words in says if any(words in each for each in found)) == sorted(says)
    assert len(found) == len(says)


def test_a_key_of_another_gate_is_no_key_where_the_gate_is_known_and_is_one_where_it_is_not() -> None:
    known = mistakes(changed("gate: leakage, dry_run: true", "gate: leakage, below_ms: 5"))
    assert [each for each in known if "unknown key 'below_ms'" in each] == known
    (unknown,) = mistakes(changed("gate: leakage, dry_run: true", "gate: zzz, below_ms: 5"))
    assert unknown.startswith("line 14: units.router.gates[1]: unknown gate 'zzz'; known are ")


def test_a_doubled_key_names_both_lines() -> None:
    assert (
        mistakes(SMALL + "stack: twice\n")[-1]
        == "line 15: key 'stack' stands twice in the top level (first in line 1)"
    )


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff\xfe\x00\x01", "not UTF-8"),
        (b"stack: caf\xe9\n", "line 1: this is not UTF-8"),
        ("\x00\x01\x02", "no text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "not UTF-8"),
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("a: [1, 2", "not YAML"),
        ("a: b: c", "not YAML"),
        ("a: *nowhere", "not YAML"),
        ("x: 1\n---\ny: 2\n", "another document"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 5000, "nested more than"),
        ("a: " + "{b: " * 500, "nested more than"),
        (BOMB, "unfold to more than"),
        ("a" * 1_000_001, "at most 1,000,000"),
        ("- stack\n", "a list"),
        ("just words\n", "a text"),
        ("!!python/object/apply:os.system [echo]\n", "not accepted"),
        ("stack: !!python/name:os.system x\n", "not accepted"),
        ("stack: !!binary aGVsbG8=\n", "not accepted"),
        ("? [a, b]\n: 1\n", "no word"),
        ("data: 4\nmodels: {}\nunits: [1]\n", "at least one entry"),
        ("9" * 500 + ": 1", "unknown key"),
    ],
)
def test_what_is_no_stack_is_refused_plainly(text: str | bytes, says: str) -> None:
    assert any(says in each for each in mistakes(text))


@pytest.mark.parametrize(("written", "value"), [("2e-4", 2e-4), (".5", 0.5), ("+1", 1.0), ("010", 10.0)])
def test_numbers_are_those_of_yaml_1_2(written: str, value: float) -> None:
    params = read(changed("margin: 0.002", f"margin: {written}")).units["router"].gates[0].params
    assert params.model_dump()["margin"] == value


def test_a_large_number_is_no_trouble() -> None:
    assert mistakes(changed("margin: 0.002", f"margin: {'9' * 5000}"))


def test_the_file_that_init_writes_is_right() -> None:
    stack = read(INIT.read_text())
    assert [rule.gate for rule in stack.units["router"].gates] == [
        "release_record",
        "leakage",
        "fingerprint",
        "non_inferior",
        "no_critical_regression",
        "non_inferior",
        "no_increase",
        "latency",
        "disagreement",
        "non_inferior",
    ]
    assert len(stack.data["intent-data"].labels) == 10
    assert not stack.simulated
    assert stack.units["router"].bootstrap


def test_in_the_file_that_init_writes_an_ignored_request_for_a_human_costs_most() -> None:
    model = read(INIT.read_text()).models["intent-classifier"]
    labels = read(INIT.read_text()).data["intent-data"].labels
    cost = {
        (truth, answer): model.cost(truth, answer) for truth in labels for answer in labels if truth != answer
    }
    assert max(cost, key=lambda pair: cost[pair])[0] == "escalation"
    assert min(cost.values()) == cost["product_discovery", "recommendation"]


@pytest.mark.parametrize("number", range(len(INIT.read_text().splitlines())))
def test_every_key_that_init_writes_is_commented(number: int) -> None:
    """A comment beside the line, or above the block that it stands in."""
    lines = INIT.read_text().splitlines()
    indent = len(lines[number]) - len(lines[number].lstrip())
    above = [line for line in lines[:number] if line.strip() and len(line) - len(line.lstrip()) <= indent]
    assert not lines[number].strip() or "#" in lines[number] or any("#" in line for line in above)


def test_the_quickstart_says_why_it_differs_from_init() -> None:
    found = differences(INIT.read_text(), QUICKSTART.read_text())
    assert read(QUICKSTART.read_text()).simulated
    assert found
    assert [each.where for each in found if not each.because] == []
    simulated = next(each for each in found if each.where == "simulated")
    assert (simulated.init, simulated.here, simulated.line) == ("False", "True", 4)


def test_the_quickstart_counts_what_it_sets_otherwise_in_a_line() -> None:
    count = len(differences(INIT.read_text(), QUICKSTART.read_text()))
    told = beside_init(QUICKSTART.read_text())
    assert told.startswith(f"sets {count} values otherwise than `mangaops init` writes; ")
    assert "\n" not in told
    assert beside_init(INIT.read_text()) == "says what `mangaops init` writes"


def test_a_difference_without_a_reason_is_seen() -> None:
    text = INIT.read_text().replace("looks: 3 ", "looks: 5 ")
    (only,) = differences(INIT.read_text(), text)
    assert (only.where, only.init, only.here, only.because) == ("units.router.looks", "3", "5", "")
    assert differences(INIT.read_text(), INIT.read_text()) == []


def test_a_rule_that_the_example_lacks_is_a_difference() -> None:
    text = INIT.read_text().replace("      - {gate: disagreement, review_over: 0.05}\n", "")
    assert {each.here for each in differences(INIT.read_text(), text)} == {"nothing"}


LISTS = """\
      - {gate: pair, metric: ndcg@10, margin: 0.01, unjudged: irrelevant, min_judged: 0.9}
      - {gate: non_inferior, metric: recall@3, on: adapter, margin: 0.01, unjudged: left_out, min_judged: 0.8}
      - {gate: no_increase, metric: bad_top1, on: search, margin: 0.0, unjudged: irrelevant, min_judged: 0.9}
      - {gate: at_least, metric: coverage@10, on: search, value: 0.5}
"""


PAIRED = (
    """\
stack: shop
data:
  logs: {labels: [yes, no]}
  shop: {kind: search}
  other: {kind: search}
models:
  intents: {family: intent-classifier, base: minilm-l6, data: logs}
  adapter: {family: embedding-adapter, base: minilm-l6, data: shop}
  reranker: {family: cross-encoder-reranker, base: minilm-l6, data: shop}
units:
  retrieval:
    models: [adapter, reranker]
    bootstrap:
      - {gate: index_recall, at_least: 0.98}
    gates:
"""
    + LISTS
)
PAIR = LISTS.splitlines(keepends=True)[0]


def test_rules_on_lists_are_understood() -> None:
    stack = read(PAIRED)
    rules = stack.units["retrieval"].gates
    assert [rule.params.model_dump()["metric"] for rule in rules] == [
        "ndcg@10",
        "recall@3",
        "bad_top1",
        "coverage@10",
    ]
    assert rules[1].as_dict()["unjudged"] == "left_out"
    assert stack.ranks("retrieval")
    assert not read(SMALL).ranks("router")
    assert stack.dataset("shop") is stack.search_data["shop"]
    assert stack.dataset("logs") is stack.data["logs"]


def test_a_pair_is_judged_as_one_or_dry_run() -> None:
    dry = PAIR.replace("min_judged: 0.9}", "min_judged: 0.9, dry_run: true}")
    assert read(PAIRED.replace(PAIR, dry)).units["retrieval"].gates[0].dry_run
    without = PAIRED.replace(PAIR, "")
    assert mistakes(without) == [
        "line 15: units.retrieval.gates: adapter and reranker are released as a pair, and no rule judges it; "
        "add gate: pair (with dry_run: true it counts nothing)"
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("gate: pair,", "gate: pairs,", "unknown gate 'pairs'; did you mean 'pair'?"),
        (
            "gate: pair, metric: ndcg@10, margin: 0.01,",
            "gate: pair, metric: ndcg@10,",
            "the key 'margin' is missing",
        ),
        ("gate: pair, metric: ndcg@10, ", "gate: pair, metric: ndgc@10, ", "unknown metric 'ndgc@10'"),
    ],
)
def test_a_rule_that_is_refused_is_not_told_to_be_absent_too(old: str, new: str, says: str) -> None:
    (told,) = mistakes(PAIRED.replace(old, new, 1))
    assert told.startswith("line 16: units.retrieval.gates[0]: ")
    assert says in told


@pytest.mark.parametrize("family", ["embedding-adapter", "cross-encoder-reranker"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("critical", "[escalation]"),
        ("rare_under", "0.1"),
        ("harm", '{"*": {"*": 2}}'),
        ("actions", "{clarify_below: 0.4}"),
        ("critical_examples", "examples.jsonl"),
    ],
)
def test_a_model_that_answers_with_lists_is_told_nothing_of_labels(family: str, key: str, value: str) -> None:
    wrong = PAIRED.replace(f"family: {family}, base", f"family: {family}, {key}: {value}, base")
    name = "adapter" if family == "embedding-adapter" else "reranker"
    (told,) = mistakes(wrong)
    assert (
        f": models.{name}.{key}: {family} answers with no label that it could be about; take it away" in told
    )
    assert told.endswith("the model takes family, base, data, training")


def test_a_model_that_answers_with_labels_may_be_told_all_of_them() -> None:
    told = 'critical: [yes], rare_under: 0.1, harm: {"*": {"*": 2}}, actions: {clarify_below: 0.4}, base'
    intents = read(PAIRED.replace("intent-classifier, base", f"intent-classifier, {told}")).models["intents"]
    assert (intents.critical, intents.rare_under) == (("yes",), 0.1)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (
            "[adapter, reranker]",
            "[adapter]",
            12,
            "a unit that searches has exactly these models, in this order: embedding-adapter and "
            "cross-encoder-reranker; found embedding-adapter",
        ),
        ("[adapter, reranker]", "[reranker, adapter]", 12, "in this order"),
        ("[adapter, reranker]", "[reranker]", 12, "found cross-encoder-reranker"),
        ("[adapter, reranker]", "[adapter, reranker, intents]", 12, "exactly these models"),
        (
            "cross-encoder-reranker, base: minilm-l6, data: shop",
            "cross-encoder-reranker, base: minilm-l6, data: other",
            12,
            "both models of a pair learn from the same data; found adapter from shop, reranker from other",
        ),
        (
            "{gate: index_recall, at_least: 0.98}",
            "{gate: at_least, metric: accuracy, value: 0.5}",
            14,
            "units.retrieval.bootstrap[0]: at_least of accuracy on golden judges answers with labels, and "
            "this unit answers with lists",
        ),
        (
            "{gate: at_least, metric: coverage@10, on: search, value: 0.5}",
            "{gate: non_inferior, metric: accuracy, on: shadow_review, margin: 0.1}",
            19,
            "judges answers with labels, and this unit answers with lists; its rules "
            "are on adapter, reranker, search, or of preference on shadow_review",
        ),
        (
            "{gate: at_least, metric: coverage@10, on: search, value: 0.5}",
            "{gate: no_critical_regression, labels: [yes], margin: 0.1}",
            19,
            "units.retrieval.gates[3]: no_critical_regression judges answers with labels",
        ),
    ],
)
def test_a_unit_that_searches_is_a_pair_that_is_judged_by_lists(
    old: str, new: str, line: int, says: str
) -> None:
    assert old in PAIRED
    told = mistakes(PAIRED.replace(old, new, 1))
    assert any(each.startswith(f"line {line}: units.retrieval") and says in each for each in told), told


INDEX = "models: [adapter, reranker]\n    index: {%s}"


def test_the_index_of_a_unit_that_searches_is_set_or_that_of_the_defaults() -> None:
    assert read(PAIRED).units["retrieval"].index == IndexParameters()
    told = PAIRED.replace("models: [adapter, reranker]", INDEX % "exact_up_to: 1000, probe: 8")
    assert read(told).units["retrieval"].index == IndexParameters(exact_up_to=1000, probe=8)


def test_every_mistake_in_an_index_is_told_with_its_line() -> None:
    wrong = INDEX % "exact_up_to: 0, lists: few, probes: 8, oversample: .inf"
    assert [
        each.split(";")[0] for each in mistakes(PAIRED.replace("models: [adapter, reranker]", wrong))
    ] == [
        "line 13: units.retrieval.index.exact_up_to: must be greater than or equal to 1",
        "line 13: units.retrieval.index.lists: must be a whole number",
        "line 13: units.retrieval.index.oversample: must be a finite number",
        "line 13: unknown key 'probes' in units.retrieval.index",
    ]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("index: {probe: true}", "units.retrieval.index.probe: must be a whole number"),
        ("index: {lists: true}", "units.retrieval.index.lists: must be a whole number"),
        ("index: {oversample: true}", "units.retrieval.index.oversample: must be a number"),
        ("index: {oversample: .nan}", "units.retrieval.index.oversample: must be a finite number"),
        ("looks: true", "units.retrieval.looks: must be a whole number"),
        ("pin_seconds: false", "units.retrieval.pin_seconds: must be a number"),
    ],
)
def test_what_is_no_number_is_not_taken_for_one(place: str, says: str) -> None:
    told = mistakes(
        PAIRED.replace("models: [adapter, reranker]", f"models: [adapter, reranker]\n    {place}")
    )
    assert [each.split(";")[0] for each in told] == [f"line 13: {says}"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("margin: 0.002", "margin: true", "line 13: units.router.gates[0].margin: must be a number"),
        ("epochs: 2", "epochs: true", "line 7: models.intents.training.epochs: must be a whole number"),
        (
            "critical: [yes]",
            'critical: [yes], harm: {"*": {yes: true}}',
            "line 7: models.intents.harm.*.yes: must be a number",
        ),
    ],
)
def test_a_switch_is_no_number_wherever_it_stands(old: str, new: str, says: str) -> None:
    assert [each.split(";")[0] for each in mistakes(changed(old, new))] == [says]


def test_a_switch_is_taken_where_one_is_asked_for() -> None:
    told = changed("    labels: [yes", "    mask_personal_data: true\n    labels: [yes")
    assert read(told).data["logs"].mask_personal_data is True


@pytest.mark.parametrize("family", PARAMETERS)
def test_the_training_of_every_family_takes_no_switch_for_a_number(family: Family) -> None:
    for name, known in PARAMETERS[family].model_fields.items():
        if known.annotation in (int, float):
            with pytest.raises(ValidationError):
                PARAMETERS[family].model_validate({name: True})


def test_a_unit_of_labels_has_no_index() -> None:
    unit = "    models: [intents]\n"
    assert mistakes(changed(unit, f"{unit}    index: {{}}\n")) == [
        "line 11: units.router.index: only a unit that searches has a vector index, and this one answers "
        "with labels; take it away"
    ]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("gate: pair, margin: 0.1, unjudged: irrelevant, min_judged: 0.5", "pair of ndcg@10 on search"),
        ("gate: index_recall, at_least: 0.98", "index_recall judges lists of a search"),
        ("gate: added_latency, step: encode, at_most_ms: 3", "added_latency judges lists of a search"),
        (
            "gate: non_inferior, metric: preference, on: shadow_review, margin: 0.1",
            "preference on shadow_review",
        ),
        ("gate: at_least, metric: coverage@10, on: search, value: 0.5", "at_least of coverage@10 on search"),
    ],
)
def test_a_unit_of_labels_is_not_judged_by_lists(rule: str, says: str) -> None:
    (told,) = mistakes(changed("gate: leakage, dry_run: true", rule))
    assert told.startswith("line 14: units.router.gates[1]: ")
    assert says in told
    assert (
        "and this unit answers with labels; its rules are on golden, or of accuracy on shadow_review" in told
    )


def test_what_suits_every_unit_is_judged_in_every_unit() -> None:
    more = "".join(
        f"      - {{{rule}}}\n"
        for rule in (
            "gate: release_record",
            "gate: leakage",
            "gate: fingerprint",
            "gate: latency, below_ms: 50",
            "gate: disagreement, review_over: 0.2",
            "gate: non_inferior, metric: preference, on: shadow_review, margin: 0.1",
            "gate: added_latency, step: encode, at_most_ms: 3",
        )
    )
    assert len(read(PAIRED + more).units["retrieval"].gates) == 11


def test_an_unknown_metric_is_told_once() -> None:
    found = mistakes(PAIRED.replace("metric: recall@3", "metric: ndgc@10"))
    assert found == ["line 17: units.retrieval.gates[1]: unknown metric 'ndgc@10'; did you mean 'ndcg@k'?"]
