"""All evidence before the judge, the decision into the ledger, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mangaops import gates
from mangaops.errors import RefusedError
from mangaops.evidence import Evidence
from mangaops.gates import Case, Decision
from mangaops.registry import Release, UnitState, drafts
from mangaops.release.bootstrap import rules_for, specs_digest
from mangaops.release.checks import record_parts
from mangaops.release.cutover import PATIENCE, Patience
from mangaops.release.desk import (
    Desk,
    Progress,
    append,
    bind,
    learnt_from_logs,
    model_spec,
    newest,
    opponent,
    release_of,
    revisions,
    state,
    unit_spec,
)
from mangaops.release.error_review import ErrorReview, error_review
from mangaops.release.promote import Promoted, promote
from mangaops.release.review import counted_review
from mangaops.release.standing import Prove, read_decision, require_golden
from mangaops.stack import Rule
from mangaops.vocabulary import Digest, EvidenceKind, Outcome, State, Verdict

ON_TRAFFIC = frozenset({EvidenceKind.SHADOW, EvidenceKind.REVIEW})
"""Evidence that is bound to the traffic window; all other kinds are bound to the golden set's snapshot."""


@dataclass(frozen=True)
class Judged:
    """A decision in the ledger: the outcome, the digest of its stored document, and the decision itself."""

    outcome: Outcome
    digest: Digest
    decision: Decision


@dataclass(frozen=True)
class Acted:
    """What followed: who serves now, the promotion where there was one, the error review where one opened."""

    outcome: Outcome
    champion: str | None
    error_review: ErrorReview | None = None
    promoted: Promoted | None = None


def judge(
    desk: Desk, unit: str, release: str, *, dataset: Digest, traffic: Digest | None, reason: str
) -> Judged:
    """The decision on all evidence is stored and in the ledger; the same evidence is not a new look.

    `dataset` is the digest of the snapshot whose golden rows count, `traffic` that of the replayed window
    (None: nothing was replayed).

    Raises:
        RefusedError: the golden set was frozen anew.
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    read = revisions(desk, current, subject)
    require_golden(desk, current, subject, dataset)
    rules = rules_for(desk, current, subject)
    case = build_case(desk, current, subject, dataset=dataset, traffic=traffic)
    known = _same_again(desk, current, subject, case, rules)
    if known is not None:
        return known
    decision = gates.judge(rules, case)
    return _record(desk, current, subject, decision, rules, read, reason)


def judge_offline(desk: Desk, unit: str, release: str, *, dataset: Digest, reason: str) -> Judged | None:
    """A hard FAIL of what is measured so far is decided at once; else the candidate is challenger, and None.

    A FAIL that was decided before on the same evidence, and not acted on yet, is that decision.

    Raises:
        RefusedError: the golden set was frozen anew.
        RevisionConflict: another verb appended first.
    """
    if release_of(state(desk, unit), release).state != State.CANDIDATE:
        return None
    record_parts(desk, unit, release, dataset=dataset, reason=reason)
    current = state(desk, unit)
    subject = release_of(current, release)
    read = revisions(desk, current, subject)
    require_golden(desk, current, subject, dataset)
    rules = rules_for(desk, current, subject)
    case = build_case(desk, current, subject, dataset=dataset, traffic=None)
    decision = gates.judge(rules, case)
    if max(decision.verdicts.values(), default=Verdict.PASS) == Verdict.FAIL:
        known = _same_again(desk, current, subject, case, rules)
        return known or _record(desk, current, subject, decision, rules, read, reason)
    draft = drafts.offline_passed(unit, release=release, reason=reason, actor=desk.actor)
    append(desk, [draft], expect=read)
    return None


def act(
    desk: Desk,
    unit: str,
    release: str,
    judged: Judged,
    *,
    prove: Prove,
    reason: str,
    progress: Progress = None,
    patience: Patience = PATIENCE,
) -> Acted:
    """What the decision says is done: promoted, rejected or held, and explained. Done twice, it stands once.

    Raises:
        RefusedError: the decision is not the newest, or was overtaken; or a gateway's worker refused.
        IntegrityError: the release or the way back does not load.
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    if not subject.decisions or subject.decisions[-1].digest != judged.digest:
        raise RefusedError(
            f"acting on decision {judged.digest[:19]} was refused: {release} was judged again since",
            next_step=f"mangaops release explain {release}",
        )
    if judged.outcome == Outcome.PROMOTE:
        done = promote(desk, unit, release, prove=prove, reason=reason, progress=progress, patience=patience)
        return Acted(judged.outcome, done.champion, promoted=done)
    review = _refuse(desk, current, subject, judged, reason)
    return Acted(judged.outcome, state(desk, unit).champion, review)


def build_case(
    desk: Desk, current: UnitState, subject: Release, *, dataset: Digest, traffic: Digest | None
) -> Case:
    """The newest evidence of each kind that is bound as it must be; where only stale is, the stale one.

    So the gates can say what is stale and what is missing. Of reviews that one counts which was opened last
    on the shadow that is judged; until it is answered there is none.
    """
    bound = bind(current, subject, dataset)
    on_traffic = replace(bound, dataset=traffic) if traffic is not None else None
    found: dict[EvidenceKind, Evidence] = {}
    for kind in EvidenceKind:
        wanted = on_traffic if kind in ON_TRAFFIC else bound
        evidence = newest(desk, subject, kind, wanted) if wanted else None
        stale = None if traffic is None and kind in ON_TRAFFIC else newest(desk, subject, kind)
        if (chosen := evidence or stale) is not None:
            found[kind] = chosen
    shadow = found.get(EvidenceKind.SHADOW)
    asked = counted_review(desk, subject, shadow.digest) if shadow else None
    if asked is not None:
        found.pop(EvidenceKind.REVIEW, None)
        if asked.answer is not None:
            found[EvidenceKind.REVIEW] = desk.evidence.get(asked.answer)
    model = model_spec(desk, current.unit)
    return Case(
        binding=bound,
        evidence=found,
        unit=unit_spec(desk, current.unit),
        model=model,
        data=desk.stack.dataset(model.data),
        name=subject.name,
        traffic=traffic,
        look=look(desk, current, subject, found),
        timing=timing(desk, current, subject, found),
        seed=int(subject.digest.removeprefix("sha256:")[:8], 16),
        simulated=desk.stack.simulated,
        served=opponent(current, subject.name) is not None,
        logged=desk.stack.ranks(current.unit) and learnt_from_logs(desk, current, subject),
    )


def look(desk: Desk, current: UnitState, subject: Release, found: Mapping[EvidenceKind, Evidence]) -> int:
    """Which look at labels this judgement is, from 1: each new set of golden or of reviewed labels is one.

    Grades of items are golden labels. A judgement that waited for its review, or for the rest of it, saw no
    reviewed label, and costs no look. Only judgements against the present champion count.
    """
    evaluations, rankings, reviews = (
        _judged_on(desk, current, subject, found, kind)
        for kind in (EvidenceKind.EVALUATION, EvidenceKind.RANKING, EvidenceKind.REVIEW)
    )
    answers = [desk.evidence.get(digest).tables["items"]["answer"] for digest in reviews]
    answered = [each for each in answers if not each.null_count()]
    return max(1, len(evaluations), len(rankings), len(answered))


def timing(desk: Desk, current: UnitState, subject: Release, found: Mapping[EvidenceKind, Evidence]) -> int:
    """Which timing this judgement sees, from 1, of those judged against the present champion."""
    return max(1, len(_judged_on(desk, current, subject, found, EvidenceKind.LATENCY)))


def _judged_on(
    desk: Desk,
    current: UnitState,
    subject: Release,
    found: Mapping[EvidenceKind, Evidence],
    kind: EvidenceKind,
) -> set[Digest]:
    """The evidence of that kind that was judged against the present champion, with what is judged now."""
    seen = {found[kind].digest} if kind in found else set()
    for ref in subject.decisions:
        judged = read_decision(desk, ref.digest)["decision"]["evidence"]
        if ref.generation == current.generation and kind in judged:
            seen.add(judged[kind])
    return seen


def _same_again(
    desk: Desk, current: UnitState, subject: Release, case: Case, rules: tuple[Rule, ...]
) -> Judged | None:
    """The newest decision, where evidence, digests, rules and specs are the same since any reopening."""
    if not subject.decisions or subject.decisions[-1].revision < subject.reopened_at:
        return None
    ref = subject.decisions[-1]
    document = read_decision(desk, ref.digest)
    decision = Decision.from_dict(document["decision"])
    evidence = {str(kind): known.digest for kind, known in case.evidence.items()}
    same = (
        ref.generation == current.generation
        and decision.binding == case.binding
        and decision.traffic == case.traffic
        and {str(kind): digest for kind, digest in decision.evidence.items()} == evidence
        and document["rules"] == [rule.as_dict() for rule in rules]
        and document.get("specs") == specs_digest(desk, current.unit)
    )
    return Judged(decision.outcome, ref.digest, decision) if same else None


def _record(
    desk: Desk,
    current: UnitState,
    subject: Release,
    decision: Decision,
    rules: tuple[Rule, ...],
    read: Mapping[str, int],
    reason: str,
) -> Judged:
    document: Mapping[str, Any] = {
        "unit": current.unit,
        "release": subject.name,
        "decision": decision.as_dict(),
        "rules": [rule.as_dict() for rule in rules],
        "specs": specs_digest(desk, current.unit),
        "reason": reason,
    }
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)
    digest = desk.documents.put(text.encode(), ".json")
    draft = drafts.decided(
        current.unit,
        release=subject.name,
        decision=digest,
        outcome=decision.outcome,
        verdicts=decision.verdicts,
        look=decision.look,
        reason=reason,
        actor=desk.actor,
    )
    append(desk, [draft], expect=read)
    return Judged(decision.outcome, digest, decision)


def _refuse(desk: Desk, current: UnitState, subject: Release, judged: Judged, reason: str) -> ErrorReview:
    """REJECT and HOLD: the champion stays and the error review is open; a REJECT closes the release."""
    review = error_review(desk, current.unit, subject.name)
    document = desk.documents.put(review.markdown.encode(), ".md")
    desk.documents.put(review.html.encode(), ".html")
    made = []
    if judged.outcome == Outcome.REJECT and subject.state != State.REJECTED:
        made.append(
            drafts.rejected(
                current.unit,
                release=subject.name,
                decision=judged.digest,
                reason=reason,
                actor=desk.actor,
            )
        )
    if document not in subject.error_reviews:
        made.append(
            drafts.error_review_opened(
                current.unit,
                release=subject.name,
                document=document,
                reason=reason,
                actor=desk.actor,
            )
        )
    if made:
        append(desk, made, expect={current.unit: current.revision})
    return review
