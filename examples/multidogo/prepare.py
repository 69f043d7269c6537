"""A domain of MultiDoGO as logs, traffic, truth: `python prepare.py --source turns.parquet --out FOLDER`.

Reads one Parquet file with the columns `domain`, `conversation_id`, `turn`, `text` and `intent` (Peskov et
al., EMNLP 2019, CDLA-Permissive-1.0) and writes, into the folder:

- `logs.parquet`: customer turns with the first of their intents; intents with under 20 turns are left out.
- `before.parquet`: four in five of these conversations: what a first champion may learn from.
- `traffic.parquet` and `truth.parquet`: the turns of 15 % of the conversations, and their hidden labels.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import polars as pl

NEEDED = {
    "domain": pl.String(),
    "conversation_id": pl.String(),
    "turn": pl.Int64(),
    "text": pl.String(),
    "intent": pl.String(),
}
FEWEST = 20
HELD_OUT = 0.15


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


def prepare(source: Path, out: Path, domain: str = "finance") -> dict[str, int]:
    """The four files are written; returns how many rows each has.

    Raises:
        Refused: the source cannot be used, or has no turn of the domain; nothing was written.
    """
    every = read(source)
    turns = every.filter((pl.col("domain") == domain) & pl.col("text").str.contains(r"\S"))
    if not turns.height:
        domains = every.get_column("domain").drop_nulls().unique().sort().to_list()
        raise _refused(source, f"no turn of the domain {domain!r}, only of {', '.join(domains) or 'none'}")
    rows = turns.select(
        "text", "conversation_id", "turn", label=pl.col("intent").str.split("<div>").list.first()
    ).filter(pl.len().over("label") >= FEWEST)
    place = rows.get_column("conversation_id").map_elements(_place, return_dtype=pl.Float64)
    rows = rows.with_columns(place=place).sort("place", "conversation_id", "turn")
    traffic = rows.filter(pl.col("place") < HELD_OUT).with_columns(
        request_id=pl.format("request-{}", pl.int_range(pl.len()))
    )
    logs = rows.filter(pl.col("place") >= HELD_OUT)
    before = logs.filter(pl.col("place") < HELD_OUT + 0.8 * (1 - HELD_OUT))
    columns = ["text", "label", "conversation_id", "turn"]
    files = {
        "logs": logs.select(columns),
        "before": before.select(columns),
        "traffic": traffic.select("request_id", "text", "conversation_id"),
        "truth": traffic.select("request_id", "label"),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in files.items():
        frame.write_parquet(out / f"{name}.parquet")
    return {name: frame.height for name, frame in files.items()}


def _place(conversation: str) -> float:
    """A number in [0, 1) that depends on the conversation alone."""
    return int(hashlib.sha256(conversation.encode()).hexdigest()[:12], 16) / 16**12


def main() -> None:
    """Parse the flags, write, and say what was written; exit code 4 where the source is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="turns.parquet")
    parser.add_argument("--out", type=Path, required=True, help="a folder; made if it is not there")
    parser.add_argument("--domain", default="finance", help="one of the six; stack.yaml is for finance")
    flags = parser.parse_args()
    try:
        counts = prepare(flags.source, flags.out, flags.domain)
    except Refused as error:
        sys.stderr.write(f"prepare.py: {error}\n")
        sys.exit(4)
    for name, count in counts.items():
        sys.stdout.write(f"{flags.out / name}.parquet: {count:,} rows\n")


if __name__ == "__main__":
    main()
