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

sys.path.insert(0, str(Path(__file__).parents[1]))

from published import read, refused, write

NEEDED = {
    "domain": pl.String(),
    "conversation_id": pl.String(),
    "turn": pl.Int64(),
    "text": pl.String(),
    "intent": pl.String(),
}
FEWEST = 20
HELD_OUT = 0.15


def prepare(source: Path, domain: str = "finance") -> dict[str, pl.DataFrame]:
    """The four tables, under the names of their files.

    Raises:
        Refused: the source cannot be used, or has no turn of the domain.
    """
    every = read(source, NEEDED)
    turns = every.filter((pl.col("domain") == domain) & pl.col("text").str.contains(r"\S"))
    if not turns.height:
        domains = every.get_column("domain").drop_nulls().unique().sort().to_list()
        raise refused(
            source, NEEDED, f"no turn of the domain {domain!r}, only of {', '.join(domains) or 'none'}"
        )
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
    return {
        "logs": logs.select(columns),
        "before": before.select(columns),
        "traffic": traffic.select("request_id", "text", "conversation_id"),
        "truth": traffic.select("request_id", "label"),
    }


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
    write(flags.out, lambda: prepare(flags.source, flags.domain))


if __name__ == "__main__":
    main()
