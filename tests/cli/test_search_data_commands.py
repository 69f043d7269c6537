"""`data validate|snapshot|show` on a catalogue, judged queries and logs of searches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mangaops.errors import InputError
from mangaops.pipeline.catalogue_run import Appended, append_delta, deltas
from mangaops.pipeline.workshop import Workshop
from mangaops.store import Snapshots
from mangaops.wiring import Settings, open_workshop

WORDS = ("garden", "samurai", "library", "river", "planet", "kitchen", "dragon", "school", "violin", "storm")


@pytest.fixture
def shop(stack: Path, tmp_path: Path) -> Path:
    """The stack with a dataset `shop`; beside it items, judgments and searches as Parquet and in SQLite."""
    text = stack.read_text()
    stack.write_text(text.replace("\ndata:\n", "\ndata:\n  shop: {kind: search}\n", 1))
    names = [f"{a} {b}" for a in WORDS for b in WORDS if a != b]
    frames = {
        "items": pl.DataFrame(
            {
                "item_id": [f"i{n}" for n in range(len(names))],
                "title": names,
                "synopsis": [f"a story of the {each}" for each in names],
            }
        ),
        "judged": pl.DataFrame(
            {
                "query": [f"manga {each}" for each in names for _ in range(2)],
                "item_id": [f"i{(n // 2 + n % 2) % len(names)}" for n in range(2 * len(names))],
                "grade": [1, 0] * len(names),
            }
        ),
        "searches": pl.DataFrame(
            {
                "search_id": [f"s{n}" for n in range(200)],
                "query": [f"manga {names[n % 17]}" for n in range(200)],
                "user_id": [f"u{n % 23}" for n in range(200)],
                "item_id": [f"i{n % 17}" for n in range(200)],
                "rank": [1] * 200,
                "clicked": [n % 3 > 0 for n in range(200)],
            }
        ),
    }
    with sqlite3.connect(tmp_path / "shop.db") as database:
        for name, frame in frames.items():
            frame.write_parquet(tmp_path / f"{name}.parquet")
            database.execute(f"CREATE TABLE {name} ({', '.join(frame.columns)})")
            places = ", ".join("?" * frame.width)
            database.executemany(f"INSERT INTO {name} VALUES ({places})", frame.rows())
    return stack


def files(folder: Path) -> list[str | Path]:
    return [
        *("--catalogue", folder / "items.parquet"),
        *("--judgments", folder / "judged.parquet"),
        *("--searches", folder / "searches.parquet"),
    ]


def test_validate_reads_and_stores_nothing(shop: Path, tmp_path: Path, mangaops) -> None:
    ended = mangaops("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path), "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["errors"], told["sections"]["searches"]["searches"]) == ([], 200)
    assert not (shop.parent / ".mangaops").exists()
    shown = mangaops("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path))
    assert "Popularity" in shown.out
    assert "Validation of catalogue, judgments and searches: usable" in shown.out
    assert "\\" not in shown.out
    assert "  - 1.0: 0.5\n" in shown.out


def test_the_report_is_headed_by_what_is_at_fault(shop: Path, tmp_path: Path, mangaops) -> None:
    items = pl.read_parquet(tmp_path / "items.parquet")
    pl.concat([items, items.head(1)]).write_parquet(tmp_path / "items.parquet")
    shown = mangaops("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path))
    assert shown.code == 4
    assert "Validation of catalogue: refused" in shown.out


def test_a_catalogue_that_was_not_judged_is_told_and_not_stored(shop: Path, tmp_path: Path, mangaops) -> None:
    other = pl.read_parquet(tmp_path / "items.parquet").with_columns(pl.col("item_id") + "x")
    other.write_parquet(tmp_path / "items.parquet")
    ended = mangaops("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path), "--json")
    assert ended.code == 4
    assert "is this the catalogue that was judged?" in " ".join(json.loads(ended.out)["errors"])
    refused = mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    assert refused.code == 4
    assert "is this the catalogue that was judged?" in refused.err
    log = mangaops("audit", "log", "--stack", shop, "--json")
    assert json.loads(log.out).get("events", []) == []


def test_a_version_is_shown_by_the_digest_of_its_heading(shop: Path, tmp_path: Path, mangaops) -> None:
    taken = mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    name, short = taken.out.split()[:2]
    assert short.startswith("sha256:")
    shown = mangaops("data", "show", "--stack", shop, short, "--json")
    assert json.loads(shown.out)["name"] == name
    unknown = mangaops("data", "show", "--stack", shop, "sha256:00000000")
    assert unknown.code == 2
    assert "the ledger lists no such digest" in unknown.err
    assert name in unknown.err


def test_a_version_of_the_other_kind_is_named_as_such_to_who_trains(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    taken = mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    name = taken.out.split()[0]
    ended = mangaops("train", "intent-classifier", "--stack", shop, "--dataset", name)
    assert ended.code == 2
    assert "a version of shop, which is data of kind search" in ended.err
    assert "a version of intent-data: none is recorded yet" in ended.err


def test_queries_that_leave_a_split_empty_are_refused_by_validate_as_by_snapshot(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    judged = pl.read_parquet(tmp_path / "judged.parquet")
    judged.head(2).write_parquet(tmp_path / "judged.parquet")
    ended = mangaops("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path), "--json")
    assert ended.code == 4
    assert "no query with a relevant item for" in json.loads(ended.out)["errors"][0]
    refused = mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    assert refused.code == 4
    assert "no query with a relevant item for" in refused.err


def test_golden_queries_of_the_version_before_fill_their_split(shop: Path, tmp_path: Path, mangaops) -> None:
    judged = pl.read_parquet(tmp_path / "judged.parquet")
    taken = mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    assert taken.code == 0, taken.err
    shown = mangaops("data", "show", "--stack", shop, taken.out.split()[0], "--json")
    frame = snapshot_table(shop, json.loads(shown.out)["digest"], "queries")
    learnt = frame.filter(pl.col("split") != "golden")["query"].implode()
    judged.filter(pl.col("query").is_in(learnt)).write_parquet(tmp_path / "judged.parquet")
    validate = ("data", "validate", "--stack", shop, "--data", "shop", *files(tmp_path), "--json")
    assert mangaops(*validate).code == 0
    nowhere = mangaops(*validate, "--home", tmp_path / "elsewhere")
    assert "no query with a relevant item for golden" in json.loads(nowhere.out)["errors"][0]


def snapshot_table(stack: Path, digest: str, name: str) -> pl.DataFrame:
    """A table of a stored version."""
    folder = next(iter((stack.parent / ".mangaops").rglob(f"*{digest.removeprefix('sha256:')}*")))
    return pl.read_parquet(next(iter(folder.rglob(f"{name}.parquet"))))


def test_a_version_is_recorded_shown_and_the_same_from_a_database(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    take = ("data", "snapshot", "--stack", shop, "--data", "shop", "--json")
    first = json.loads(mangaops(*take, *files(tmp_path)).out)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    from_sql = mangaops(
        *take,
        *("--catalogue", url, "--sql", "catalogue=SELECT * FROM items"),
        *("--judgments", url, "--sql", "judgments=SELECT * FROM judged"),
        *("--searches", url, "--sql", "searches=SELECT * FROM searches"),
    )
    assert from_sql.code == 0, from_sql.err
    assert json.loads(from_sql.out)["digest"] == first["digest"]
    shown = json.loads(mangaops("data", "show", first["name"], "--stack", shop, "--json").out)
    assert (shown["digest"], shown["name"]) == (first["digest"], first["name"])
    assert shown["manifest"]["rows"]["items"] == 90
    events = json.loads(mangaops("audit", "log", "--stack", shop, "--json").out)["events"]
    assert sorted(event["kind"] for event in events) == ["dataset_recorded", "golden_frozen"]
    assert {event["stream"] for event in events} == {"data/shop"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "no dataset was chosen, and 2 will do accepted: intent-data, shop next:"),
        (("--data", "shop", "--logs", "items.parquet"), "--logs is for the other kind, no --catalogue"),
        (("--data", "shop", "--catalogue", "items.parquet"), "no --judgments"),
        (("--data", "intent-data", "--catalogue", "items.parquet"), "--catalogue is for the other kind"),
        (("--data", "intent-data"), "no --logs"),
        (
            ("--data", "shop", "--catalogue", "x", "--judgments", "x", "--sql", "items=SELECT 1"),
            "WHICH=SELECT, each once: catalogue, judgments, searches",
        ),
        (
            ("--data", "shop", "--catalogue", "x", "--judgments", "x", "--sql", "searches=SELECT 1"),
            "no --searches",
        ),
        (("--data", "shop", "--catalogue", "gone.parquet", "--judgments", "gone.parquet"), "gone.parquet"),
    ],
)
def test_options_of_the_wrong_kind_are_refused_before_anything_is_made(
    options: tuple[str, ...], says: str, shop: Path, mangaops
) -> None:
    for verb in ("validate", "snapshot"):
        ended = mangaops("data", verb, "--stack", shop, *options)
        assert ended.code in (2, 4)
        assert says in " ".join(ended.err.split())


def test_the_options_choose_the_only_dataset_of_their_kind_and_name_the_choices_where_there_are_two(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    ended = mangaops("data", "validate", "--stack", shop, *files(tmp_path), "--json")
    assert (ended.code, json.loads(ended.out)["sections"]["searches"]["searches"]) == (0, 200)
    shop.write_text(shop.read_text().replace("\ndata:\n", "\ndata:\n  books: {kind: search}\n", 1))
    refused = mangaops("data", "validate", "--stack", shop, *files(tmp_path))
    assert refused.code == 2
    assert "and 2 will do accepted: books, shop next: name one of these" in " ".join(refused.err.split())
    labelled = mangaops("data", "validate", "--stack", shop, "--logs", tmp_path / "items.parquet")
    assert "no column 'text'" in labelled.err


def test_a_model_that_the_stack_has_not_is_refused_with_a_next_step(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path))
    ended = mangaops("train", "foo", "--stack", shop)
    assert ended.code == 2
    assert "accepted: intent-classifier next: name one of these" in " ".join(ended.err.split())


def test_new_grades_of_golden_queries_are_counted_and_taken_when_asked(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    take = ("data", "snapshot", "--stack", shop, "--data", "shop", "--json")
    first = json.loads(mangaops(*take, *files(tmp_path)).out)
    judged = pl.read_parquet(tmp_path / "judged.parquet")
    more = judged.filter(pl.col("grade") == 1).with_columns(item_id=pl.lit("i80"), grade=pl.lit(1, pl.Int64))
    pl.concat([judged, more]).write_parquet(tmp_path / "judged.parquet")
    kept = json.loads(mangaops(*take, *files(tmp_path)).out)["manifest"]
    golden = first["manifest"]["golden"]
    reason = "new grade of a golden query (--grow-golden takes it)"
    assert golden["queries"] - 1 <= kept["dropped"][reason] <= golden["queries"], (
        "i80 is one of theirs at most"
    )
    assert kept["golden"] == golden
    grown = json.loads(mangaops(*take, *files(tmp_path), "--grow-golden").out)["manifest"]
    assert reason not in grown["dropped"]
    assert grown["golden"]["queries"] == golden["queries"]
    assert grown["golden"]["digest"] != golden["digest"]


RETRIEVAL = """
stack: shop
data:
  shop: {kind: search}
models:
  adapter: {family: embedding-adapter, base: minilm-l6, data: shop, training: {}}
  reranker: {family: cross-encoder-reranker, base: minilm-l6, data: shop, training: {}}
units:
  retrieval:
    models: [adapter, reranker]
    bootstrap:
      - {gate: at_least, metric: ndcg@10, on: search, value: 0.3, unjudged: irrelevant, min_judged: 0.5}
    gates:
      - {gate: pair, margin: 0.01, unjudged: irrelevant, min_judged: 0.5}
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "reranker"), "no adapter draws its candidates"),
        (
            ("release", "bootstrap", "retrieval", "--logs", "items.parquet", "--reason", "first"),
            "no --catalogue",
        ),
        (("release", "bootstrap", "retrieval", "--reason", "first"), "no --catalogue, no --judgments"),
        (("release", "run", "retrieval", "--catalogue", "items.parquet"), "no --judgments"),
        (("release", "run", "other", "--catalogue", "items.parquet"), "declares no such unit accepted:"),
        (("release", "list", "retreival"), "did you mean 'retrieval'?"),
        (("release", "run", "retreival", "--catalogue", "items.parquet"), "did you mean 'retrieval'?"),
        (("stack", "check", "--unit", "retreival"), "did you mean 'retrieval'?"),
        (("serve", "--unit", "retreival"), "did you mean 'retrieval'?"),
        (("release", "show", "retreival"), "did you mean 'retrieval'?"),
        (("release", "show", "retrieval-9"), "next: mangaops release list retrieval"),
        (("release", "show", "other-9"), "next: mangaops release list retrieval"),
        (("train", "rerankr"), "did you mean 'reranker'?"),
        (("data", "validate", "--data", "shp", "--searches", "x"), "did you mean 'shop'?"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_a_unit_that_searches_needs_is_named(
    words: tuple[str, ...], says: str, shop: Path, tmp_path: Path, mangaops
) -> None:
    shop.write_text(RETRIEVAL)
    taken = mangaops("data", "snapshot", "--stack", shop, *files(tmp_path))
    assert taken.code == 0, taken.err
    ended = mangaops(*words, "--stack", shop)
    assert ended.code not in (0, 1)
    assert says in " ".join(ended.err.split())


def test_a_stack_that_searches_is_checked_by_simulated_weeks(shop: Path, mangaops) -> None:
    shop.write_text(RETRIEVAL.replace("kind: search", "kind: search, golden: {queries: 150}"))
    ended = mangaops("stack", "check", "--stack", shop, "--weeks", "20", "--seed", "3")
    assert ended.code == 0, ended.err
    said = " ".join(ended.out.split())
    assert "retrieval: 20 simulated weeks of each kind, through the real judge" in said
    assert "ASSUMED, not measured: 150 golden queries" in said
    assert "pair: ndcg@10 of the pair on search" in said
    again = mangaops("stack", "check", "--stack", shop, "--weeks", "20", "--seed", "3", "--json")
    told = json.loads(again.out)
    assert [each["gain"] for each in told["challengers"]] == [0.0, -0.01, 0.01]
    assert told["not_simulated"] == []


def test_a_unit_of_labelled_logs_takes_no_catalogue(stack: Path, mangaops) -> None:
    ended = mangaops("release", "run", "router", "--stack", stack, "--catalogue", "items.parquet")
    assert "--catalogue is for the other kind, no --logs" in " ".join(ended.err.split())


def test_no_pair_was_judged_where_none_was_released(shop: Path, tmp_path: Path, mangaops) -> None:
    shop.write_text(RETRIEVAL)
    assert mangaops("data", "snapshot", "--stack", shop, *files(tmp_path)).code == 0
    told = json.loads(mangaops("release", "pairs", "retrieval", "--stack", shop, "--json").out)
    assert told == {"unit": "retrieval", "pairs": []}
    assert "decided_at" in mangaops("release", "pairs", "retrieval", "--stack", shop).out


def test_what_no_version_holds_cannot_be_removed_from_its_catalogue(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    remove = ("catalogue", "append", "shop", "--stack", shop, "--removed")
    assert mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path)).code == 0
    refused = mangaops(*remove, "i1", "--removed", "i9999")
    assert (refused.code, "i9999: 1 of 2 ids" in refused.err) == (4, True)
    assert "next: mend these ids" in refused.err
    assert mangaops(*remove, "i1").code == 0
    assert "shop: 1 delta\n" in mangaops("catalogue", "show", "shop", "--stack", shop).out
    assert mangaops(*remove, "i2").code == 0
    assert "shop: 2 deltas" in mangaops("catalogue", "show", "shop", "--stack", shop).out


def test_items_as_the_newest_version_has_them_change_nothing(shop: Path, tmp_path: Path, mangaops) -> None:
    append = ("catalogue", "append", "shop", "--stack", shop, "--items", tmp_path / "items.parquet")
    assert mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path)).code == 0
    told = json.loads(mangaops(*append, "--json").out)
    assert (told["number"], told["unchanged"]) == (None, 90)
    items = pl.read_parquet(tmp_path / "items.parquet")
    dearer = items.with_columns(price=pl.when(pl.col("item_id") == "i7").then(9))
    dearer.write_parquet(tmp_path / "items.parquet")
    told = json.loads(mangaops(*append, "--json").out)
    assert (told["number"], told["added"], told["unchanged"]) == (1, 1, 89)


@dataclass(frozen=True)
class Overtaken:
    """Snapshots, while whose tables are read something else happens."""

    snapshots: Snapshots
    meanwhile: Callable[[], object]

    def get_tables(self, digest: str) -> Any:
        self.meanwhile()
        return self.snapshots.get_tables(digest)


def test_of_two_removals_at_once_the_later_is_decided_on_the_log_with_the_other(
    shop: Path, tmp_path: Path, mangaops
) -> None:
    assert mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path)).code == 0
    opened = open_workshop(Settings(shop, shop.parent / ".mangaops", None, None, "kim"))
    ids = [f"i{n}" for n in range(90)]

    def remove(shop: Workshop, *gone: str) -> Appended:
        return append_delta(shop, "shop", None, gone, reason="gone", progress=lambda *_told: None)

    def overtaken(*by: str) -> Workshop:
        first = iter([lambda: remove(opened, *by)])
        stores = Overtaken(opened.desk.snapshots, lambda: next(first, lambda: None)())
        return replace(opened, desk=replace(opened.desk, snapshots=stores))

    remove(opened, *ids[:86])
    made = remove(overtaken("i88"), "i87", "i88")
    assert made.delta is not None
    assert (made.delta.number, made.delta.removed, made.change.gone) == (3, ("i87",), ("i88",))
    with pytest.raises(InputError, match="find nothing"):
        remove(overtaken("i86"), "i89")
    assert [each.removed for each in deltas(opened, "shop")][1:] == [("i88",), ("i87",), ("i86",)]


def test_a_removal_goes_through_without_the_store_and_says_so(shop: Path, tmp_path: Path, mangaops) -> None:
    assert mangaops("data", "snapshot", "--stack", shop, "--data", "shop", *files(tmp_path)).code == 0
    words = ("catalogue", "append", "shop", "--stack", shop, "--removed")
    there = mangaops(*words, "i1", "--json")
    assert (there.code, json.loads(there.out)["warning"]) == (0, None)
    assert mangaops(*words, "nobody").code == 4
    (shop.parent / ".mangaops" / "snapshots").rename(tmp_path / "away")
    ended = mangaops(*words, "i2")
    assert (ended.code, "delta 2 of shop" in ended.out) == (0, True)
    assert "was not checked" in ended.err
    assert "was not checked" in json.loads(mangaops(*words, "i3", "--json").out)["warning"]
