"""Whole releases of pairs at the desk: evidence recorded, judged, acted on; and pairs that nobody judged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest
from desk_world import WHY, make_snapshot, make_world, prove_by_seal
from pair_world import (
    APART,
    GATE_LIST,
    NEW_ADAPTER,
    NEW_RERANKER,
    OLD_ADAPTER,
    PAIR_RULE,
    RETRAINED,
    PairWorld,
    make_pair_world,
    weak_baseline,
)

from mangaops import gates
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import RefusedError, RevisionConflict, UsageError
from mangaops.pipeline import verbs, views
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import judged_pairs
from mangaops.release import checks, judge, promote, ranking
from mangaops.release.bootstrap import require_unserved, rules_for
from mangaops.release.desk import next_run, release_of, state
from mangaops.release.reopen import reopen
from mangaops.release.rollback import roll_back
from mangaops.stack import Cadence, SearchDataSpec
from mangaops.vocabulary import NO_MODEL, EvidenceKind, Outcome, Part, RecordPart, Side, State, Step, Verdict
from shop_rows import data_of, frozen, judgments, searches

SENTENCE = "two separate wins make a joint loss"
GOOD = ("a2", NEW_ADAPTER), ("r3", RETRAINED)
BAD = ("a2", NEW_ADAPTER), ("r2", NEW_RERANKER)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> SearchSnapshot:
    """Most of its queries are golden: enough to prove what is planted."""
    spec = SearchDataSpec(splits={"train": 0.2, "validation": 0.1, "golden": 0.7})
    folder = tmp_path_factory.mktemp("shop")
    return frozen(data_of(folder, judged=judgments(), logs=searches(), spec=spec), spec)


@pytest.fixture
def world(tmp_path: Path, snapshot: SearchSnapshot) -> PairWorld:
    return make_pair_world(tmp_path, snapshot)


@pytest.fixture
def served(world: PairWorld) -> PairWorld:
    """A world whose first champion is the old pair."""
    assert world.bootstrapped() == state(world.desk, "retrieval").champion
    return world


def of_kind(world: PairWorld, release: str, kind: EvidenceKind):
    ref = state(world.desk, "retrieval").releases[release].latest(kind)
    assert ref is not None
    return world.desk.evidence.get(ref.digest)


# ---- the planted pair


def test_the_planted_pair_is_rejected_with_the_sentence(served: PairWorld) -> None:
    release, judged, acted = served.run(*BAD)
    assert judged.outcome is Outcome.REJECT
    verdicts = {each.subject: each for each in judged.decision.findings}
    assert verdicts["mrr@10 on adapter"].verdict is Verdict.PASS
    assert verdicts["mrr@10 on reranker"].verdict is Verdict.PASS
    pair = verdicts["mrr@10 of the pair on search"]
    assert (pair.verdict, pair.says.count(SENTENCE)) == (Verdict.FAIL, 1)
    assert acted.champion == "retrieval-1"
    assert state(served.desk, "retrieval").releases[release].state == State.REJECTED


def test_the_retrained_pair_is_promoted(served: PairWorld) -> None:
    served.run(*BAD)
    release, judged, acted = served.run(*GOOD)
    assert (judged.outcome, acted.champion) == (Outcome.PROMOTE, release)
    assert all(SENTENCE not in each.says for each in judged.decision.findings)


def test_with_the_pair_gate_off_the_planted_pair_goes_through(
    tmp_path: Path, snapshot: SearchSnapshot
) -> None:
    dry = f"      - {PAIR_RULE.replace('}', ', dry_run: true}')}\n{APART}"
    world = make_pair_world(tmp_path, snapshot, dry)
    world.bootstrapped()
    release, judged, acted = world.run(*BAD)
    assert (judged.outcome, acted.champion) == (Outcome.PROMOTE, release)
    assert any(SENTENCE in each.says for each in judged.decision.findings), "shown, and not counted"


def test_a_lone_reranker_is_judged_beside_the_champion_s_adapter(served: PairWorld) -> None:
    release, judged, _ = served.run(("a1", OLD_ADAPTER), ("r3", RETRAINED))
    assert judged.outcome is Outcome.PROMOTE
    facts = of_kind(served, release, EvidenceKind.RANKING).facts
    assert facts["cells"]["search"] == ["baseline", "release"]
    assert facts["models"]["baseline"]["adapter"] == facts["models"]["release"]["adapter"]


# ---- the first release, against BM25


def test_a_first_pair_is_judged_against_bm25(served: PairWorld) -> None:
    subject = state(served.desk, "retrieval").releases["retrieval-1"]
    facts = of_kind(served, "retrieval-1", EvidenceKind.RANKING).facts
    assert set(facts["cells"]) == {"adapter", "search"}
    assert set(facts["models"]["baseline"].values()) == {NO_MODEL}
    assert (subject.state, subject.decisions[-1].outcome) == (State.CHAMPION, Outcome.PROMOTE)


def test_a_first_pair_that_is_worse_than_bm25_is_rejected(world: PairWorld) -> None:
    _, judged, acted = world.run(*BAD)
    assert (judged.outcome, acted.champion) == (Outcome.REJECT, None)
    assert "the baseline is no pair of models, so there is no table" in judged.decision.findings[1].says


# ---- after the fallback


def gone_back(world: PairWorld) -> None:
    prove = prove_by_seal(world.desk)
    roll_back(world.desk, "retrieval", prove=prove, reason="shoppers complain")


def reopened(world: PairWorld) -> str:
    gone_back(world)
    reopen(world.desk, "retrieval", "retrieval-1", reason="the complaints were about the site")
    return "retrieval-1"


def as_weekly(gates: str) -> str:
    """The weekly list, with a rule that no first pair passes: BM25 encodes nothing, so all of it is added."""
    return f"{gates}      - {{gate: added_latency, step: encode, at_most_ms: 0}}\n"


def test_a_first_pair_that_was_rolled_back_comes_back_as_it_came(
    tmp_path: Path, snapshot: SearchSnapshot
) -> None:
    """By the rules of a bootstrap, on the evidence that it has: it is compared with the same baseline."""
    world = make_pair_world(tmp_path, snapshot, as_weekly(GATE_LIST))
    world.bootstrapped()
    first = reopened(world)
    before = state(world.desk, "retrieval").releases[first].evidence
    record = (world.desk, "retrieval", first)
    assert judge.judge_offline(*record, dataset=snapshot.digest, reason=WHY) is None
    judged = world.judged(first)
    acted = judge.act(*record, judged, prove=prove_by_seal(world.desk), reason=WHY)
    assert [each.gate for each in judged.decision.findings] == ["release_record", "pair", "at_least"]
    assert (judged.outcome, acted.champion) == (Outcome.PROMOTE, first)
    assert state(world.desk, "retrieval").releases[first].evidence == before


def test_a_first_pair_that_lost_since_does_not_come_back(served: PairWorld) -> None:
    first = reopened(served)
    served.sides[first] = replace(served.sides[first], shelf=NEW_ADAPTER, reranks=NEW_RERANKER)
    served.ranked(first)
    judged = served.judged(first)
    assert judged.outcome is Outcome.REJECT
    assert "so there is no table" in next(
        each.says for each in judged.decision.findings if each.gate == "pair"
    )


def test_a_newer_pair_after_the_fallback_is_judged_as_a_first_one(served: PairWorld) -> None:
    gone_back(served)
    _, lost, stays = served.run(*BAD)
    release, won, acted = served.run(*GOOD)
    assert (lost.outcome, stays.champion) == (Outcome.REJECT, None)
    assert (won.outcome, acted.champion) == (Outcome.PROMOTE, release)
    assert {each.gate for each in won.decision.findings} == {"release_record", "pair", "at_least"}


# ---- what is recorded


def test_ranking_evidence_is_bound_counted_and_shown_in_the_registry(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    evidence = served.ranked(release)
    current = state(served.desk, "retrieval")
    assert evidence.binding.baseline == current.releases["retrieval-1"].digest
    assert evidence.facts["golden_judgements"] == 2
    shown = {name: dict(record.metrics) for name, record in current.models.items()}
    assert shown["adapter@v2"] == {"recall@3": 1.0, "ndcg@10": pytest.approx(1 / 1.5849625007)}
    assert shown["reranker@v2"] == {"mrr@10": 1.0, "ndcg@10": 1.0}
    assert served.ranked(release).digest == evidence.digest
    attempts = [ref.attempt for ref in state(served.desk, "retrieval").releases[release].evidence]
    assert attempts == [1], "the same lists are not listed twice"


def test_lists_of_other_models_than_the_release_s_are_refused(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    ours, theirs = served.sides[release], served.baseline()
    record = (served.desk, "retrieval", release)
    with pytest.raises(UsageError, match="lists of retrieval-2 as release was refused"):
        ranking.rank_pair(*record, theirs, replace(ours, adapter="sha256:x"), served.snapshot, reason=WHY)
    with pytest.raises(UsageError, match="lists of retrieval-1 as baseline was refused"):
        ranking.rank_pair(*record, ours, ours, served.snapshot, reason=WHY)
    with pytest.raises(UsageError, match="found: a search that is no pair of models"):
        ranking.rank_pair(*record, weak_baseline(served.snapshot), ours, served.snapshot, reason=WHY)
    with pytest.raises(RevisionConflict):
        ranking.rank_pair(*record, theirs, ours, served.snapshot, reason=WHY, against="sha256:other")
    assert state(served.desk, "retrieval").releases[release].evidence == ()


def test_new_titles_are_those_that_the_baseline_did_not_learn_from(snapshot: SearchSnapshot) -> None:
    before = replace(snapshot, items=snapshot.items.filter(pl.col("item_id") != "i7"))
    assert ranking.new_titles(snapshot, before) == ["i7"]
    assert ranking.new_titles(snapshot, snapshot) == []


def test_whole_searches_are_timed_with_their_steps(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    evidence = served.timed(release)
    samples, steps = evidence.tables["samples"], evidence.facts["steps"]
    assert samples.columns == ["side", "block", "ms", "encode", "retrieve", "rerank"]
    assert samples.height == 2 * 4 * 25
    parts = samples.select(pl.sum_horizontal(*Step)).to_series()
    assert (parts <= samples["ms"]).all()
    assert {side: list(each) for side, each in steps.items()} == {side: list(Step) for side in map(str, Side)}
    assert set(steps["release"]["rerank"]) == {"p50", "p95", "p99"}
    models = state(served.desk, "retrieval").models
    shown = [models[name].metrics["p95_latency_ms"] for name in ("adapter@v2", "reranker@v2")]
    assert shown == [steps["release"][step]["p95"]["ms"] for step in ("encode", "rerank")]


def test_a_baseline_has_only_the_steps_that_it_takes(world: PairWorld) -> None:
    release = world.candidate(*GOOD)
    evidence = world.timed(release)
    samples = evidence.tables["samples"].filter(side="baseline")
    assert samples["encode"].null_count() == samples["rerank"].null_count() == samples.height
    assert list(evidence.facts["steps"]["baseline"]) == ["retrieve"]


# ---- leakage


def test_leakage_of_search_data_is_recorded_and_judged(served: PairWorld) -> None:
    release, judged, _ = served.run(*GOOD)
    evidence = of_kind(served, release, EvidenceKind.LEAKAGE)
    assert evidence.tables["conflicts"].is_empty()
    assert evidence.facts["rows"] == served.snapshot.golden.height
    (found,) = (each for each in judged.decision.findings if each.gate == "leakage")
    assert found.verdict is Verdict.PASS


def test_a_golden_query_that_was_trained_on_rejects(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    served.measured(release)
    golden = served.snapshot.golden["query_id"][0]
    moved = pl.when(pl.col("query_id") == golden).then(pl.lit("train")).otherwise("split")
    leaky = replace(
        served.snapshot, digest="sha256:1", queries=served.snapshot.queries.with_columns(split=moved)
    )
    training = {Side.BASELINE: served.snapshot, Side.RELEASE: leaky}
    checks.check_leakage(served.desk, "retrieval", release, served.snapshot, training, reason=WHY)
    judged = served.judged(release)
    assert judged.outcome is Outcome.REJECT
    (found,) = (each for each in judged.decision.findings if each.gate == "leakage")
    assert "1 by query with release" in found.says


def test_snapshots_of_the_other_kind_are_refused(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    labelled = make_snapshot(20)
    training = {Side.BASELINE: served.snapshot, Side.RELEASE: labelled}
    for golden, sides in ((served.snapshot, training), (labelled, dict.fromkeys(Side, labelled))):
        with pytest.raises(UsageError, match="the unit learns from data of another kind"):
            checks.check_leakage(served.desk, "retrieval", release, golden, sides, reason=WHY)


# ---- the record


def parts_of(world: PairWorld, release: str):
    dataset = world.snapshot.digest
    evidence = checks.record_parts(world.desk, "retrieval", release, dataset=dataset, reason=WHY)
    return evidence.facts["parts"], evidence.facts["of"]


def test_every_model_and_the_index_are_on_record(served: PairWorld) -> None:
    release = served.candidate(*GOOD)
    served.measured(release)
    parts, of = parts_of(served, release)
    assert [part for part, value in parts.items() if value is None] == [RecordPart.CONFUSION_MATRIX]
    assert parts["evaluation_report"] == of_kind(served, release, EvidenceKind.RANKING).digest
    assert parts["latency_report"] == of_kind(served, release, EvidenceKind.LATENCY).digest
    assert parts["dataset_version"] == served.snapshot.name
    assert parts["rollback_pointer"] == "retrieval-1"
    assert list(of) == ["adapter", "reranker", "index"]
    subject = state(served.desk, "retrieval").releases[release]
    assert of["index"] == {"model_artifact": subject.parts[Part.INDEX]}
    assert parts["model_artifact"] == ", ".join(
        f"{name} {each['model_artifact']}" for name, each in of.items()
    )


@pytest.mark.parametrize("spoiled", ["a2", "r3", "index"])
def test_an_artifact_that_is_not_whole_is_missing_and_holds_the_release(
    spoiled: str, served: PairWorld
) -> None:
    release = served.candidate(*GOOD)
    served.measured(release)
    subject = state(served.desk, "retrieval")
    name = {"a2": "adapter", "r3": "reranker", "index": "index"}[spoiled]
    held = release_of(subject, release)
    digest = (
        held.parts[Part.INDEX]
        if spoiled == "index"
        else subject.models[f"{name}@{held.models[name]}"].artifact
    )
    folder = served.desk.artifacts.open(digest)
    folder.chmod(0o755)
    (folder / "tokenizer.json").chmod(0o644)
    (folder / "tokenizer.json").write_text("spoiled")
    judged = served.judged(release)
    assert judged.outcome is Outcome.HOLD
    (found,) = (each for each in judged.decision.findings if each.gate == "release_record")
    assert found.verdict is Verdict.ERROR
    assert f"model_artifact of {name}" in found.says


def test_a_pair_without_an_index_is_not_whole(served: PairWorld) -> None:
    release = served.candidate(*GOOD, index=None)
    parts, of = parts_of(served, release)
    assert parts["model_artifact"] is None
    assert of["index"] == {"model_artifact": None}


# ---- pairs that were judged together, and others


def test_a_list_of_pairs_names_the_moment_of_the_newest_decision_as_that(served: PairWorld) -> None:
    shop = cast(Workshop, SimpleNamespace(desk=served.desk))  # all that the list looks at
    (pair,) = views.pairs(shop, "retrieval")["pairs"]
    (release,) = state(served.desk, "retrieval").releases.values()
    assert pair["decided_at"] == release.decisions[-1].at != release.at
    (listed,) = views.releases(shop, "retrieval")["releases"]
    assert listed["registered_at"] == release.at


def test_judged_pairs_are_listed_with_their_outcome(served: PairWorld) -> None:
    bad, _, _ = served.run(*BAD)
    good, _, _ = served.run(*GOOD)
    served.candidate(("a1", OLD_ADAPTER), ("r3", RETRAINED))
    told = judged_pairs(state(served.desk, "retrieval"))
    assert [(each.release, each.models, each.outcome, each.may_serve) for each in told] == [
        ("retrieval-1", {"adapter": "v1", "reranker": "v1"}, Outcome.PROMOTE, True),
        (bad, {"adapter": "v2", "reranker": "v2"}, Outcome.REJECT, False),
        (good, {"adapter": "v2", "reranker": "v3"}, Outcome.PROMOTE, True),
    ]
    assert told[0].state == State.RETIRED, "the rollback pointer may serve"
    assert set(told[2].parts) == {Part.INDEX}


def test_a_pair_that_was_never_judged_together_is_not_promoted(served: PairWorld) -> None:
    """Each model of it was promoted, in another pair."""
    served.run(*GOOD)
    release = served.candidate(("a1", OLD_ADAPTER), ("r3", RETRAINED))
    prove = prove_by_seal(served.desk)
    with pytest.raises(RefusedError, match="nothing: it was never judged"):
        promote.promote(served.desk, "retrieval", release, prove=prove, reason=WHY)
    assert release not in {each.release for each in judged_pairs(state(served.desk, "retrieval"))}


def test_the_same_models_with_another_index_are_judged_anew(served: PairWorld) -> None:
    good, _, _ = served.run(*GOOD)
    again = served.candidate(*GOOD, index="index built anew")
    assert again != good
    with pytest.raises(RefusedError, match="never judged"):
        promote.promote(served.desk, "retrieval", again, prove=prove_by_seal(served.desk), reason=WHY)


def test_a_router_has_no_pairs(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.bootstrapped()
    assert judged_pairs(state(world.desk, "router")) == ()


def test_rules_and_specs_of_search_data_are_part_of_a_decision(served: PairWorld) -> None:
    """The data section says what is near: a decision by another one does not promote."""
    release = served.candidate(*GOOD)
    served.measured(release)
    assert served.judged(release).outcome is Outcome.PROMOTE
    stack = served.desk.stack
    shop = stack.search_data["shop"].model_copy(update={"near_at": 0.5})
    served.desk = replace(served.desk, stack=replace(stack, search_data={"shop": shop}))
    with pytest.raises(RefusedError, match=r"stack\.yaml says other things"):
        promote.promote(served.desk, "retrieval", release, prove=prove_by_seal(served.desk), reason=WHY)


# ---- what runs next

BARE = "--catalogue FILE --judgments FILE"


def unlogged() -> SearchSnapshot:
    """A version without a log of searches."""
    spec = SearchDataSpec(splits={"train": 0.2, "validation": 0.1, "golden": 0.7})
    with TemporaryDirectory() as folder:
        return frozen(data_of(Path(folder), judged=judgments(), spec=spec), spec)


def measured_next(world: PairWorld, release: str) -> list[str]:
    """What the gates say to measure, for a release of which nothing is measured."""
    current = state(world.desk, "retrieval")
    subject = release_of(current, release)
    given = judge.build_case(world.desk, current, subject, dataset=world.snapshot.digest, traffic=None)
    return gates.judge(rules_for(world.desk, current, subject), given).price["measure"]


def test_the_next_run_names_the_logs_that_the_newest_release_learnt_from(served: PairWorld) -> None:
    told = next_run(served.desk, state(served.desk, "retrieval"))
    assert told == f"mangaops release run retrieval {BARE} --searches FILE"
    with pytest.raises(RefusedError) as refused:
        require_unserved(served.desk, "retrieval")
    assert refused.value.next_step == told


def test_the_next_run_leaves_logs_open_where_nobody_can_tell(world: PairWorld, tmp_path: Path) -> None:
    first = next_run(world.desk, state(world.desk, "retrieval"))
    assert first == f"mangaops release bootstrap retrieval --reason '...' {BARE} [--searches FILE]"
    world.bootstrapped()
    shutil.rmtree(next(tmp_path.rglob("queries.parquet")).parent)
    told = next_run(world.desk, state(world.desk, "retrieval"))
    assert told == f"mangaops release run retrieval {BARE} [--searches FILE]"


def test_the_next_run_names_no_logs_where_the_newest_release_learnt_from_none(tmp_path: Path) -> None:
    world = make_pair_world(tmp_path, unlogged())
    world.candidate(*GOOD)
    assert next_run(world.desk, state(world.desk, "retrieval")).endswith(f" {BARE}")


def test_gates_name_the_logs_that_the_judged_release_learnt_from(served: PairWorld) -> None:
    told = measured_next(served, served.candidate(*GOOD))
    assert f"mangaops release run retrieval {BARE} --searches FILE" in told


def test_gates_name_no_logs_where_the_judged_release_learnt_from_none(tmp_path: Path) -> None:
    world = make_pair_world(tmp_path, unlogged())
    told = measured_next(world, world.candidate(*GOOD))
    assert f"mangaops release bootstrap retrieval --reason '...' {BARE}" in told


def test_a_unit_without_champion_is_told_what_its_newest_release_was_made_of(world: PairWorld) -> None:
    shop = cast("Workshop", SimpleNamespace(desk=world.desk))
    command = f"mangaops release bootstrap retrieval --reason '...' {BARE}"
    weekly = {"cadence": Cadence.model_validate({"cron": "0 3 * * 1"})}
    units = {"retrieval": world.desk.stack.units["retrieval"].model_copy(update=weekly)}
    stack = replace(world.desk.stack, units=units)

    def told(of: Workshop | None) -> str:
        return views.due_units(stack, of, world.desk.clock())["no_champion"][0]["next"]

    assert told(None) == told(shop) == f"{command} [--searches FILE]"
    world.candidate(*GOOD)
    assert told(shop) == f"{command} --searches FILE"


def test_a_reopened_release_is_told_what_it_was_made_of_itself(served: PairWorld) -> None:
    """Not what the newest one was made of."""
    lost, _, _ = served.run(*BAD)
    replace(served, snapshot=unlogged()).candidate(("a4", NEW_ADAPTER), ("r4", RETRAINED))
    assert next_run(served.desk, state(served.desk, "retrieval")).endswith(f" {BARE}")
    shop = cast("Workshop", SimpleNamespace(desk=served.desk))
    says = verbs.reopen(shop, lost, reason=WHY)["says"]
    assert f"mangaops release run retrieval {BARE} --searches FILE" in says
