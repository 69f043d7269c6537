"""Sentences that report, error review and explanation share, so that they never tell different numbers."""

from __future__ import annotations

from mangaops.release.dossier import Dossier
from mangaops.release.escape import visible
from mangaops.release.figures import SENTENCE, count
from mangaops.stack import MOST_QUERIES
from mangaops.vocabulary import EvidenceKind, Outcome, State, Verdict


def stayed(champion: str | None) -> str:
    """Who goes on answering where a release is not promoted; None: no release serves."""
    return f"{champion} stayed champion" if champion else "the fallback answers as before"


def sentence(case: Dossier) -> str:
    """What became of the release, in one sentence."""
    name = case.subject.name
    if case.decision is None:
        return f"{name} was registered and is {case.subject.state}; no gate has judged it yet."
    worst = max((row.finding.verdict for row in case.open_rows), default=Verdict.PASS)
    shown = [row for row in case.open_rows if worst != Verdict.FAIL or row.finding.verdict == worst]
    gates = "; ".join(dict.fromkeys(f"{row.gate}, {row.subject} ({row.verdict})" for row in shown))
    if case.outcome == Outcome.PROMOTE:
        passed = len([row for row in case.rows if not row.dry_run])
        return f"{name} passed all {count(passed, 'check')} against {case.baseline}{_since(case)}."
    stands = f"{stayed(case.champion)}: {gates}."
    if case.outcome == Outcome.REJECT:
        return f"{name} breaks what a rule asks for, and {stands}"
    return f"Nothing is proven against {name}, but not enough is known to promote it; {stands}"


def stopped_early(case: Dossier) -> str:
    """A sentence where an offline gate failed and the rest was left unmeasured; else empty."""
    if case.outcome != Outcome.REJECT or EvidenceKind.SHADOW in case.evidence:
        return ""
    return "The run stopped at the failed offline gates: what would need traffic was not measured any more."


def _since(case: Dossier) -> str:
    state = case.subject.state
    if state == State.CHAMPION:
        return " and is champion"
    if state in (State.RETIRED, State.ROLLED_BACK, State.WITHDRAWN):
        return f"; it is {state.replace('_', ' ')} since {case.subject.stands_since}"
    return ""


def price_lines(case: Dossier) -> list[str]:
    """What a HOLD costs to settle if the true difference is zero; empty for other outcomes."""
    price = case.decision.price if case.decision else {}
    lines = []
    if price.get("labels"):
        lines.append(f"about {count(int(price['labels']), 'more label')}")
    if price.get("requests"):
        lines.append(f"{count(int(price['requests']), 'more mirrored request')}")
    if price.get("hours"):
        lines.append(f"{float(price['hours']):.1f} more hours of traffic")
    if price.get("review"):
        lines.append("a review of the disagreements, with every item answered")
    lines += [str(each) for each in price.get("measure", ())]
    if price.get("unsettled"):
        subjects = ", ".join(price["unsettled"])
        lines.append(f"no number of labels settles a margin of zero if nothing differs: {subjects}")
    if price.get("out_of_reach"):
        subjects = ", ".join(price["out_of_reach"])
        asks = f"more queries than an evaluation brings, which asks {MOST_QUERIES:,} at most"
        lines.append(f"{asks}: {subjects}; change the rule in stack.yaml, or judge another challenger")
    return [visible(line, SENTENCE) for line in lines]
