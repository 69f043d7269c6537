"""Which facts and tables each kind of evidence must carry.

A release run writes these, gates read these, and nothing else passes between the two.
Columns may be added; those listed here must be there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

import polars as pl

from mangaops.errors import IntegrityError
from mangaops.evidence.envelope import Evidence
from mangaops.evidence.lists import contradictions, of_index
from mangaops.vocabulary import EvidenceKind

_S, _F, _I, _B = pl.String, pl.Float64, pl.Int64, pl.Boolean

TABLES: Final[dict[EvidenceKind, dict[str, dict[str, type[pl.DataType]]]]] = {
    # One row a golden example that both sides answered. `weight` takes the stratified golden set back to
    # the traffic mix (mean 1). `group` is the component of conversation and user. `seen`: the very text is
    # in a training snapshot of either side; `near`: a training text of either side is close to it (or equal).
    EvidenceKind.EVALUATION: {
        "outcomes": {
            "row_id": _S,
            "group": _S,
            "text": _S,
            "truth": _S,
            "weight": _F,
            "baseline_label": _S,
            "release_label": _S,
            "baseline_confidence": _F,
            "release_confidence": _F,
            "seen": _B,
            "near": _B,
            "language": _S,
            "turn": _I,
            "words": _I,
            "jargon": _B,
            "new_user": _B,
        },
    },
    # One row a timed single request. Blocks of both sides alternate. Those of a search have a column for each
    # Step, in ms too, null where the side has no such step.
    EvidenceKind.LATENCY: {"samples": {"side": _S, "block": _I, "ms": _F}},
    # One row a conflict: a comparison row that shares something with a training snapshot of `side`.
    EvidenceKind.LEAKAGE: {
        "conflicts": {"check": _S, "side": _S, "row_id": _S, "training_row_id": _S},
    },
    EvidenceKind.FINGERPRINT: {},
    EvidenceKind.RECORD: {},
    # One row a mirrored request, in order of `seq`. `disagrees`: another label or another action.
    # `control_*`: the baseline asked a second time, the noise floor. Of a search a label is the JSON array of
    # the first ten ids (`["i7","i3"]`), action and confidence are null, `disagrees` says whether another set
    # of items stands in the first three places, and a fact `lists` tells how far apart the lists are. Live
    # evidence has a column `options` as well: what a search was limited to, as the log has it.
    EvidenceKind.SHADOW: {
        "answers": {
            "seq": _I,
            "request_id": _S,
            "group": _S,
            "text": _S,
            "baseline_label": _S,
            "baseline_action": _S,
            "baseline_confidence": _F,
            "release_label": _S,
            "release_action": _S,
            "release_confidence": _F,
            "disagrees": _B,
            "control_disagrees": _B,
        },
    },
    # One row a sampled item with its answer. `probability`: with which it was drawn. `answer`: a label,
    # "neither" or "unclear". `planted` items have a known answer in `known`, and count in no estimate.
    # `by_action`: the labels were equal, and both label columns hold the action as well: `faq (clarify)`.
    # Of a search labels, answer and known are lists as in shadow evidence, and a table `titles` (item_id,
    # title) holds what people read, and a column `options` what the search was limited to.
    EvidenceKind.REVIEW: {
        "items": {
            "item_id": _S,
            "seq": _I,
            "group": _S,
            "probability": _F,
            "baseline_label": _S,
            "release_label": _S,
            "by_action": _B,
            "answer": _S,
            "planted": _B,
            "known": _S,
        },
        "groups": {"group": _S, "requests": _I},
    },
    # `queries`: one row a query that every list answers. `weight` takes them back to the traffic mix (mean
    # 1); `traffic` is "head", "tail" or null. `ranked`: one row a place of a list, ranks from 1 without a
    # gap, no item twice; a query without a row got nothing. The order is that of `rank`, whatever `score`
    # says. `side` is a Cell: "new_adapter" is the release's adapter before the baseline's reranker,
    # "new_reranker" the reverse. `judgments`: the grade that people gave an item for a query, 0 where it is
    # not relevant. `new_title`: the item is new in the catalogue.
    EvidenceKind.RANKING: {
        "queries": {
            "query_id": _S,
            "group": _S,
            "text": _S,
            "weight": _F,
            "language": _S,
            "words": _I,
            "traffic": _S,
        },
        "ranked": {
            "query_id": _S,
            "stage": _S,
            "side": _S,
            "rank": _I,
            "item_id": _S,
            "score": _F,
            "new_title": _B,
        },
        "judgments": {"query_id": _S, "item_id": _S, "grade": _F, "new_title": _B},
    },
    # One row a golden query: the share of its k nearest items, by exact search over the vectors of the index,
    # that the index finds. `weight` and `group` as in ranking evidence.
    EvidenceKind.INDEX: {"recalls": {"query_id": _S, "group": _S, "weight": _F, "recall": _F}},
}

FACTS: Final[dict[EvidenceKind, frozenset[str]]] = {
    EvidenceKind.EVALUATION: frozenset({"labels", "dataset_version", "golden_judgements"}),
    EvidenceKind.LATENCY: frozenset({"host", "runtime", "warm_up"}),
    EvidenceKind.LEAKAGE: frozenset({"checks", "rows", "distinctive_under", "near_at"}),
    # sides: {side: {model, expected, found, probe_gap, tolerance, loads: bool, why}}
    EvidenceKind.FINGERPRINT: frozenset({"sides"}),
    # parts: {RecordPart: digest, name or null}
    EvidenceKind.RECORD: frozenset({"parts"}),
    EvidenceKind.SHADOW: frozenset({"from", "to", "hours", "requests", "coverage", "mode"}),
    # shadow: digest of the shadow evidence whose disagreements were sampled, seed: with which
    EvidenceKind.REVIEW: frozenset(
        {"reviewer", "simulated", "requests", "disagreements", "planted_floor", "shadow", "seed"}
    ),
    # catalogue: its digest. depth: {stage: places that were asked for}. cells: {stage: [Cell, ...]}, the
    # lists that were measured. models: {side: {"adapter": digest, "reranker": digest}}, NO_MODEL where there
    # is none: a baseline without an adapter is no pair, and has neither crosses nor lists of the reranker
    EvidenceKind.RANKING: frozenset(
        {
            "dataset_version",
            "golden_judgements",
            "catalogue",
            "catalogue_items",
            "depth",
            "cells",
            "models",
        }
    ),
    # kind: "exact", or "lists" which may miss an item. items: how many the index holds. index: its digest.
    # generation: the number of the last delta of the catalogue that is in it
    EvidenceKind.INDEX: frozenset({"k", "items", "kind", "index", "parameters", "generation"}),
}

CONTRADICTIONS: Final[dict[EvidenceKind, Callable[[Evidence], list[str]]]] = {
    EvidenceKind.RANKING: contradictions,
    EvidenceKind.INDEX: of_index,
}
"""What complete evidence of a kind may not say, beyond its columns."""


def require(evidence: Evidence) -> Evidence:
    """The evidence itself, once its facts and tables are those of its kind and do not contradict each other.

    Raises:
        IntegrityError: a fact, table or column is missing or of another type, or two of them contradict.
    """
    lacking = [f"fact {name}" for name in sorted(FACTS[evidence.kind] - set(evidence.facts))]
    for table, columns in TABLES[evidence.kind].items():
        frame = evidence.tables.get(table)
        if frame is None:
            lacking.append(f"table {table}")
            continue
        found = frame.schema
        lacking += [
            f"column {table}.{name} of type {dtype.__name__}"
            for name, dtype in columns.items()
            if found.get(name) != dtype
        ]
    if lacking:
        without = ["without " + ", ".join(lacking)]
        _refuse(evidence, "it is not complete", without, "every fact and column of mangaops.evidence.schemas")
    wrong = CONTRADICTIONS[evidence.kind](evidence) if evidence.kind in CONTRADICTIONS else []
    if wrong:
        _refuse(evidence, "it contradicts itself", wrong, "what mangaops.evidence.schemas says of its tables")
    return evidence


def _refuse(evidence: Evidence, why: str, found: list[str], accepted: str) -> NoReturn:
    raise IntegrityError(
        f"{evidence.kind} evidence was refused: {why}",
        found=", ".join(found),
        accepted=accepted,
        next_step=f"measure it again: the command that measured it, with --again {evidence.kind}",
    )
