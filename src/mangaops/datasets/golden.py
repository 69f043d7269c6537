"""The golden set: frozen rows that gates compare on, stratified, with weights back to the traffic mix."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from mangaops.evidence.envelope import table_digest
from mangaops.vocabulary import Digest

if TYPE_CHECKING:
    from mangaops.stack import GoldenSpec


def golden_digest(rows: pl.DataFrame) -> Digest:
    """The digest of a golden set: of its rows' ids, texts, labels and weights, whatever their groups."""
    return table_digest(rows.select("row_id", "text", "label", "weight").sort("row_id"))


def choose(
    pool: pl.DataFrame,
    kept: pl.DataFrame,
    traffic: Mapping[str, float],
    critical: Collection[str],
    spec: GoldenSpec,
    key: str,
) -> pl.DataFrame:
    """`row_id, weight` of the golden set: all of `kept`, and from `pool` what lacks to the targets.

    Which rows of a label come in is a keyed hash of their ids. `traffic` holds the labels' shares of the
    traffic. Weights are traffic share over golden share, of mean 1.
    """
    have = _counts(kept)
    room = {label: have.get(label, 0) + count for label, count in _counts(pool).items()}
    targets = allocate(traffic, have, room, critical, spec)
    added = (
        pool.with_columns(
            order=pl.Series([_order(row_id, key) for row_id in pool.get_column("row_id")], dtype=pl.String)
        )
        .sort("order")
        .with_columns(rank=pl.int_range(pl.len()).over("label"))
    )
    wanted = pl.col("label").replace_strict(
        {label: targets.get(label, 0) - have.get(label, 0) for label in room}, return_dtype=pl.Int64
    )
    chosen = pl.concat(
        [kept.select("row_id", "label"), added.filter(pl.col("rank") < wanted)["row_id", "label"]]
    )
    return weighted(chosen, traffic).select("row_id", "weight")


def allocate(
    traffic: Mapping[str, float],
    have: Mapping[str, int],
    room: Mapping[str, int],
    critical: Collection[str],
    spec: GoldenSpec,
) -> dict[str, int]:
    """Rows a label: `per_critical_label` for critical ones, one for each, then the rest by traffic share.

    Never fewer than `have` nor more than `room`; in all `spec.rows`, where room and the floors allow.
    """
    target = {
        label: max(have.get(label, 0), min(most, max(1, spec.per_critical_label) if label in critical else 1))
        for label, most in room.items()
    }
    target |= {label: count for label, count in have.items() if label not in target}
    while (left := spec.rows - sum(target.values())) > 0:
        open_ = {label: traffic.get(label, 0.0) for label, most in room.items() if target[label] < most}
        total = sum(open_.values())
        lacking = {
            label: min(room[label], round(spec.rows * share / total)) - target[label]
            for label, share in open_.items()
            if total > 0
        }
        gains = _scaled({label: count for label, count in lacking.items() if count > 0}, left)
        if not gains:
            gains = _scaled({label: room[label] - target[label] for label in open_}, left)
        if not gains:
            break
        for label, count in gains.items():
            target[label] += count
    return target


def weighted(chosen: pl.DataFrame, traffic: Mapping[str, float]) -> pl.DataFrame:
    """The rows with `weight`: the label's share of the traffic over its share of these rows, of mean 1."""
    counts = _counts(chosen)
    covered = sum(traffic.get(label, 0.0) for label in counts) or 1.0
    weight = {
        label: round(traffic.get(label, 0.0) / covered * chosen.height / count, 12)
        for label, count in counts.items()
    }
    return chosen.with_columns(weight=pl.col("label").replace_strict(weight, return_dtype=pl.Float64))


def _scaled(wanted: Mapping[str, int], left: int) -> dict[str, int]:
    """The wishes, cut in proportion to at most `left` in all, by largest remainder."""
    total = sum(wanted.values())
    if total <= left:
        return {label: count for label, count in wanted.items() if count}
    exact = {label: count * left / total for label, count in wanted.items()}
    floor = {label: int(count) for label, count in exact.items()}
    by_remainder: Sequence[str] = sorted(exact, key=lambda label: (floor[label] - exact[label], label))
    for label in by_remainder[: left - sum(floor.values())]:
        floor[label] += 1
    return {label: count for label, count in floor.items() if count}


def _counts(rows: pl.DataFrame) -> dict[str, int]:
    return {str(label): int(count) for label, count in rows["label"].value_counts().sort("label").iter_rows()}


def _order(row_id: str, key: str) -> str:
    secret = hashlib.sha256(key.encode()).digest()
    return hashlib.blake2b(f"golden {row_id}".encode(), key=secret, digest_size=8).hexdigest()
