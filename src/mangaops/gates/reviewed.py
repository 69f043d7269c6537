"""The paired difference on live traffic, from reviewed disagreements: of accuracy, or what people prefer."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from mangaops.evidence import Evidence
from mangaops.gates.case import Case
from mangaops.gates.paired import subject_of
from mangaops.gates.proof import Unusable, again, disagreements, proof, review
from mangaops.gates.verdicts import Compared
from mangaops.metrics import SHADOW_REVIEW
from mangaops.stats import Undefined, horvitz_thompson
from mangaops.vocabulary import UNCLEAR, Direction, EvidenceKind

OF_REVIEWS: Final = ("accuracy", "preference")
"""What people who answer a review tell: which label is right, or which of two lists they prefer."""

_FORMS: Final = {"accuracy": "labels", "preference": "lists"}


def gain_on_traffic(case: Case, metric: str) -> Compared | None:
    """The gain over the whole window; None where disagreements still wait for people.

    `accuracy` is of labels. `preference` is of lists: the share of requests on which people prefer the
    release's, less that on which they prefer the baseline's. Without a single other answer that people can
    judge nothing needs a review, and the gain is zero with honest bounds. Where only the action differs,
    accuracy does not.

    Raises:
        Unusable: no usable shadow, or a review that is stale, careless, simulated or of no request; or a
            shadow that the metric is not of.
    """
    shadow = proof(case, EvidenceKind.SHADOW)
    told = OF_REVIEWS["lists" in shadow.facts]
    if metric != told:
        says = f"answers on traffic are {_FORMS[told]}, of which people tell {told} and not {metric}"
        raise Unusable(says, f"write metric: {told} in stack.yaml")
    if not disagreements(shadow).height:
        return _gain(case, metric, _no_items(), _window(shadow))
    if EvidenceKind.REVIEW not in case.evidence:
        return None
    evidence = review(case)
    if waiting(shadow, evidence):
        return None
    items = evidence.tables["items"].filter(~pl.col("planted") & ~pl.col("by_action"))
    return _gain(case, metric, items, evidence.tables["groups"])


def waiting(shadow: Evidence, review: Evidence | None) -> int:
    """How many items still wait for an answer; without a review, every disagreement."""
    if review is None:
        return disagreements(shadow).height
    return review.tables["items"].get_column("answer").null_count()


def outcome(shadow: Evidence, review: Evidence) -> str:
    """How many disagreements of the shadow were reviewed, and how they came out, in words."""
    items = review.tables["items"].filter(~pl.col("planted"))
    answer = items.get_column("answer")
    ours = int((answer == items.get_column("release_label")).sum())
    theirs = int((answer == items.get_column("baseline_label")).sum())
    neither = items.height - ours - theirs
    of = int(shadow.tables["answers"].get_column("disagrees").sum())
    by = " by a simulated reviewer" if review.facts["simulated"] else ""
    return (
        f"{items.height:,} of {of:,} disagreements were reviewed{by}: the release's answer was chosen "
        f"{ours:,} times, the baseline's {theirs:,} times, and neither of both {neither:,} times"
    )


def worse_actions(review: Evidence) -> float | None:
    """The share of mirrored requests on which people preferred the baseline's action, less the release's.

    Estimated from the items that differ by action alone; None where there is none.
    """
    items = review.tables["items"].filter("by_action")
    if items.is_empty():
        return None
    lost = (pl.col("answer") == pl.col("baseline_label")).cast(pl.Int8)
    gained = (pl.col("answer") == pl.col("release_label")).cast(pl.Int8)
    net = items.select(((lost - gained) / pl.col("probability")).sum()).item()
    return float(net) / float(review.facts["requests"])


def _gain(case: Case, metric: str, items: pl.DataFrame, groups: pl.DataFrame) -> Compared:
    answer = items.get_column("answer")
    gained = (answer == items.get_column("release_label")).cast(pl.Int8)
    lost = (answer == items.get_column("baseline_label")).cast(pl.Int8)
    try:
        gain = horvitz_thompson(
            (gained - lost).to_numpy().astype(np.float64),
            items.get_column("probability").to_numpy(),
            items.get_column("group").to_list(),
            dict(zip(groups.get_column("group"), groups.get_column("requests"), strict=True)),
            unclear=(answer == UNCLEAR).to_numpy(),
        )
    except (Undefined, ValueError) as problem:
        says = f"the review cannot be read as a sample of the traffic: {problem}"
        raise Unusable(says, again(case, EvidenceKind.REVIEW)) from problem
    return Compared(
        subject=subject_of(metric, None, SHADOW_REVIEW),
        gain=gain,
        point=gain.estimate,
        baseline=None,
        release=None,
        direction=Direction.HIGHER,
        unit="share",
        n=gain.requests,
        counted=f"mirrored requests ({gain.items:,} labelled, {gain.unclear:,} unclear)",
        new_labels=True,
    )


def _no_items() -> pl.DataFrame:
    words = dict.fromkeys(("answer", "release_label", "baseline_label", "group"), pl.String)
    return pl.DataFrame(schema={**words, "probability": pl.Float64})


def _window(shadow: Evidence) -> pl.DataFrame:
    return shadow.tables["answers"].group_by("group").agg(requests=pl.len())
