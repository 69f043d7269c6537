"""fingerprint: tokenizer, preprocessing and labels serve as they trained, and the probes answer as sealed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Gate, Params
from mangaops.gates.proof import Unusable, again, proof
from mangaops.stack import Rule
from mangaops.vocabulary import EvidenceKind, Side, Verdict


class Fingerprint(Params):
    """No parameters: the expected fingerprint and the tolerance are sealed with the artifact."""


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    """The release's mismatch is a FAIL; the baseline's is an ERROR, since nothing can be compared with it."""
    sides: Mapping[str, Mapping[str, Any]] = proof(case, EvidenceKind.FINGERPRINT).facts["sides"]
    if not sides.get(Side.RELEASE):
        raise Unusable(
            "the fingerprint of the release was not checked", again(case, EvidenceKind.FINGERPRINT)
        )
    checked = [side for side in Side if sides.get(side)]
    return tuple(_side(rule, case, side, sides[side]) for side in checked)


def _side(rule: Rule, case: Case, side: Side, fact: Mapping[str, Any]) -> Finding:
    wrong = _mismatch(fact)
    bad = Verdict.FAIL if side is Side.RELEASE else Verdict.ERROR
    gap = fact.get("probe_gap")
    return Finding(
        gate=rule.gate,
        subject=f"{side} {fact.get('model', '')}".strip(),
        verdict=bad if wrong else Verdict.PASS,
        says=f"{side}: {wrong or 'fingerprint and probes are those that were sealed, and it loads'}",
        observed=None if gap is None else float(gap),
        threshold=None if fact.get("tolerance") is None else float(fact["tolerance"]),
        unit="probe output",
        next_step=f"{again(case, EvidenceKind.FINGERPRINT)} once the sealed files are restored"
        if wrong
        else "",
        dry_run=rule.dry_run,
    )


def _mismatch(fact: Mapping[str, Any]) -> str:
    """What is wrong with one side in words; empty where nothing is."""
    if not fact.get("loads"):
        return f"it does not load: {fact.get('why') or 'no reason was recorded'}"
    if not fact.get("expected") or fact["expected"] != fact.get("found"):
        return f"fingerprint {str(fact.get('found'))[:19]} is not the sealed {str(fact.get('expected'))[:19]}"
    gap, tolerance = fact.get("probe_gap"), fact.get("tolerance")
    if gap is None or tolerance is None:
        return "the probes were not answered"
    if not float(gap) <= float(tolerance):
        return f"probe outputs differ by {float(gap):.3g}, over the sealed tolerance {float(tolerance):.3g}"
    return ""


GATE = Gate(Fingerprint, _judge, lambda _params: 0)
