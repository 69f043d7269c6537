"""Searches of real gateways: the lists of the release, its catalogue as it changes, one pair a request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from servers import COMMAND, Gateway, place, serving, tiny_search_world, until, users

from mangaops.errors import IntegrityError
from mangaops.inference.families import SERVING
from mangaops.inference.filters import Filters
from mangaops.inference.retrieval import Query, Retrieval
from mangaops.pipeline.retrieval_world import UNIT, RetrievalWorld
from mangaops.pipeline.scratch_pair import DATA, questions, titles
from mangaops.registry import permit
from mangaops.release import checks, judge
from mangaops.release.register import register_release
from mangaops.store import CatalogueLog, read_log
from mangaops.vocabulary import Because, Family, Outcome, Part, Purpose, Side

pytestmark = [pytest.mark.xdist_group("gateway-searches"), pytest.mark.timeout(300)]

SAYS = SERVING[Family.EMBEDDING_ADAPTER].says


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> RetrievalWorld:
    return tiny_search_world(tmp_path_factory)


@pytest.fixture(scope="module")
def gateway(world: RetrievalWorld) -> Iterator[Gateway]:
    with serving(world, options=["--roll", "0.5"]) as made:
        yield made


def loaded(world: RetrievalWorld, release: str) -> Retrieval:
    made = world.shop.load(permit(world.state(), release, Purpose.MEASURE))
    assert isinstance(made, Retrieval)
    return made


def test_a_search_is_answered_as_the_release_answers_offline(world: RetrievalWorld, gateway: Gateway) -> None:
    offline = loaded(world, world.champion)
    for asked, options in [
        (questions()[0], {}),
        (questions()[1], {"k": 3}),
        (questions()[2], {"k": 100}),
        ("", {}),
        ("nul\0 and 😀👍🏽", {}),
        (questions()[3], {"filters": {"in_stock": True, "price_at_most": 800}}),
        (questions()[3], {"filters": {"genres": ["no such genre"]}}),
    ]:
        answer = gateway.search(asked, **options)
        wanted = SAYS(offline.answer(Query.of(asked, options)))
        assert {name: answer[name] for name in wanted} == wanted
        assert (answer["release"], answer["generation"]) == (world.champion, world.state().generation)
    passing = Filters.model_validate({"in_stock": True, "price_at_most": 800})
    cheap = gateway.search(questions()[3], k=100, filters=passing.asked())["items"]
    known = {f"{item_id}.1": item for item_id, item in titles().items()}
    assert cheap
    assert all(passing.lets(known[each["item_id"]]) for each in cheap)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"text": "a router's word"}, "query"),
        ({"query": "x", "k": 0}, "k"),
        ({"query": "x", "k": 101}, "k"),
        ({"query": "x", "k": "3"}, "k"),
        ({"query": "x", "filters": {"colour": "red"}}, "filters.colour"),
        ({"query": "x", "filters": {"in_stock": False}}, "filters.in_stock"),
        ({"query": "x", "filters": {"price_at_most": "1"}}, "filters.price_at_most"),
        ({"query": "x", "filters": {"genres": "drama"}}, "filters.genres"),
    ],
)
def test_what_is_no_search_is_422_and_says_where(gateway: Gateway, body: dict[str, Any], found: str) -> None:
    status, refused = gateway.post("/v1/search", body)
    assert status == 422
    assert found in refused["found"]
    assert refused["accepted"] == (
        "conversation_id, user_id, query, k (1 to 100), filters (price_at_least, price_at_most, in_stock, "
        "languages, age_ratings, genres, tags)"
    )


def test_null_is_the_same_as_left_out(gateway: Gateway) -> None:
    plain = gateway.search(questions()[0])["items"]
    assert len(plain) == 10
    for absent in ({"k": None}, {"filters": None}, {"filters": {"genres": None, "in_stock": None}}):
        assert gateway.search(questions()[0], **absent)["items"] == plain


def test_both_logs_hold_what_a_search_was_limited_to(world: RetrievalWorld, gateway: Gateway) -> None:
    asked = gateway.search(questions()[0], k=3, filters={"genres": ["write to mei@example.com"]})
    plain = gateway.search(questions()[0])

    def rows() -> dict[str, str]:
        logged = read_log(world.home, "requests", unit=UNIT)
        return dict(logged.select("request_id", "options").iter_rows())

    until(lambda: plain["request_id"] in rows(), "the rows of the request log")
    assert json.loads(rows()[asked["request_id"]]) == {
        "k": 3,
        "filters": {"genres": ["write to [e-mail]"]},
    }
    assert json.loads(rows()[plain["request_id"]]) == {"k": 10, "filters": {}}


def test_the_open_inference_protocol_gives_rows_of_ten(world: RetrievalWorld, gateway: Gateway) -> None:
    told = json.loads(gateway.get(f"/v2/models/{UNIT}")[1])
    assert told["inputs"] == [{"name": "query", "datatype": "BYTES", "shape": [-1]}]
    assert [each["shape"] for each in told["outputs"]] == [[-1, 10], [-1, 10], [-1]]
    assert told["platform"] == "mangaops_search", "the name of no single model of the pair"
    asked = [questions()[0], questions()[1]]
    tensor = {"name": "query", "shape": [2], "datatype": "BYTES", "data": asked}
    status, answer = gateway.post(f"/v2/models/{UNIT}/infer", {"inputs": [tensor]})
    assert status == 200
    items, scores, generation = answer["outputs"]
    assert [each["shape"] for each in answer["outputs"]] == [[2, 10], [2, 10], [2]]
    lists = [gateway.search(each)["items"] for each in asked]
    assert items["data"] == [each["item_id"] for found in lists for each in found]
    assert scores["data"] == [each["score"] for found in lists for each in found]
    assert generation["data"] == [0, 0]


def test_a_label_makes_no_sense_of_a_search_and_an_outcome_does(gateway: Gateway) -> None:
    told = {"request_id": gateway.search(questions()[0])["request_id"]}
    status, refused = gateway.post("/v1/feedback", {**told, "label": "drama"})
    assert (status, refused["kind"]) == (422, "InputError")
    assert "no label" in refused["error"]
    assert gateway.post("/v1/feedback", {**told, "outcome": "helped"})[0] == 202


def test_cutovers_and_rollbacks_mix_no_pair(world: RetrievalWorld, gateway: Gateway) -> None:
    with users(gateway, rate=10.0, coming=3) as asking:
        for _ in range(3):
            world.promote_next()
            asking.ask_on(0.5)
            world.roll_back()
    assert asking.saw_nothing()
    assert {release for release, _ in asking.report.versions} == {world.champion, world.ready()}


def test_a_delta_reaches_every_slot_and_what_is_gone_is_answered_by_none(
    world: RetrievalWorld, gateway: Gateway, tmp_path: Path
) -> None:
    world.promote_next()
    gone = next(iter(titles()))
    title = str(titles()[gone]["title"])
    with users(gateway, rate=5.0) as asking:
        asking.gateway.expected = {}
        items = [{"item_id": "fresh", "title": "The Tin Garden", "price": 1, "stock": 1}]
        pl.DataFrame(items).write_parquet(tmp_path / "new.parquet")
        ids = [f"{gone}.{number}" for number in (1, 2)]
        words = ["catalogue", "append", DATA, "--items", str(tmp_path / "new.parquet"), "--reason", "a test"]
        said = told(world, *words, "--removed", ids[0], "--removed", ids[1])
        assert (said["number"], said["added"], said["removed"]) == (1, 1, 2)
        until(lambda: follows(gateway, 1), "the delta in every worker")
        for _ in range(10):
            cheap = gateway.search("The Tin Garden", filters={"price_at_most": 1})
            assert (cheap["items"][0]["title"], cheap["catalogue_generation"]) == ("The Tin Garden", 1)
            assert not set(ids) & {each["item_id"] for each in gateway.search(title, k=100)["items"]}
        world.roll_back()
        for _ in range(10):
            back = gateway.search("The Tin Garden", k=100)
            assert (back["release"], back["catalogue_generation"]) == (world.champion, 1)
            assert "fresh" in {each["item_id"] for each in back["items"]}
    assert not asking.report.failed
    shown = told(world, "catalogue", "show", DATA)
    assert (shown["last"], shown["deltas"][0]["reason"]) == (1, "a test")
    assert gateway.metric("mangaops_catalogue_behind", unit=UNIT) == 0
    assert gateway.metric("mangaops_catalogue_later", unit=UNIT) == 1
    assert gateway.health()["catalogues"][UNIT] == {"generation": 1, "behind": 0, "later": 1}


def follows(gateway: Gateway, number: int) -> bool:
    """Whether every worker answers from that generation of the catalogue."""
    said = [gateway.health_of(worker)["catalogues"][UNIT] for worker in range(gateway.workers)]
    return all((each["generation"], each["behind"]) == (number, 0) for each in said)


def told(world: RetrievalWorld, *words: str) -> dict[str, Any]:
    """What a command says as JSON."""
    done = subprocess.run([*COMMAND, *words, *place(world), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_worker_that_starts_anew_answers_from_today_s_catalogue(
    world: RetrievalWorld, gateway: Gateway
) -> None:
    last = CatalogueLog(world.shop.desk.ledger, DATA).append({"later": {"title": "A Later One"}})
    pid = gateway.kill_worker(0)
    until(lambda: gateway.settled() and gateway.worker_pids()[0] != pid, "a new worker")
    until(lambda: follows(gateway, last), "today's catalogue in every worker")
    assert {gateway.search(questions()[0])["catalogue_generation"] for _ in range(20)} == {last}


def test_a_delta_that_no_slot_can_read_is_told_and_costs_no_answer(
    world: RetrievalWorld, gateway: Gateway
) -> None:
    log = CatalogueLog(world.shop.desk.ledger, DATA)
    before = log.last()
    log.append({"odd": "no item"})
    until(lambda: warned(gateway), "a warning")
    assert gateway.search(questions()[0])["catalogue_generation"] == before
    assert gateway.health()["status"] == 200
    assert gateway.metric("mangaops_catalogue_refused_total", unit=UNIT, error="InputError") > 0


def warned(gateway: Gateway) -> bool:
    return any(
        "is behind its log, deltas: 1" in each and "is no item" in each
        for each in gateway.health()["warnings"]
    )


def test_the_shadow_is_asked_the_same_and_its_log_has_both_lists(
    world: RetrievalWorld, gateway: Gateway
) -> None:
    world.shadow_next()

    def shadowed() -> float:
        gateway.search(questions()[0], k=3, filters={"in_stock": True})
        return gateway.metric("mangaops_shadowed_total", result="answered")

    until(lambda: shadowed() >= 3, "searches that the shadow answered")
    rows = until(lambda: logged_lists(world), "their rows in the log")
    for row in rows:
        both = [json.loads(row[f"{side}_answer"]) for side in ("champion", "challenger")]
        assert row["text"] == questions()[0]
        assert json.loads(row["options"]) == {"k": 3, "filters": {"in_stock": True}}
        for side in both:
            assert side.keys() - {"catalogue_hash"} == {"items", "scores", "catalogue_generation"}
            assert len(side["items"]) == 3
        ids = [[each.rpartition(".")[0] for each in side["items"]] for side in both]
        stock = [titles()[item]["stock"] for side in ids for item in side if item in titles()]
        assert all(count > 0 for count in stock)
    requests = read_log(world.home, "requests", unit=UNIT)
    assert requests["answer"][0] is not None
    world.end_shadow()


def logged_lists(world: RetrievalWorld) -> list[dict[str, Any]]:
    rows = read_log(world.home, "shadow", unit=UNIT)
    return rows.filter(pl.col("challenger_answer").is_not_null()).to_dicts()


def test_an_index_of_another_adapter_is_rejected_and_the_champion_stays(
    world: RetrievalWorld, gateway: Gateway
) -> None:
    """One of the last tests of this file: `ready` would take its release up again."""
    release, before, desk = world.ready(), world.champion, world.shop.desk
    current = world.state()
    mixed = register_release(
        desk,
        UNIT,
        current.releases[release].models,
        parts={str(Part.INDEX): current.releases[before].parts[Part.INDEX]},
        because=Because.MANUAL,
        reason="an index of another adapter",
    )
    with pytest.raises(IntegrityError, match="another adapter made them"):
        loaded(world, mixed)
    facts = checks.check_fingerprints(desk, UNIT, mixed, dataset=world.dataset, reason="a test").facts
    assert "another adapter made them" in facts["sides"][Side.RELEASE]["why"]
    judged = judge.judge_offline(desk, UNIT, mixed, dataset=world.dataset, reason="a test")
    assert judged is not None
    assert judged.outcome == Outcome.REJECT
    assert gateway.search(questions()[0])["release"] == before
    assert gateway.settled()


def test_where_no_release_serves_nothing_is_found(world: RetrievalWorld, gateway: Gateway) -> None:
    """The last test of this file: it takes the champion away."""
    while world.champion != "fallback":
        world.roll_back()
    until(lambda: gateway.search("x")["release"].startswith("fallback"), "the fallback")
    answer = gateway.search("x", k=3)
    assert (answer["items"], answer["catalogue_generation"]) == ([], 0)
