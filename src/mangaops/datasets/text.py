"""Texts as leakage and slices see them: normalised, in words, in a language."""

from __future__ import annotations

import re
import unicodedata

import polars as pl

_JAPANESE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f"
_TOKEN = re.compile(f"[{_JAPANESE}]|[^\\W_{_JAPANESE}]+")
_JAPANESE_SCRIPT = f"[{_JAPANESE}]"
_LATIN_WORD = r"\p{Latin}{2,}"


def tokens(text: str) -> list[str]:
    """Words in lower case without punctuation; each Japanese character is a token of its own."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def normalised(text: str) -> str:
    """What two texts share when only case, width, spaces and punctuation differ.

    A text without any word (an emoji) is itself, without the spaces around it.
    """
    return " ".join(tokens(text)) or text.strip()


def word_count(of_tokens: list[str]) -> int:
    """How many words a reader would count: two Japanese characters count as one word."""
    japanese = sum(1 for token in of_tokens if len(token) == 1 and token > "\u3004")
    return len(of_tokens) - japanese + (japanese + 1) // 2


def with_norm(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `norm` (normalised text) and `words` (how many), in the same order."""
    unique = rows.get_column("text").unique(maintain_order=True)
    lists = [tokens(text) for text in unique]
    table = pl.DataFrame(
        {
            "text": unique,
            "norm": [
                " ".join(each) or text.strip() for each, text in zip(lists, unique.to_list(), strict=True)
            ],
            "words": pl.Series([word_count(each) for each in lists], dtype=pl.Int64),
        },
        schema={"text": pl.String, "norm": pl.String, "words": pl.Int64},
    )
    return rows.drop("norm", "words", strict=False).join(table, on="text", how="left", maintain_order="left")


def language() -> pl.Expr:
    """`language` where the logs tell it, else by script: `ja`, `en` (Latin), `ja-en` (both), `other`."""
    japanese = pl.col("text").str.contains(_JAPANESE_SCRIPT)
    latin = pl.col("text").str.contains(_LATIN_WORD)
    foreign = pl.col("text").str.contains(r"\p{L}") & ~pl.col("text").str.contains(r"\p{Latin}")
    by_script = (
        pl.when(japanese & latin)
        .then(pl.lit("ja-en"))
        .when(japanese)
        .then(pl.lit("ja"))
        .when(foreign)
        .then(pl.lit("other"))
        .otherwise(pl.lit("en"))
    )
    return pl.coalesce("language", by_script).alias("language")
