"""What a row is like, for slices: language, place in the conversation, length, jargon, a new user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from mangaops.datasets.text import language, with_norm

if TYPE_CHECKING:
    from mangaops.stack import DataSpec


def traits(rows: pl.DataFrame, spec: DataSpec, training_rows: pl.DataFrame | None = None) -> pl.DataFrame:
    """`row_id, language, turn, words, jargon, new_user` in the order of `rows`; never null.

    `turn` is that of the logs, else the place by time within the conversation, from 1. `jargon`: the text
    holds a word of `spec.jargon`, in any case. `new_user`: the user is known, and no other conversation of
    theirs came before, in `rows` or in `training_rows`. (Splits keep users apart, so that the training rows
    alone would call every user new.) Conversations without times count as earlier than those with.
    """
    full = with_norm(rows)
    pattern = "|".join(rf"\b{re.escape(word)}\b" for word in spec.jargon)
    jargon = pl.col("text").str.contains(rf"(?i){pattern}") if pattern else pl.lit(False)
    return full.select(
        "row_id",
        language(),
        turn=pl.coalesce("turn", _place()),
        words=pl.col("words"),
        jargon=jargon,
        new_user=_new_user(rows, training_rows),
    )


def _place() -> pl.Expr:
    order = pl.col("at").rank("ordinal").over("conversation_id").cast(pl.Int64)
    number = pl.int_range(1, pl.len() + 1).over("conversation_id").cast(pl.Int64)
    return pl.when(pl.col("conversation_id").is_null()).then(1).otherwise(pl.coalesce(order, number))


def _new_user(rows: pl.DataFrame, training_rows: pl.DataFrame | None) -> pl.Series:
    keys = ["user_id", "conversation_id", "at"]
    known = [rows.select(keys)] if training_rows is None else [rows.select(keys), training_rows.select(keys)]
    conversation = pl.coalesce("conversation_id", pl.lit(""))
    begun = (
        pl.concat(known)
        .drop_nulls("user_id")
        .group_by("user_id", conversation.alias("conversation"))
        .agg(begun=pl.col("at").min())
    )
    first = begun.sort("user_id", "begun", "conversation", nulls_last=False).unique(
        "user_id", keep="first", maintain_order=True
    )
    named = rows.select("user_id", conversation=conversation).join(
        first.select("user_id", first="conversation"), on="user_id", how="left", maintain_order="left"
    )
    return (named["conversation"] == named["first"]).fill_null(False)
