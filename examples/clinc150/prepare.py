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

NEEDED = {"text": pl.String(), "intent": pl.String(), "split": pl.String(), "in_full": pl.Boolean()}
SPLITS = ["test", "train", "validation"]


class Refused(Exception):
    """The source cannot be used; the message is one line."""


def read(source: Path) -> pl.DataFrame:
    """The columns of `NEEDED`, each of its type.

    Raises:
        Refused: no such file, no whole Parquet file, a column that is missing or of another kind.
    """
    if not source.is_file():
        raise _refused(source, "a folder" if source.is_dir() else "no such file")
    try:
        rows = pl.read_parquet(source, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _refused(source, f"no whole Parquet file ({_first_line(error)})") from error
    missing = [name for name in NEEDED if name not in rows.columns]
    if missing:
        raise _refused(source, f"no column {', '.join(missing)}, only {', '.join(rows.columns)}")
    try:
        return rows.select(list(NEEDED)).cast(NEEDED)
    except pl.exceptions.PolarsError as error:
        raise _refused(source, f"a column of another kind ({_first_line(error)})") from error


def _refused(source: Path, found: str) -> Refused:
    columns = ", ".join(f"{name} ({kind})" for name, kind in NEEDED.items())
    return Refused(
        f"{source} was refused: found {found}; needed: a Parquet file with the columns {columns}; "
        f"next: {Path(__file__).with_name('README.md')} says how it is made"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]


def prepare(source: Path, out: Path) -> dict[str, int]:
    """The four files are written; returns how many rows each has.

    Raises:
        Refused: the source cannot be used; nothing was written.
    """
    full = read(source).filter("in_full")
    splits = full.get_column("split").unique().sort().to_list()
    if splits != SPLITS:
        raise _refused(source, f"in_full rows of the splits {splits} and not of {SPLITS}")
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
    """Parse the two flags, write, and say what was written; exit code 4 where the source is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="clinc150.parquet")
    parser.add_argument("--out", type=Path, required=True, help="a folder; made if it is not there")
    flags = parser.parse_args()
    try:
        counts = prepare(flags.source, flags.out)
    except Refused as error:
        sys.stderr.write(f"prepare.py: {error}\n")
        sys.exit(4)
    for name, count in counts.items():
        sys.stdout.write(f"{flags.out / name}.parquet: {count:,} rows\n")


if __name__ == "__main__":
    main()
