"""A unit of two models and an index through the whole pipeline: trained, built, judged and undone as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from search_world import UNIT, SearchWorld, bootstrapped, catalogue, judgments, quiet, wrongly_joined

from mangaops.cli import main
from mangaops.datasets import Source
from mangaops.errors import InputError, IntegrityError, Untracked, UsageError, VectorsMismatch
from mangaops.inference.catalogue import read_catalogue
from mangaops.inference.retrieval import Retrieval
from mangaops.pipeline import verbs, views
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.quickstart import Teller, ran
from mangaops.pipeline.quickstart_search import story_of
from mangaops.pipeline.release_run import RunResult, run
from mangaops.registry import permit
from mangaops.release.desk import release_of, state
from mangaops.stack import Stack
from mangaops.store import CatalogueLog
from mangaops.vocabulary import EvidenceKind, Outcome, Part, Purpose, Side, State, Verdict
from mangaops.wiring import read_stack

__all__ = ["bootstrapped"]
pytestmark = pytest.mark.xdist_group("search")


@pytest.fixture(scope="module")
def weekly(
    bootstrapped: SearchWorld, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SearchWorld, RunResult]:
    """A second pair, of another training, judged against the first; with a window of searches."""
    world = bootstrapped.copied(tmp_path_factory.mktemp("weekly") / "world")
    world.say(steps=("steps: 40", "steps: 60"))
    return world, world.run(traffic=world.source("traffic"), truth=str(world.folder / "truth.parquet"))


def test_the_first_pair_is_promoted_with_its_index(bootstrapped: SearchWorld) -> None:
    desk = bootstrapped.workshop().desk
    current = state(desk, UNIT)
    first = release_of(current, f"{UNIT}-1")
    assert (current.champion, current.rollback) == (first.name, ("fallback:offer_human",))
    assert dict(first.models) == {"adapter": "v1", "reranker": "v1"}
    assert list(first.parts) == [Part.INDEX]
    drawn = current.models["reranker@v1"].config["candidates_from"]
    assert drawn == {"version": "adapter@v1", "digest": current.models["adapter@v1"].artifact}


def test_both_models_have_a_registry_record(bootstrapped: SearchWorld) -> None:
    records = {each["model_name"]: each for each in views.records(bootstrapped.workshop())}
    assert {name: each["status"] for name, each in records.items()} == dict.fromkeys(
        ("adapter", "reranker"), "champion"
    )


def test_the_evidence_of_a_pair_is_all_there(weekly: tuple[SearchWorld, RunResult]) -> None:
    world, result = weekly
    desk = world.workshop().desk
    subject = release_of(state(desk, UNIT), result.release)
    kinds = {ref.kind for ref in subject.evidence}
    assert kinds >= {
        EvidenceKind.LEAKAGE,
        EvidenceKind.FINGERPRINT,
        EvidenceKind.RANKING,
        EvidenceKind.INDEX,
        EvidenceKind.LATENCY,
        EvidenceKind.SHADOW,
        EvidenceKind.RECORD,
    }
    ranked = desk.evidence.get(subject.latest(EvidenceKind.RANKING).digest)
    assert set(ranked.facts["cells"]["search"]) == {"baseline", "release", "new_adapter", "new_reranker"}
    models = ranked.facts["models"]
    assert models[str(Side.BASELINE)]["adapter"] != models[str(Side.RELEASE)]["adapter"]


def test_the_second_pair_was_decided_on_and_has_a_report(weekly: tuple[SearchWorld, RunResult]) -> None:
    _, result = weekly
    assert result.outcome == Outcome.PROMOTE, result.says
    page = Path(result.files["report"]).read_text()
    assert "Interaction" in page
    assert {finding["gate"] for finding in result.findings} >= {"pair", "leakage", "fingerprint", "latency"}


def test_a_review_of_lists_is_a_file_to_answer_and_a_page_to_look_at(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world, result = weekly
    shop = world.workshop()
    csv, page = tmp_path / "queue.csv", tmp_path / "queue.html"
    for out in (csv, page):
        verbs.export_review(shop, result.release, out, bom=False)
    assert csv.read_text().startswith("item_id,text,A,B,answer")
    assert page.read_text().startswith("<!doctype html>")
    title = catalogue()["title"][0]
    assert title in csv.read_text()
    assert title in page.read_text()


def test_equal_inputs_give_the_same_release_and_train_nothing(weekly: tuple[SearchWorld, RunResult]) -> None:
    world, result = weekly
    again = world.run()
    assert (again.release, again.outcome) == (result.release, Outcome.PROMOTE)
    assert {"train/adapter", "train/reranker", "index"} <= set(again.resumed)


def test_one_model_alone_is_a_pair_with_the_champions_other(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world = weekly[0].copied(tmp_path / "world")
    world.say(epochs=("epochs: 2", "epochs: 1"))
    result = world.run(only="reranker")
    desk = world.workshop().desk
    current = state(desk, UNIT)
    subject = release_of(current, result.release)
    assert dict(subject.models) == {"adapter": "v2", "reranker": "v3"}
    assert current.models["reranker@v3"].config["candidates_from"]["version"] == "adapter@v2"
    (pair,) = [finding for finding in result.findings if finding["gate"] == "pair"]
    assert pair["facts"]["changed"] == ["reranker"]


def test_a_lone_adapter_that_learnt_from_a_wrong_join_is_refused_and_the_champion_stays(
    bootstrapped: SearchWorld, tmp_path: Path
) -> None:
    world = bootstrapped.copied(tmp_path / "world")
    wrongly_joined().write_parquet(world.folder / "judgments.parquet")
    result = world.run(only="adapter")
    assert result.outcome == Outcome.REJECT, result.says
    found = {finding["gate"]: finding for finding in result.findings}
    assert {gate for gate, finding in found.items() if finding["verdict"] != Verdict.PASS.name} == {"pair"}
    assert (found["pair"]["verdict"], found["pair"]["facts"]["changed"]) == (Verdict.FAIL.name, ["adapter"])
    desk = world.workshop().desk
    current = state(desk, UNIT)
    refused = release_of(current, result.release)
    assert (current.champion, current.generation) == (f"{UNIT}-1", 1)
    assert (refused.state, dict(refused.models)) == (State.REJECTED, {"adapter": "v2", "reranker": "v1"})
    assert Path(result.files["error review"]).is_file()


def test_a_model_that_the_unit_lacks_is_no_model_alone(bootstrapped: SearchWorld) -> None:
    with pytest.raises(UsageError, match="--only sentiment was refused"):
        bootstrapped.run(only="sentiment")


def test_the_way_back_after_the_fallback_is_walked_as_it_is_printed(
    bootstrapped: SearchWorld, tmp_path: Path
) -> None:
    """By the rules of a bootstrap, on the evidence that the first pair has; one model alone has no other."""
    world = bootstrapped.copied(tmp_path / "world")
    encodes = "      - {gate: added_latency, step: encode, at_most_ms: 0}  # beside BM25 all of it is added"
    world.say(gate=("    gates:\n", f"    gates:\n{encodes}\n"))
    shop = world.workshop()
    warning = verbs.roll_back(shop, UNIT, reason="shoppers complain")["warning"]
    assert "release reopen retrieval-1" in warning
    files = "--catalogue FILE --judgments FILE --searches FILE"
    assert f"release bootstrap retrieval --reason '...' {files}, which" in warning
    with pytest.raises(UsageError, match="has no champion to take the others from"):
        world.run(only="reranker")
    with pytest.raises(UsageError, match="release bootstrap retrieval"):
        world.run()
    left = world.run(bootstrap=True)
    assert (left.outcome, left.state) == (Outcome.REJECT, State.ROLLED_BACK)
    verbs.reopen(shop, "retrieval-1", reason="the complaints were about the site")
    before = release_of(state(shop.desk, UNIT), "retrieval-1").evidence
    result = world.run(bootstrap=True)
    assert result.outcome == Outcome.PROMOTE, result.says
    assert (result.release, result.rollback_pointer) == ("retrieval-1", "fallback:offer_human")
    assert release_of(state(shop.desk, UNIT), "retrieval-1").evidence == before


def test_leakage_is_looked_for_in_what_every_model_of_a_side_learnt_from(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world = weekly[0].copied(tmp_path / "world")
    more = judgments().filter(pl.col("query_id").str.ends_with("-0"))
    renamed = more.with_columns(query_id="again-" + pl.col("query_id"), query="once more: " + pl.col("query"))
    pl.concat([judgments(), renamed]).write_parquet(world.folder / "judgments.parquet")
    result = world.run(only="reranker")
    desk = world.workshop().desk
    current = state(desk, UNIT)
    subject = release_of(current, result.release)
    learnt = {current.models[f"{m}@{v}"].dataset for m, v in subject.models.items()}
    told = desk.evidence.get(subject.latest(EvidenceKind.LEAKAGE).digest).facts["datasets"]
    assert len(learnt) == 2
    assert told[str(Side.RELEASE)] not in learnt, "it is of both"


def test_what_cannot_be_used_is_refused_before_anything_is_trained(
    bootstrapped: SearchWorld, tmp_path: Path
) -> None:
    world = bootstrapped.copied(tmp_path / "world")
    world.say(steps=("steps: 40", "steps: 50"))
    before = set(state(world.workshop().desk, UNIT).models)
    with pytest.raises(InputError, match="nowhere"):
        world.run(traffic=Source((str(world.folder / "nowhere.parquet"),)))
    with pytest.raises(UsageError, match="--only sentiment"):
        world.run(only="sentiment")
    assert set(state(world.workshop().desk, UNIT).models) == before


def test_labelled_logs_are_no_data_of_a_unit_that_searches(bootstrapped: SearchWorld) -> None:
    plan = Plan(UNIT, Source((str(bootstrapped.folder / "searches.parquet"),)))
    with pytest.raises(UsageError, match="learn from a catalogue and judgments"):
        run(bootstrapped.workshop(), plan, quiet, quiet)


def test_other_parameters_build_the_index_anew_and_train_nothing(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world = weekly[0].copied(tmp_path / "world")
    lists = {"exact_up_to": 16, "lists": 4, "probe": 4, "oversample": 2.0}
    world.say(index=("    review:", "    index: {exact_up_to: 16, lists: 4, probe: 4}\n    review:"))
    result = world.run()
    assert {"train/adapter", "train/reranker"} <= set(result.resumed)
    assert "index" not in result.resumed
    shop = world.workshop()
    current = state(shop.desk, UNIT)
    before, after = (release_of(current, name) for name in (weekly[1].release, result.release))
    assert dict(after.models) == dict(before.models)
    assert after.parts != before.parts
    built = shop.load(permit(current, result.release, Purpose.MEASURE))
    assert isinstance(built, Retrieval)
    assert (built.index.parameters.model_dump(), len(built.index.lists or ())) == (lists, 4)
    told = shop.desk.evidence.get(after.latest(EvidenceKind.INDEX).digest).facts
    assert (told["kind"], told["parameters"]) == ("lists", lists)
    assert "probe 4" in Path(result.files["report"]).read_text()


def test_an_index_of_another_release_is_refused_with_its_models(
    weekly: tuple[SearchWorld, RunResult],
) -> None:
    shop = weekly[0].workshop()
    current = state(shop.desk, UNIT)
    first, second = (permit(current, f"{UNIT}-{n}", Purpose.MEASURE) for n in (1, 2))
    assert isinstance(shop.load(second), Retrieval)
    with pytest.raises(VectorsMismatch, match="another adapter made them"):
        shop.load({**second, "index": first["index"]})


def test_a_changed_index_is_no_way_to_production(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world = weekly[0].copied(tmp_path / "world")
    shop = world.workshop()
    index = release_of(state(shop.desk, UNIT), f"{UNIT}-1").parts[Part.INDEX]
    folder = shop.desk.artifacts.open(index)
    with (folder / "vectors.f32").open("r+b") as file:
        file.write(b"\0\0\0\0")
    with pytest.raises(IntegrityError):
        verbs.roll_back(shop, UNIT, reason="shoppers complain")
    assert state(shop.desk, UNIT).champion == f"{UNIT}-2"


def test_a_rollback_brings_back_adapter_reranker_and_index(
    weekly: tuple[SearchWorld, RunResult], tmp_path: Path
) -> None:
    world = weekly[0].copied(tmp_path / "world")
    shop = world.workshop()
    assert verbs.roll_back(shop, UNIT, reason="shoppers complain")["to"] == f"{UNIT}-1"
    back = shop.load(permit(state(shop.desk, UNIT), f"{UNIT}-1", Purpose.SERVE))
    assert back.name == "adapter@v1 + reranker@v1"


def test_a_release_seals_number_and_hash_of_the_last_delta_that_its_catalogue_holds(
    bootstrapped: SearchWorld, tmp_path: Path
) -> None:
    world = bootstrapped.copied(tmp_path / "world")
    shop = world.workshop()
    first = release_of(state(shop.desk, UNIT), f"{UNIT}-1").parts[Part.INDEX]
    held = read_catalogue(shop.desk.artifacts.open(first)).items["glimmerfax-0"]
    log = CatalogueLog(shop.desk.ledger, "shop-data")
    log.append({"glimmerfax-0": dict(held)})
    log.append({"new-1": {"title": "a title that the file does not have"}})
    result = world.run(only="reranker")
    index = release_of(state(shop.desk, UNIT), result.release).parts[Part.INDEX]
    now, before = (read_catalogue(shop.desk.artifacts.open(each)) for each in (index, first))
    assert (now.generation, now.hash) == (1, log.hash_of(1))
    assert (before.generation, before.hash) == (0, None)


def test_a_reranker_trains_by_hand_on_what_a_named_adapter_draws(
    bootstrapped: SearchWorld, tmp_path: Path
) -> None:
    world = bootstrapped.copied(tmp_path / "world")
    world.say(epochs=("epochs: 2", "epochs: 1"))
    shop = world.workshop()
    with pytest.raises(UsageError, match="no adapter draws its candidates"):
        verbs.train(shop, "reranker", None, reason="by hand", progress=quiet)
    with pytest.raises(Untracked, match="adapter@v9"):
        verbs.train(shop, "reranker", None, adapter="adapter@v9", reason="by hand", progress=quiet)
    with pytest.raises(UsageError, match="families cross-encoder-reranker of reranker@v1"):
        verbs.train(shop, "reranker", None, adapter="reranker@v1", reason="by hand", progress=quiet)
    with pytest.raises(UsageError, match="--adapter adapter@v1 was refused"):
        verbs.train(shop, "adapter", None, adapter="adapter@v1", reason="by hand", progress=quiet)
    made = verbs.train(shop, "reranker", None, adapter="adapter@v1", reason="by hand", progress=quiet)
    assert (made["version"], made["status"]) == ("v2", "registered")


def test_training_and_the_story_say_that_an_adapter_is_its_untrained_base(
    bootstrapped: SearchWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps of almost no length leave validation as it is, so that the first weights are kept."""
    world = bootstrapped.copied(tmp_path / "world")
    world.say(steps=("steps: 40", "steps: 1"), rate=("learning_rate: 5e-3", "learning_rate: 1e-12"))
    home = ("--stack", str(world.stack), "--home", str(world.folder / "home"))
    with pytest.raises(SystemExit) as ended:
        main(["train", "adapter", *home])
    assert ended.value.code == 0
    assert "adapter@v2 is its untrained base: nothing that it learnt did better" in capsys.readouterr().err
    told: list[str] = []
    teller = Teller(told.append, quiet, quiet, quiet)
    plan = Plan(UNIT, world.sources, reason="a test", only="adapter")
    ran(world.workshop(), plan, Outcome.REJECT, teller)
    assert told == [
        "   adapter@v2 is its untrained base: nothing that it learnt did better on the validation queries"
    ]


def test_both_models_are_reproduced_from_their_records(bootstrapped: SearchWorld) -> None:
    shop = bootstrapped.workshop()
    for model in ("adapter@v1", "reranker@v1"):
        assert verbs.reproduce(shop, model, progress=quiet).identical, model


def test_a_pair_of_other_judgments_is_another_release(bootstrapped: SearchWorld, tmp_path: Path) -> None:
    """What the golden queries were judged stays as it was frozen."""
    world = bootstrapped.copied(tmp_path / "world")
    judgments().with_columns(grade=pl.col("grade").clip(0, 1)).write_parquet(
        world.folder / "judgments.parquet"
    )
    result = world.run()
    assert result.release == f"{UNIT}-2"
    desk = world.workshop().desk
    ranked = desk.evidence.get(
        release_of(state(desk, UNIT), result.release).latest(EvidenceKind.RANKING).digest
    )
    assert ranked.tables["judgments"]["grade"].max() == 2


def example(name: str) -> tuple[Path, Stack]:
    path = Path(__file__).parents[2] / "examples" / "quickstart" / name
    return path, read_stack(path)


def test_the_quickstart_refuses_a_stack_of_several_units() -> None:
    path, stack = example("retrieval.yaml")
    several = replace(stack, units={**stack.units, "router": stack.units[UNIT]})
    with pytest.raises(UsageError, match="it tells of one unit") as refused:
        story_of(several, path)
    assert refused.value.found == "units retrieval, router"
    assert refused.value.accepted == "router or retrieval"
    assert "--stack examples/quickstart/stack.yaml" in refused.value.next_step


@pytest.mark.parametrize(("name", "unit"), [("stack.yaml", "router"), ("retrieval.yaml", "retrieval")])
def test_the_quickstart_tells_of_each_unit_alone(name: str, unit: str) -> None:
    path, stack = example(name)
    assert story_of(stack, path)[0] == unit
