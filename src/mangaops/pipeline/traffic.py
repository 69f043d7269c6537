"""A window of traffic, and the hidden labels that answer its review in a simulated stack."""

from __future__ import annotations

import polars as pl

from mangaops.datasets import Source, collect_traffic, collect_truth
from mangaops.datasets.search_data import collect_judgments
from mangaops.errors import NotReviewable
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release.shadow import Traffic
from mangaops.stack import DataSpec, SearchDataSpec
from mangaops.store.addresses import without_credentials

_MAPPED = ("text", "conversation_id", "user_id", "at")


def read_traffic(spec: DataSpec, source: Source, progress: Progress) -> Traffic:
    """The requests of a window, each with the group that its conversation and user make.

    Raises:
        InputError: the file cannot be read as requests.
    """
    mapping = {ours: theirs for ours, theirs in spec.columns.items() if ours in _MAPPED} | dict(
        source.columns
    )
    rows = collect_traffic(Source(source.locations, source.query, mapping), progress)
    return Traffic(rows.select(pl.col("request_id").alias("row_id"), "group", "text", "at"))


def require_simulated(shop: Workshop, location: str) -> None:
    """Nothing happens where the stack says that it is simulated.

    Raises:
        NotReviewable: hidden labels answer no review of a real stack.
    """
    if not shop.desk.stack.simulated:
        raise NotReviewable(
            f"--truth {without_credentials(location)} was refused: "
            "hidden labels answer no review of a real stack",
            found="simulated: false in stack.yaml",
            accepted="people: mangaops review export, then mangaops review import",
            next_step="leave --truth out; the run will hold and tell you what to review",
        )


def read_grades(shop: Workshop, spec: SearchDataSpec, location: str) -> pl.DataFrame:
    """The hidden grades of items by query, in the form of judgments: query, item_id, grade.

    Raises:
        NotReviewable: the stack is not simulated.
        InputError: the file cannot be read.
    """
    require_simulated(shop, location)
    return collect_judgments(Source((location,)), spec).rows.select("query", "item_id", "grade")


def read_truth(shop: Workshop, location: str) -> dict[str, str]:
    """The hidden label of each request, by request id.

    Raises:
        NotReviewable: the stack is not simulated.
        InputError: the file cannot be read.
    """
    require_simulated(shop, location)
    rows = collect_truth(Source((location,)))
    return dict(zip(rows["request_id"], rows["label"], strict=True))
