"""Groups that must not be torn apart: connected components of conversation and user, and their split.

A group's key is the smallest keyed hash of its users, or of its conversations where it has no user, or of
the row itself where it has neither. So the key stays when a group gains rows, and the split, a keyed hash
of the key, is the same every week.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from mangaops.vocabulary import Split


def grouped(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows with `group`: equal for rows joined by a conversation or a user, directly or through others.

    `u-`, `c-` or `r-` (of users, of conversations, of the row alone) and 16 hex digits. Needs `row_id`,
    `conversation_id`, `user_id`.
    """
    names = (
        rows.select(component=pl.Series(_components(rows), dtype=pl.Int64), row_id="row_id")
        .with_columns(rows.get_column("conversation_id"), rows.get_column("user_id"))
        .with_columns(
            user=_hashed(rows.get_column("user_id"), key, "u"),
            conversation=_hashed(rows.get_column("conversation_id"), key, "c"),
        )
    )
    by_component = names.group_by("component").agg(
        group=pl.coalesce(pl.col("user").min(), pl.col("conversation").min())
    )
    joined = names.join(by_component, on="component", how="left", maintain_order="left")
    alone = _hashed(rows.get_column("row_id"), key, "r")
    return rows.with_columns(group=joined.get_column("group").zip_with(joined["group"].is_not_null(), alone))


def hashed_split(groups: pl.Series, shares: Mapping[Split, float], key: str) -> pl.Series:
    """The split of each group key: a keyed hash to [0, 1) against golden, then validation, then train."""
    golden = shares.get(Split.GOLDEN, 0.0)
    validation = golden + shares.get(Split.VALIDATION, 0.0)
    where: dict[str, str] = {}
    for group in groups.unique():
        at = int(_digest(f"split {group}", key), 16) / 2**64
        where[group] = (
            Split.GOLDEN if at < golden else Split.VALIDATION if at < validation else Split.TRAIN
        ).value
    return pl.Series("split", [where[group] for group in groups], dtype=pl.String)


def _components(rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """A number for each row, equal within a component; rows without conversation and user get their own."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    conversations = _codes(rows.get_column("conversation_id"))
    users = _codes(rows.get_column("user_id"))
    first_user = int(conversations.max(initial=-1)) + 1
    nodes = first_user + int(users.max(initial=-1)) + 1
    both = (conversations >= 0) & (users >= 0)
    edges = coo_array(
        (np.ones(int(both.sum()), dtype=np.int8), (conversations[both], first_user + users[both])),
        shape=(nodes, nodes),
    )
    count, of_node = (
        connected_components(edges, directed=False) if nodes else (0, np.zeros(0, dtype=np.int64))
    )
    component: npt.NDArray[np.int64] = count + np.arange(rows.height, dtype=np.int64)
    component[users >= 0] = of_node[first_user + users[users >= 0]]
    component[conversations >= 0] = of_node[conversations[conversations >= 0]]
    return component


def _codes(column: pl.Series) -> npt.NDArray[np.int64]:
    """0, 1, ... by value; -1 for null."""
    return (column.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()


def _hashed(column: pl.Series, key: str, kind: str) -> pl.Series:
    names = {value: f"{kind}-{_digest(f'{kind} {value}', key)}" for value in column.drop_nulls().unique()}
    return pl.Series(column.name, [names.get(value) for value in column], dtype=pl.String)


def _digest(text: str, key: str) -> str:
    secret = hashlib.sha256(key.encode()).digest()
    return hashlib.blake2b(text.encode(), key=secret, digest_size=8).hexdigest()
