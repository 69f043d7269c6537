"""index_recall: the index of the release finds what exact search over the same vectors finds."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Confidence, Count, Gate, Params, Share
from mangaops.gates.paired import Gain
from mangaops.gates.proof import Unusable, again, proof
from mangaops.gates.reach import Wanted, reach
from mangaops.gates.verdicts import Compared
from mangaops.stack import MOST_QUERIES, Rule
from mangaops.vocabulary import Direction, EvidenceKind

_STEP = "build the index with a larger probe or oversample: it looks into more lists, and is slower"


class IndexRecall(Params):
    """Of the `k` nearest items the index finds at least the share `at_least`, at one-sided `confidence`."""

    at_least: Share
    k: Annotated[int, Field(ge=1)] = 50
    confidence: Confidence = 0.5
    min_examples: Count = 1


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    """The mean over golden queries, weighted back to the traffic, with an interval over their groups."""
    params = rule.params
    assert isinstance(params, IndexRecall)
    evidence = proof(case, EvidenceKind.INDEX)
    if params.k != evidence.facts["k"]:
        says = (
            f"the index evidence holds recall@{evidence.facts['k']}, and the rule asks for recall@{params.k}"
        )
        raise Unusable(says, f"write k: {evidence.facts['k']}, or measure at another k")
    own = _own(case, evidence.tables["recalls"], params.k, str(evidence.facts["kind"]))
    return (reach(rule, case, own, Wanted(params.at_least, params.confidence, params.min_examples, _STEP)),)


def _own(case: Case, recalls: pl.DataFrame, k: int, kind: str) -> Compared:
    subject = f"recall@{k} of the index against exact search"
    weight = recalls.get_column("weight").to_numpy()
    if not weight.sum() > 0:
        raise Unusable("the index evidence holds no queries", again(case, EvidenceKind.INDEX))
    groups = recalls.get_column("group").rank("dense").to_numpy().astype(np.int64) - 1
    found = weight * recalls.get_column("recall").to_numpy()
    gain = Gain.between(case, subject, (np.zeros_like(found), weight, found, weight), groups)
    how = "queries, which the index answers exactly" if kind == "exact" else "queries"
    return Compared(
        subject=subject,
        gain=gain,
        point=gain.point,
        baseline=None,
        release=gain.point,
        direction=Direction.HIGHER,
        unit="share",
        n=recalls.height,
        counted=how,
        room=max(0, MOST_QUERIES - recalls.height),
    )


GATE = Gate(IndexRecall, _judge, lambda _params: 1)
