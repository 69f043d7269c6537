"""The index of a release against exact search over the same vectors, on the golden queries."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from mangaops.errors import InputError, UsageError
from mangaops.evidence import Evidence
from mangaops.inference.recall import recall
from mangaops.inference.retrieval import Retrieval
from mangaops.release.desk import Desk, Progress, binding, next_run, record_evidence, release_of, state
from mangaops.vocabulary import Digest, EvidenceKind, Part

K: Final = 50
"""Of so many nearest items the share is counted that the index finds."""


def check_index(
    desk: Desk,
    unit: str,
    release: str,
    retrieval: Retrieval,
    queries: pl.DataFrame,
    *,
    dataset: Digest,
    reason: str,
    against: Digest | None = None,
    k: int = K,
    progress: Progress = None,
) -> Evidence:
    """Index evidence is recorded: for each query the share of its k nearest items that the index finds.

    `queries` are golden ones: query_id, query, group, weight. `dataset` is the snapshot that they are of. An
    index that searches exactly finds all of them, and is asked all the same.

    Raises:
        UsageError: the release holds no index.
        InputError: there is no query.
        RevisionConflict: the champion changed meanwhile.
    """
    bound = binding(desk, unit, release, dataset, against=against)
    digest = release_of(state(desk, unit), release).parts.get(Part.INDEX)
    if digest is None:
        raise UsageError(
            f"measuring the index of {release} was refused: it holds none",
            accepted="a release with a vector index",
            next_step=next_run(desk, state(desk, unit)),
        )
    if queries.is_empty():
        raise InputError(
            f"measuring the index of {release} was refused: there is no golden query",
            next_step="mangaops data snapshot with judged queries",
        )
    asked, index = queries.sort("query_id"), retrieval.index
    vectors = retrieval.embedder.vectors(asked.get_column("query").to_list(), progress)
    found = pl.Series("recall", recall(index, index.exact(), vectors, k), dtype=pl.Float64)
    facts: dict[str, Any] = {
        "k": k,
        "items": len(index),
        "kind": "exact" if index.lists is None else "lists",
        "index": digest,
        "parameters": index.parameters.model_dump(mode="json"),
        "generation": retrieval.catalogue.generation,
    }
    table = asked.select("query_id", "group", pl.col("weight").cast(pl.Float64), found)
    evidence = Evidence(EvidenceKind.INDEX, bound, facts, {"recalls": table})
    return record_evidence(desk, unit, release, evidence, reason=reason)
