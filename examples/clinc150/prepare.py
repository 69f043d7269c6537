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

sys.path.insert(0, str(Path(__file__).parents[1]))

from published import read, refused, write

NEEDED = {"text": pl.String(), "intent": pl.String(), "split": pl.String(), "in_full": pl.Boolean()}
SPLITS = ["test", "train", "validation"]


def prepare(source: Path) -> dict[str, pl.DataFrame]:
    """The four tables, under the names of their files.

    Raises:
        Refused: the source cannot be used.
    """
    full = read(source, NEEDED).filter("in_full")
    splits = full.get_column("split").unique().sort().to_list()
    if splits != SPLITS:
        raise refused(source, NEEDED, f"in_full rows of the splits {splits} and not of {SPLITS}")
    rows = (
        full.select("text", "split", label="intent")
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
    return {
        "logs": logs.select("text", "label", "split"),
        "before": before.select("text", "label", "split"),
        "traffic": traffic.select("request_id", "text"),
        "truth": traffic.select("request_id", "label"),
    }


def main() -> None:
    """Parse the two flags, write, and say what was written; exit code 4 where the source is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="clinc150.parquet")
    parser.add_argument("--out", type=Path, required=True, help="a folder; made if it is not there")
    flags = parser.parse_args()
    write(flags.out, lambda: prepare(flags.source))


if __name__ == "__main__":
    main()
