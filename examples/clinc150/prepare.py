"""CLINC150 as logs, traffic and truth: `python prepare.py --source clinc150.parquet --out FOLDER`.

Reads one Parquet file with the columns `text`, `intent`, `split` and `in_full` (Larson et al., EMNLP 2019,
CC BY 3.0) and writes, into the folder:

- `logs.parquet`: the rows of the full variant, 150 intents and `oos`, with their own train, validation and
  test splits; of the 3,100 validation rows one half.
- `before.parquet`: the same with three in five training rows: what a first champion may learn from.
- `traffic.parquet` and `truth.parquet`: the other half of the validation rows, as requests and hidden labels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl


def prepare(source: Path, out: Path) -> dict[str, int]:
    """The four files are written; returns how many rows each has."""
    rows = (
        pl.read_parquet(source)
        .filter("in_full")
        .select("text", "split", label="intent")
        .sort("split", "label", "text")
        .with_columns(place=pl.int_range(pl.len()).over("split", "label"))
    )
    held_out = (pl.col("split") == "validation") & (pl.col("place") % 2 == 1)
    traffic = (
        rows.filter(held_out)
        .sample(fraction=1.0, shuffle=True, seed=20260420)
        .with_columns(request_id=pl.format("request-{}", pl.int_range(pl.len())))
    )
    logs = rows.filter(~held_out)
    before = logs.filter((pl.col("split") != "train") | (pl.col("place") % 5 < 3))
    files = {
        "logs": logs.select("text", "label", "split"),
        "before": before.select("text", "label", "split"),
        "traffic": traffic.select("request_id", "text"),
        "truth": traffic.select("request_id", "label"),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in files.items():
        frame.write_parquet(out / f"{name}.parquet")
    return {name: frame.height for name, frame in files.items()}


def main() -> None:
    """Parse the two flags, write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="clinc150.parquet")
    parser.add_argument("--out", type=Path, required=True, help="a folder; made if it is not there")
    flags = parser.parse_args()
    for name, count in prepare(flags.source, flags.out).items():
        sys.stdout.write(f"{flags.out / name}.parquet: {count:,} rows\n")


if __name__ == "__main__":
    main()
