"""People adjudicate sampled disagreements; their answers become review evidence.

A queue is review evidence without answers: `review_opened` names its digest, and gates never see it.
A file may be imported again with more answers: the newest import counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.errors import NotReviewable, UsageError
from mangaops.evidence import Evidence
from mangaops.registry import REPLAYED, Release, ReviewRef, UnitState, drafts, reviewing
from mangaops.release import review_lists, review_page, review_queue, review_sheet, review_titles
from mangaops.release.answer_forms import AnswerForm, form_of
from mangaops.release.desk import (
    Desk,
    append,
    newest,
    next_run,
    record_evidence,
    release_of,
    state,
    traffic_option,
    unit_spec,
)
from mangaops.vocabulary import NEITHER, REVIEW_WORDS, UNCLEAR, Action, Digest, EvidenceKind, Side

SEED: Final = 7
"""The seed of a review that was opened without one."""

NOBODY: Final = "nobody"
"""The actor of a review that had nothing to ask."""

Truth = Mapping[str, str] | pl.DataFrame
"""What is hidden from models: each request's label by its id, or grades of items (query, item_id, grade)."""

HIDDEN_LABELS: Final = "hidden-labels"
"""The actor that the ledger shows where a file of true labels answered a review."""


def open_review(
    desk: Desk,
    unit: str,
    release: str,
    *,
    reason: str,
    seed: int | None = None,
    shadow: Digest | None = None,
) -> str:
    """People can be asked about the disagreements of a shadow (None: the newest); returns the review's name.

    Without a seed it is the review that counts for this shadow, and one with `SEED` where there is none.
    The same shadow evidence and seed give the same queue; where that is open already, its name. Where no
    answer differs there is nothing to ask, and the review is answered as it opens, with no item. Lists are
    shown with the titles of their items (`review_titles`), frozen with the queue.

    Raises:
        NotReviewable: the release has no shadow evidence, or none of the golden set.
        RevisionConflict: another verb appended first.
        SetupError, IntegrityError: titles of lists cannot be read, or not as they were sealed.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    form = form_of(desk, unit)
    seen, golden = _measured(desk, unit, subject, shadow, form)
    for ref in reversed(subject.reviews):
        if _asks_about(desk, ref, seen.digest, seed):
            return ref.review
    name = f"review-{1 + sum(len(known.reviews) for known in current.releases.values())}"
    queue = _queue(desk, unit, name, seen, golden, form, SEED if seed is None else seed)
    if form.listed:
        named = review_titles.titles(desk, unit, queue, _catalogue(desk, golden)["items"])
        queue = replace(queue, tables={**queue.tables, "titles": named})
    stored = desk.evidence.put(queue)
    draft = drafts.review_opened(
        unit, release=release, review=name, evidence=stored, reason=reason, actor=desk.actor
    )
    append(desk, [draft], expect={unit: current.revision})
    items = queue.tables["items"]
    if items.is_empty():
        nobody = replace(desk, actor=NOBODY)
        _record(nobody, unit, release, name, queue, items, simulated=False, reason="no answer differs")
    return name


def _measured(
    desk: Desk, unit: str, subject: Release, wanted: Digest | None, form: AnswerForm
) -> tuple[Evidence, Evidence]:
    shadow = desk.evidence.get(wanted) if wanted else newest(desk, subject, EvidenceKind.SHADOW)
    golden = newest(desk, subject, form.golden)
    if shadow is None or golden is None:
        raise NotReviewable(
            f"a review of {subject.name} was refused",
            found=f"no {'shadow' if shadow is None else form.golden} evidence",
            accepted="a release that was evaluated and shadowed",
            next_step=next_run(
                desk, state(desk, unit), of=subject, traffic=traffic_option(desk, subject) or REPLAYED
            ),
        )
    return shadow, golden


def _catalogue(desk: Desk, golden: Evidence) -> dict[str, pl.DataFrame]:
    """The items of the golden set's catalogue, by the name of their table."""
    _, tables = desk.snapshots.get_tables(golden.binding.dataset)
    return {"items": tables["items"]}


def export_review(desk: Desk, unit: str, review: str, *, bom: bool = False) -> bytes:
    """The queue as a CSV file, with the answers that were imported so far.

    Raises:
        UsageError: the unit has no such review.
    """
    _, ref = find(state(desk, unit), review)
    queue = desk.evidence.get(ref.answer or ref.evidence)
    return review_sheet.to_csv(queue.tables["items"], titles=titles_of(queue), bom=bom)


def export_page(desk: Desk, unit: str, review: str) -> bytes:
    """The same queue as one HTML page to look at: both answers side by side, numbered as in the CSV file.

    Raises:
        UsageError: the unit has no such review.
    """
    _, ref = find(state(desk, unit), review)
    queue = desk.evidence.get(ref.answer or ref.evidence)
    return review_page.to_html(queue.tables["items"], titles=titles_of(queue), unit=unit, review=review)


def titles_of(queue: Evidence) -> dict[str, str] | None:
    """The titles that a review of lists shows; None where answers are labels."""
    frame = queue.tables.get("titles")
    return None if frame is None else dict(frame.select("item_id", "title").iter_rows())


def import_answers(
    desk: Desk, unit: str, review: str, content: bytes, *, reason: str, source: str = "the file"
) -> Evidence:
    """Review evidence is recorded from a filled-in export, with the actor as reviewer; all rows or none.

    Items may be left without an answer: the fact `unanswered` has their number, and gates wait for them.
    They can be filled in and imported again.

    Raises:
        UsageError: the unit has no such review.
        InputError: the file is not this review's export, names the row; or holds no answer.
    """
    release, ref = find(state(desk, unit), review)
    queue = desk.evidence.get(ref.evidence)
    items = review_sheet.from_csv(
        queue.tables["items"], content, queue.facts["labels"], source=source, titles=titles_of(queue)
    )
    return _record(desk, unit, release, review, queue, items, simulated=False, reason=reason)


def answer_by_truth(
    desk: Desk,
    unit: str,
    review: str,
    truth: Truth,
    *,
    reason: str,
    error: float = 0.0,
    unclear: float = 0.0,
    seed: int = 0,
) -> Evidence:
    """Review evidence is recorded from what is hidden, in a stack that says it is simulated.

    Of two lists the one with the higher NDCG@3 is preferred, `neither` where they are equal, and `unclear`
    where nobody graded the query. With
    `error` and `unclear` the simulated reviewer of the world answers, who errs at these rates.

    Raises:
        NotReviewable: the stack is not simulated.
        InputError: a reviewed request is not in `truth`, or no reviewed query is graded.
    """
    if not desk.stack.simulated:
        raise NotReviewable(
            f"hidden labels for {review} were refused: people answer reviews in this stack",
            accepted="`simulated: true` in stack.yaml, where no person is asked",
            next_step=reviewing(unit),
        )
    from mangaops.simulation.reviewers import SIMULATED_REVIEWER, answer_review

    release, ref = find(state(desk, unit), review)
    queue = desk.evidence.get(ref.evidence)
    items = queue.tables["items"]
    known = _right_answers(items, truth)
    asked = items.select("item_id", "request_id", option_a="baseline_label", option_b="release_label")
    labels = pl.DataFrame({"request_id": list(known), "label": list(known.values())})
    rng = np.random.default_rng(seed)
    answers = answer_review(asked, labels, error_rate=error, unclear_rate=unclear, rng=rng)
    unknown = [label == UNCLEAR for label in items["request_id"].replace_strict(known, default=None)]
    told = pl.when(pl.Series(unknown, dtype=pl.Boolean)).then(pl.lit(UNCLEAR)).otherwise(answers["answer"])
    answered = items.with_columns(answer=told)
    hidden = replace(desk, actor=SIMULATED_REVIEWER if error or unclear else HIDDEN_LABELS)
    return _record(hidden, unit, release, review, queue, answered, simulated=True, reason=reason)


def _right_answers(items: pl.DataFrame, truth: Truth) -> dict[str, str]:
    """What is right, or preferred, by request id: of planted items what is known of them."""
    planted = dict(items.filter("planted").select("request_id", "known").iter_rows())
    if isinstance(truth, pl.DataFrame):
        return review_lists.preferred(items, truth) | planted
    known = {**truth, **planted}
    return known | {row["request_id"]: _right_action(row, known) for row in _acted(items, known)}


def _acted(items: pl.DataFrame, truth: Mapping[str, str]) -> list[dict[str, Any]]:
    return [row for row in items.filter("by_action").to_dicts() if row["request_id"] in truth]


def _right_action(row: Mapping[str, Any], truth: Mapping[str, str]) -> str:
    """The side that asks back where the shared label is wrong, the other where it is right."""
    is_right = (
        review_queue.with_action(truth[row["request_id"]], row["baseline_action"]) == row["baseline_label"]
    )
    good = [row[f"{side}_label"] for side in Side if (row[f"{side}_action"] == Action.CLARIFY) != is_right]
    return str(good[0]) if len(good) == 1 else NEITHER


def find(current: UnitState, review: str) -> tuple[str, ReviewRef]:
    """The release that the review is about, and the review.

    Raises:
        UsageError: the unit has no such review.
    """
    for name, known in current.releases.items():
        for ref in known.reviews:
            if ref.review == review:
                return name, ref
    known_names = [ref.review for known in current.releases.values() for ref in known.reviews]
    raise UsageError(
        f"review {review!r} was refused: {current.unit} has no such review",
        accepted=", ".join(known_names) or "none is open",
        next_step=f"mangaops review open {current.unit}",
    )


def counted_review(desk: Desk, subject: Release, shadow: Digest) -> ReviewRef | None:
    """The review that counts for this shadow evidence: the newest that was opened; None where none was."""
    asked = (ref for ref in reversed(subject.reviews) if _asks_about(desk, ref, shadow))
    return next(asked, None)


def _asks_about(desk: Desk, ref: ReviewRef, shadow: Digest, seed: int | None = None) -> bool:
    facts = desk.evidence.get(ref.evidence).facts
    return bool(facts["shadow"] == shadow and seed in (None, facts["seed"]))


def _queue(
    desk: Desk, unit: str, name: str, shadow: Evidence, golden: Evidence, form: AnswerForm, seed: int
) -> Evidence:
    spec = unit_spec(desk, unit).review
    answers = shadow.tables["answers"]
    plant = partial(form.plant, {**golden.tables, **(_catalogue(desk, golden) if form.listed else {})})
    items = review_queue.build(answers, plant, spec, review=name, rng=np.random.default_rng(seed))
    both = {*answers["baseline_label"], *answers["release_label"]}
    other_label = pl.col("baseline_label") != pl.col("release_label")
    facts: dict[str, Any] = {
        "reviewer": None,
        "simulated": None,
        "requests": answers.height,
        "disagreements": answers.filter("disagrees", other_label).height,
        "planted_floor": spec.floor,
        "labels": [] if form.listed else sorted(both | set(golden.facts["labels"])),
        "shadow": shadow.digest,
        "seed": seed,
    }
    groups = answers.group_by("group").agg(requests=pl.len().cast(pl.Int64)).sort("group")
    return Evidence(EvidenceKind.REVIEW, shadow.binding, facts, {"items": items, "groups": groups})


def _record(
    desk: Desk,
    unit: str,
    release: str,
    review: str,
    queue: Evidence,
    items: pl.DataFrame,
    *,
    simulated: bool,
    reason: str,
) -> Evidence:
    unanswered = items["answer"].null_count()
    if unanswered and unanswered == items.height:
        raise NotReviewable(
            f"the answers to {review} were refused: there is none",
            accepted=", ".join(REVIEW_WORDS)
            + ("" if "titles" in queue.tables else " or a label")
            + " in the column `answer`",
            next_step="fill in the exported file and import it",
        )
    facts = dict(queue.facts) | {
        "reviewer": desk.actor,
        "simulated": simulated,
        "unanswered": unanswered,
        "review": review,
    }
    evidence = Evidence(EvidenceKind.REVIEW, queue.binding, facts, {**queue.tables, "items": items})
    answered = drafts.review_answered(
        unit,
        release=release,
        review=review,
        evidence=evidence.digest,
        simulated=simulated,
        reason=reason,
        actor=desk.actor,
    )
    return record_evidence(desk, unit, release, evidence, reason=reason, first=[answered])
