"""Search logs: who searched, what was shown, and clicks that position bends by a stated amount."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mangaops.cli import main
from mangaops.errors import SetupError, UsageError
from mangaops.simulation import World, write_searches, write_traffic
from mangaops.simulation.asked import about
from mangaops.simulation.queries import queries
from mangaops.simulation.searches import CLICKED, ETA, SCHEMA, SHOWN, searches
from mangaops.simulation.shop import shop
from mangaops.simulation.world import BEGINS, WEEK

SEED = 7
SESSIONS = 4000


@pytest.fixture(scope="module")
def titles() -> pl.DataFrame:
    return shop(SEED)


@pytest.fixture(scope="module")
def log(titles: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([searches(SEED, week, SESSIONS, titles) for week in (0, 1)])


@pytest.fixture(scope="module")
def unbent(titles: pl.DataFrame) -> pl.DataFrame:
    """The same weeks of users who examine every rank."""
    return pl.concat([searches(SEED, week, SESSIONS, titles, eta=0.0) for week in (0, 1)])


@pytest.fixture(scope="module")
def judged(titles: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return queries(SEED, about(1).stop, titles)


@pytest.fixture(scope="module")
def graded(judged: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    return judged[1].select("query_id", "item_id", "grade")


# ---- form


def test_each_search_shows_ten_known_titles_that_are_out(titles: pl.DataFrame, log: pl.DataFrame) -> None:
    assert dict(log.schema) == SCHEMA
    pages = log.group_by("search_id", maintain_order=True).agg(
        "rank", pl.col("item_id").n_unique().alias("items"), pl.col("at").n_unique().alias("times")
    )
    assert all(ranks == list(range(1, SHOWN + 1)) for ranks in pages["rank"].to_list())
    assert (pages["items"] == SHOWN).all()
    assert (pages["times"] == 1).all()
    shown = log.join(titles.select("item_id", "released", "stock"), on="item_id", how="left")
    assert (shown["released"] < shown["at"].dt.truncate("1w") + WEEK).all()
    assert not shown.filter("bought", ~pl.col("clicked")).height
    assert shown.filter("bought")["stock"].min() > 0  # type: ignore[operator]
    assert 100 < log["bought"].sum() < log["clicked"].sum() / 3


def test_ids_say_that_they_are_simulated_and_times_lie_in_the_week(log: pl.DataFrame) -> None:
    for column in ("search_id", "query_id", "user_id", "session_id", "item_id"):
        assert log[column].str.starts_with("sim-").all()
    assert log["at"].min() >= BEGINS  # type: ignore[operator]
    assert log["at"].max() < BEGINS + 2 * WEEK  # type: ignore[operator]
    sessions = log.group_by("session_id").agg(pl.col("user_id", "search_id").n_unique())
    assert sessions["user_id"].max() == 1
    assert set(sessions["search_id"]) == {1, 2, 3, 4}


def test_queries_are_those_that_were_judged(
    log: pl.DataFrame, judged: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    typed = log.unique("search_id").join(judged[0], on="query_id", how="left", suffix="_judged")
    assert (typed["query"] == typed["query_judged"]).all()
    mixed = (typed["language"] == "ja-en").mean()
    assert mixed == pytest.approx(0.09, abs=0.025)
    most = typed["query_id"].value_counts()["count"].sort(descending=True)
    assert most.head(100).sum() > 0.2 * typed.height  # some are typed by many, most by few
    assert (most == 1).sum() > 50


def test_users_come_and_go_as_in_the_traffic(titles: pl.DataFrame, log: pl.DataFrame) -> None:
    week = pl.col("at") < BEGINS + WEEK
    first, second = (set(log.filter(each)["user_id"]) for each in (week, ~week))
    assert len(first & second) / len(first) > 0.25
    assert not first & set(searches(SEED, 12, SESSIONS, titles)["user_id"])
    talked = set(World(SEED).week(0, 300).logs["user_id"])
    searched = set(searches(SEED, 0, 300, titles)["user_id"])
    assert len(talked & searched) / len(talked) > 0.25


def test_a_week_stands_alone_and_queries_and_titles_change(titles: pl.DataFrame) -> None:
    first, later = searches(SEED, 0, 200, titles), searches(SEED, 20, 200, titles)
    assert searches(SEED, 20, 200, titles).equals(later)
    assert not set(first["query_id"]) & set(later["query_id"])
    new = titles.filter(pl.col("released") >= BEGINS + WEEK)["item_id"].implode()
    assert not first["item_id"].is_in(new).any()
    assert later["item_id"].is_in(new).any()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"week": -1}, {"sessions": 0}, {"eta": -0.1}, {"eta": 9.0}])
def test_searches_that_cannot_be_are_refused(titles: pl.DataFrame, wrong: dict[str, float]) -> None:
    given = {"seed": 1, "week": 0, "sessions": 5} | wrong
    with pytest.raises(UsageError, match="simulated searches were refused"):
        searches(shop=titles, **given)  # type: ignore[arg-type]


def test_progress_is_told(titles: pl.DataFrame) -> None:
    told: list[tuple[str, int, int]] = []
    searches(SEED, 0, 500, titles, progress=lambda what, done, total: told.append((what, done, total)))
    shop(SEED, 500, lambda what, done, total: told.append((what, done, total)))
    queries(SEED, 200, titles, lambda what, done, total: told.append((what, done, total)))
    assert told == [
        ("simulating searches of week 0", 500, 500),
        ("simulating the shop", 500, 500),
        ("judging queries", 200, 200),
    ]


# ---- position bias


def _severity(log: pl.DataFrame) -> tuple[float, float]:
    """(eta, standard error) from swaps: clicks on the same title for the same query at several ranks.

    A pair shown n_r times at rank r has E[clicks] = attraction * n_r * r**-eta. Given a pair's clicks, the
    mean of log r is that of weights n_r * r**-eta whatever its attraction: sum(clicks * (log r - mean)) = 0
    gives eta, with a sandwich error by pair.

    Source: Agarwal, Zaitsev, Wang, Li, Najork and Joachims (WSDM 2019), "Estimating position bias without
    intrusive interventions": ranks that vary are interventions.
    """
    pair = ("query_id", "item_id")
    rows = log.group_by(*pair, "rank").agg(pl.len().alias("n"), pl.col("clicked").sum().alias("clicks"))
    rows = rows.filter((pl.len().over(pair) > 1) & (pl.col("clicks").sum().over(pair) > 0))
    key = rows.select(pl.struct(pair).rank("dense")).to_series().to_numpy() - 1
    n, clicks = (rows[name].cast(pl.Float64).to_numpy() for name in ("n", "clicks"))
    ranks = np.log(rows["rank"].to_numpy())

    def sums(eta: float) -> np.ndarray:
        weight = n * np.exp(-eta * ranks)
        mean = np.bincount(key, weight * ranks) / np.bincount(key, weight)
        return np.bincount(key, clicks * (ranks - mean[key]))

    low, high = -2.0, 4.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sums(middle).sum() < 0 else (low, middle)
    slope = (sums(low + 1e-4).sum() - sums(low - 1e-4).sum()) / 2e-4
    return low, float(np.sqrt((sums(low) ** 2).sum()) / abs(slope))


def _naive_severity(log: pl.DataFrame) -> float:
    """The fall of the click rate with the rank, as if the engine ranked at random."""
    rate = log.group_by("rank").agg(pl.col("clicked").mean()).sort("rank")
    return float(-np.polyfit(np.log(rate["rank"]), np.log(rate["clicked"]), 1)[0])


def test_swaps_give_the_stated_severity_back_and_the_raw_click_rate_does_not(log: pl.DataFrame) -> None:
    eta, error = _severity(log)
    assert error < 0.06
    assert abs(eta - ETA) < 1.96 * error, (eta, error)
    assert _naive_severity(log) > eta + 6 * error


def test_without_bias_swaps_find_none_though_the_raw_click_rate_still_falls(unbent: pl.DataFrame) -> None:
    eta, error = _severity(unbent)
    assert abs(eta) < 1.96 * error, (eta, error)
    assert error < 0.06
    assert _naive_severity(unbent) > 6 * error


def _attraction(log: pl.DataFrame, graded: pl.DataFrame, eta: float) -> list[tuple[float, float]]:
    """(Click rate, standard error) by grade, each click weighted by r**eta, one over its propensity."""
    known = log.join(graded, on=["query_id", "item_id"])
    worth = (pl.col("clicked") * pl.col("rank").cast(pl.Float64).pow(eta)).alias("worth")
    rows = (
        known.with_columns(worth)
        .group_by("grade")
        .agg(pl.col("worth").mean(), (pl.col("worth").std() / pl.len().sqrt()).alias("error"))
    )
    return rows.sort("grade").select("worth", "error").rows()


def _misled(rates: list[tuple[float, float]]) -> list[bool]:
    """By grade: the stated probability of a click lies outside of 3.3 standard errors."""
    return [abs(rate - stated) > 3.3 * error for (rate, error), stated in zip(rates, CLICKED, strict=True)]


def test_clicks_mislead_until_they_are_weighted_by_inverse_propensity(
    log: pl.DataFrame, unbent: pl.DataFrame, graded: pl.DataFrame
) -> None:
    assert _misled(_attraction(log, graded, 0.0)) == [True] * 4
    assert _misled(_attraction(log, graded, ETA)) == [False] * 4
    assert _misled(_attraction(unbent, graded, 0.0)) == [False] * 4
    assert any(_misled(_attraction(unbent, graded, ETA)))


# ---- files


def _write(folder: Path, **options: object) -> dict[str, object]:
    given = {"seed": 9, "weeks": 1, "sessions": 60, "titles": 300} | options
    return write_searches(folder, **given)  # type: ignore[arg-type]


def test_files_hold_what_the_summary_says_and_that_all_is_simulated(tmp_path: Path) -> None:
    told: list[str] = []
    summary = _write(tmp_path / "new" / "folder", progress=lambda what, *_: told.append(what))
    frames = {name: pl.read_parquet(path) for name, path in summary["files"].items()}  # type: ignore[attr-defined]
    assert {name: frame.height for name, frame in frames.items()} == summary["rows"]
    assert set(frames) == {"catalogue", "queries", "judgments", "searches"}
    assert frames["catalogue"].equals(shop(9, 300))
    assert frames["searches"].head(100).equals(searches(9, 0, 60, shop(9, 300)).head(100))
    assert set(frames["searches"]["query_id"]) <= set(frames["queries"]["query_id"])
    assert frames["judgments"]["query_id"].unique(maintain_order=True).equals(frames["queries"]["query_id"])
    readme = (tmp_path / "new" / "folder" / "README.txt").read_text()
    assert "All of this is simulated" in readme
    assert f"r ** -{ETA}" in readme
    assert json.loads(json.dumps(summary))["simulated"] is True
    assert "judging queries" in told
    assert {each.name for each in (tmp_path / "new" / "folder").iterdir()} == {
        "README.txt", "catalogue.parquet", "queries.parquet", "judgments.parquet", "searches.parquet",
    }  # fmt: skip


@pytest.mark.parametrize(("format", "read"), [("csv", pl.read_csv), ("jsonl", pl.read_ndjson)])
def test_other_formats_hold_the_same_rows(tmp_path: Path, format: str, read: object) -> None:
    _write(tmp_path / "parquet")
    _write(tmp_path, format=format)
    for name, column in (("searches", "clicked"), ("catalogue", "synopsis"), ("judgments", "grade")):
        same = read(tmp_path / f"{name}.{format}")  # type: ignore[operator]
        assert (
            same[column].to_list()
            == pl.read_parquet(tmp_path / "parquet" / f"{name}.parquet")[column].to_list()
        )


@pytest.mark.parametrize(
    "options", [{"weeks": 0}, {"sessions": 0}, {"titles": 99}, {"format": "xlsx"}, {"seed": -1}]
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="refused"):
        _write(tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()


def test_another_shop_replaces_the_files_of_the_one_before(tmp_path: Path) -> None:
    _write(tmp_path, seed=3, titles=200, format="jsonl")
    summary = _write(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "README.txt", "catalogue.parquet", "queries.parquet", "judgments.parquet", "searches.parquet",
    }  # fmt: skip
    assert f"seed {summary['seed']}" in (tmp_path / "README.txt").read_text()


def test_a_folder_of_simulated_traffic_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    write_traffic(tmp_path, seed=9, weeks=1, conversations=20)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    told: list[str] = []
    with pytest.raises(UsageError, match="simulate searches was refused") as refused:
        _write(tmp_path, progress=lambda what, *_: told.append(what))
    assert refused.value.found == "README.txt, catalogue.parquet"
    assert (told, {each.name: each.read_bytes() for each in tmp_path.iterdir()}) == ([], before)


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="simulate searches was refused: nothing was written"):
        _write(tmp_path / "file")


def test_the_command_writes_them_and_prints_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["simulate", "searches", "--out", str(tmp_path / "shop"), "--weeks", "1", "--sessions", "20"]
    with pytest.raises(SystemExit) as ended:
        main([*given, "--titles", "200", "--seed", "3", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (ended.value.code or 0) == 0
    assert said["rows"]["catalogue"] == pl.read_parquet(said["files"]["catalogue"]).height == 200
    with pytest.raises(SystemExit) as ended:
        main([*given, "--titles", "5"])
    assert ended.value.code == 2
    assert "--titles" in capsys.readouterr().err
