"""A pair of real models with its index at the desk: loaded, proven, ranked, timed, and its index measured."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from desk_world import WHY
from pair_world import PairWorld, make_pair_world

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import InputError, UsageError
from mangaops.evidence.envelope import table_digest
from mangaops.inference.catalogue import Catalogue, reading
from mangaops.inference.families import loaded
from mangaops.inference.index import IndexParameters, build
from mangaops.inference.load import load_embedder
from mangaops.inference.manifest import seal
from mangaops.inference.retrieval import Retrieval
from mangaops.inference.vectors import Vectors
from mangaops.registry import Permit, permit
from mangaops.release import checks, latency, ranking, register
from mangaops.release.desk import Desk, state
from mangaops.release.index_check import check_index
from mangaops.release.pairs import compare_pairs
from mangaops.stack import SearchDataSpec
from mangaops.training import Trained
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import Because, EvidenceKind, Family, Part, Purpose, Side
from shop_rows import data_of, frozen
from tiny_pairs import place, shared, tiny_items, tiny_judgments

pytestmark = pytest.mark.xdist_group("pairs")

ASKED = ("any {} please", "new {} series", "is there {}", "show me {}", "some {}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """An adapter and a reranker, shared by all tests. Never change them."""
    folder = place(tmp_path_factory)
    families = {"adapter": Family.EMBEDDING_ADAPTER, "reranker": Family.CROSS_ENCODER_RERANKER}
    return {name: shared(folder, family) for name, family in families.items()}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> SearchSnapshot:
    spec = SearchDataSpec(splits={"train": 0.4, "validation": 0.1, "golden": 0.5})
    catalogue = tiny_items().select("item_id", title="text")
    folder = tmp_path_factory.mktemp("slang")
    return frozen(data_of(folder, catalogue, tiny_judgments("all", ASKED), spec=spec), spec)


def index_of(folder: Path, adapter: Trained, snapshot: SearchSnapshot, parameters: IndexParameters) -> Path:
    """The sealed folder of catalogue and index, of vectors that the adapter made."""
    items = {row["item_id"]: {"title": row["title"]} for row in snapshot.items.iter_rows(named=True)}
    catalogue = Catalogue("shop", snapshot.manifest["tables"]["items"], 0, items)
    by = load_embedder(adapter.folder, Permit("adapter", "v1", adapter.digest, adapter.fingerprint))
    rows = by.vectors([reading(item) for item in items.values()])
    folder.mkdir()
    catalogue.write(folder)
    build(Vectors(tuple(items), rows, adapter.digest, catalogue.digest), parameters).save(folder)
    return folder


def registered(
    world: PairWorld,
    models: dict[str, Trained],
    *,
    embedder: str | None = None,
    parameters: IndexParameters | None = None,
) -> str:
    """A first release of both models and an index, which may say that another adapter made its vectors."""
    desk, snapshot = world.desk, world.snapshot
    register.record_search_data(desk, "shop", snapshot, reason=WHY)
    versions = {
        name: register.register_model(
            desk,
            "retrieval",
            name,
            folder=made.folder,
            fingerprint=made.fingerprint,
            dataset_version=snapshot.name,
            dataset=snapshot.digest,
            training_code_sha="0" * 40,
            config=made.config,
            metrics={},
            reason=WHY,
        ).partition("@")[2]
        for name, made in models.items()
    }
    by = replace(models["adapter"], digest=embedder or models["adapter"].digest)
    folder = world.folder / "index"
    if embedder is None:
        index_of(folder, by, snapshot, parameters or IndexParameters())
    else:
        index_of(folder, models["adapter"], snapshot, IndexParameters())
        head = folder / "vectors.json"
        head.write_text(head.read_text().replace(models["adapter"].digest, embedder))
        (folder / "MANIFEST.json").unlink()
        seal(folder)
    return register.register_release(
        desk,
        "retrieval",
        versions,
        parts={Part.INDEX: desk.artifacts.put(folder)},
        because=Because.MANUAL,
        reason=WHY,
    )


def opened(desk: Desk, release: str) -> Retrieval:
    """The release as it serves."""
    permits = permit(state(desk, "retrieval"), release, Purpose.MEASURE)
    found = loaded({name: desk.artifacts.open(each.artifact) for name, each in permits.items()}, permits)
    assert isinstance(found, Retrieval)
    return found


@pytest.fixture
def world(tmp_path: Path, snapshot: SearchSnapshot) -> PairWorld:
    return make_pair_world(tmp_path, snapshot)


def test_both_models_and_the_index_load_here(world: PairWorld, models: dict[str, Trained]) -> None:
    release = registered(world, models)
    dataset = world.snapshot.digest
    evidence = checks.check_fingerprints(world.desk, "retrieval", release, dataset=dataset, reason=WHY)
    (side,) = evidence.facts["sides"].values()
    assert (side["loads"], side["why"], side["model"]) == (True, "", "adapter@v1")


def test_an_index_of_another_adapter_does_not_load_though_each_model_does(
    world: PairWorld, models: dict[str, Trained]
) -> None:
    release = registered(world, models, embedder="sha256:" + "b" * 64)
    dataset = world.snapshot.digest
    evidence = checks.check_fingerprints(world.desk, "retrieval", release, dataset=dataset, reason=WHY)
    side = evidence.facts["sides"][str(Side.RELEASE)]
    assert (side["loads"], side["model"]) == (False, release)
    assert "another adapter made them" in side["why"]
    assert side["expected"] == side["found"], "each model is whole"


def test_a_real_pair_is_ranked_against_bm25_and_timed(world: PairWorld, models: dict[str, Trained]) -> None:
    release = registered(world, models)
    desk, snapshot, retrieval = world.desk, world.snapshot, opened(world.desk, release)
    ours = ranking.pair_models(retrieval, permit(state(desk, "retrieval"), release, Purpose.MEASURE))
    assert (ours.adapter, ours.reranker) == (models["adapter"].digest, models["reranker"].digest)
    assert ours.depth == retrieval.search.depth == 12
    plain = lexical(snapshot.items.select("item_id", text="title"))
    evidence = ranking.rank_pair(desk, "retrieval", release, plain, ours, snapshot, reason=WHY)
    shown = state(desk, "retrieval").models["adapter@v1"].metrics
    assert set(shown) == {"recall@3", "ndcg@10"}
    found = evidence.tables["ranked"].filter(stage="search", side="release")
    query = snapshot.golden["query"].sort()[0]
    asked = snapshot.golden.filter(query=query)["query_id"][0]
    listed = found.filter(query_id=asked).sort("rank")["item_id"].to_list()
    assert listed == list(retrieval.answer(query).items), "what is judged is what serves"
    timed = latency.time_searches(
        desk,
        "retrieval",
        release,
        plain,
        retrieval,
        snapshot.golden["query"].to_list(),
        dataset=snapshot.digest,
        reason=WHY,
        plan=latency.Plan(blocks=2, requests=3, warm_up=1),
    )
    assert set(timed.facts["steps"]["release"]) == {"encode", "retrieve", "rerank"}
    assert set(timed.facts["steps"]["baseline"]) == {"retrieve"}


def test_lists_are_the_same_bytes_whether_queries_are_asked_one_after_the_other_or_side_by_side(
    world: PairWorld, models: dict[str, Trained]
) -> None:
    release = registered(world, models, parameters=IndexParameters(exact_up_to=1, lists=2, probe=1))
    permits = permit(state(world.desk, "retrieval"), release, Purpose.MEASURE)
    ours = ranking.pair_models(opened(world.desk, release), permits)
    other = replace(ours, adapter="sha256:" + "a" * 64, reranker="sha256:" + "b" * 64, depth=6)

    def bytes_of() -> tuple[str, ...]:
        return tuple(map(table_digest, compare_pairs(other, ours, world.snapshot).tables.values()))

    together, cores = bytes_of(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        alone = bytes_of()
    finally:
        os.sched_setaffinity(0, cores)
    assert alone == together


# ---- the index against exact search


def checked(world: PairWorld, release: str, retrieval: Retrieval, **more):
    snapshot = world.snapshot
    return check_index(
        world.desk,
        "retrieval",
        release,
        retrieval,
        snapshot.golden,
        dataset=snapshot.digest,
        reason=WHY,
        **more,
    )


def test_an_exact_index_finds_all(world: PairWorld, models: dict[str, Trained]) -> None:
    release = registered(world, models)
    told: list[tuple[int, int]] = []
    evidence = checked(
        world,
        release,
        opened(world.desk, release),
        progress=lambda _what, done, total: told.append((done, total)),
    )
    assert set(evidence.tables["recalls"]["recall"]) == {1.0}
    assert (evidence.facts["kind"], evidence.facts["k"], evidence.facts["items"]) == ("exact", 50, 32)
    current = state(world.desk, "retrieval").releases[release]
    assert evidence.facts["index"] == current.parts[Part.INDEX]
    assert current.latest(EvidenceKind.INDEX) is not None
    assert told[-1] == (world.snapshot.golden.height,) * 2


def test_lists_of_which_one_is_looked_into_miss_what_lies_in_others(
    world: PairWorld, models: dict[str, Trained]
) -> None:
    release = registered(world, models, parameters=IndexParameters(exact_up_to=1, lists=2, probe=1))
    retrieval = opened(world.desk, release)
    evidence = checked(world, release, retrieval, k=10)
    recalls = evidence.tables["recalls"].sort("query_id")
    assert (evidence.facts["kind"], evidence.facts["parameters"]["probe"]) == ("lists", 1)
    assert 0 < recalls["recall"].mean() < 1
    assert recalls["query_id"].to_list() == world.snapshot.golden["query_id"].sort().to_list()
    golden = world.snapshot.golden.sort("query_id")
    vectors = retrieval.embedder.vectors(golden["query"].to_list())
    index = retrieval.index
    for at, share in enumerate(recalls["recall"]):
        near = set(np.argsort(-(index.vectors.rows @ vectors[at]), kind="stable")[:10].tolist())
        found = set(index.search(vectors[at : at + 1], 10).positions[0].tolist())
        assert share == pytest.approx(len(near & found) / 10)


def test_no_index_and_no_query_are_refused(world: PairWorld, models: dict[str, Trained]) -> None:
    release = registered(world, models)
    retrieval = opened(world.desk, release)
    empty = replace(world.snapshot, queries=world.snapshot.queries.clear())
    with pytest.raises(InputError, match="there is no golden query"):
        checked(replace(world, snapshot=empty), release, retrieval)
    desk = world.desk
    versions = dict(state(desk, "retrieval").releases[release].models)
    without = register.register_release(desk, "retrieval", versions, because=Because.MANUAL, reason=WHY)
    with pytest.raises(UsageError, match="it holds none"):
        checked(world, without, retrieval)
    assert pl.Series(state(desk, "retrieval").releases[without].evidence).is_empty()
