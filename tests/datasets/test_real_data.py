"""The same promises on real logs, where an environment variable says that they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from mangaops.datasets import (
    Snapshot,
    Source,
    collect,
    collect_traffic,
    collect_truth,
    compare,
    logs,
    snapshot,
)
from mangaops.stack import DataSpec
from mangaops.vocabulary import Side

EXAMPLES = Path(__file__).parents[2] / "examples"
DAY = date(2026, 4, 20)


def dataset(variable: str) -> Path:
    place = os.environ.get(variable)
    if not place:
        pytest.skip(f"{variable} is not set: it names the Parquet file")
    return Path(place)


def prepare(example: str, source: Path, out: Path) -> None:
    script = EXAMPLES / example / "prepare.py"
    subprocess.run([sys.executable, str(script), "--source", str(source), "--out", str(out)], check=True)


def weeks(example: str, folder: Path) -> tuple[Snapshot, Snapshot, DataSpec]:
    """The snapshot of `before`, then that of `logs`."""
    stack = yaml.safe_load((EXAMPLES / example / "stack.yaml").read_text())
    ((data, settings),) = stack["data"].items()
    spec = DataSpec(**settings)
    critical = stack["models"]["intent-classifier"]["critical"]
    previous: Snapshot | None = None
    made = []
    for name in ("before", "logs"):
        gathered = collect(Source((str(folder / f"{name}.parquet"),)), spec)
        previous = snapshot(gathered, spec, data=data, critical=critical, previous=previous, at=DAY)
        made.append(previous)
    return made[0], made[1], spec


def holds(first: Snapshot, second: Snapshot, spec: DataSpec) -> None:
    _, conflicts = compare(second, {Side.BASELINE: first, Side.RELEASE: second}, spec)
    assert conflicts.height == 0
    assert second.manifest["golden"]["digest"] == first.manifest["golden"]["digest"]
    assert abs(second.golden["weight"].mean() - 1) < 1e-9


@pytest.mark.slow
def test_clinc150_keeps_its_test_split_and_loses_its_two_shared_texts(tmp_path: Path) -> None:
    prepare("clinc150", dataset("MANGAOPS_CLINC150"), tmp_path)
    first, second, spec = weeks("clinc150", tmp_path)
    holds(first, second, spec)
    assert second.golden.height == 5500
    assert second.golden["weight"].n_unique() == 1
    assert len(second.labels) == 151
    assert second.manifest["dropped"]["shared text (train)"] == 2
    traffic = collect_traffic(Source((str(tmp_path / "traffic.parquet"),)))
    truth = collect_truth(Source((str(tmp_path / "truth.parquet"),)))
    assert traffic.join(truth, on="request_id").height == traffic.height == 1550


@pytest.mark.slow
def test_multidogo_finance_is_split_by_conversation(tmp_path: Path) -> None:
    prepare("multidogo", dataset("MANGAOPS_MULTIDOGO"), tmp_path)
    first, second, spec = weeks("multidogo", tmp_path)
    holds(first, second, spec)
    assert second.rows.group_by("conversation_id").agg(pl.col("split").n_unique())["split"].max() == 1
    traffic = collect_traffic(Source((str(tmp_path / "traffic.parquet"),)))
    assert not set(traffic["conversation_id"]) & set(second.rows["conversation_id"])
    assert traffic["group"].n_unique() == traffic["conversation_id"].n_unique()


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_all_of_multidogo_becomes_a_snapshot_without_leaks(own: bool) -> None:
    turns = pl.read_parquet(dataset("MANGAOPS_MULTIDOGO"))
    gathered = logs(turns if own else turns.drop("split"), {"label": "intent"})
    made = snapshot(gathered, DataSpec(), data="multidogo", critical=["outofdomain"], at=DAY)
    assert gathered.rows.height == 116_597
    assert made.manifest["groups"] == 14_147
    assert made.manifest["own_splits"] is own
    assert compare(made, {Side.RELEASE: made}, DataSpec())[1].height == 0
    lost = sum(count for reason, count in made.manifest["dropped"].items() if reason.startswith("shared"))
    assert 0 < lost < 0.02 * made.rows.height
