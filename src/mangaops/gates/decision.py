"""All verdicts of one challenger in one frozen document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mangaops.evidence import Binding
from mangaops.gates.finding import Finding
from mangaops.vocabulary import Digest, Outcome, Verdict


@dataclass(frozen=True)
class Decision:
    """What is done with a challenger, and why.

    `evidence` maps each kind of evidence to the digest that was judged. `price` says what would settle a
    HOLD if the true difference is zero: `labels`, `requests`, `hours`, `review`, `measure`, `unsettled`,
    `out_of_reach`; it is empty for other outcomes.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]
    binding: Binding
    evidence: Mapping[str, Digest]
    look: int = 1
    traffic: Digest | None = None
    price: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> Digest:
        """Digest over everything that the document says."""
        text = json.dumps(self._body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The worst counted verdict of each gate, in the order of the list; dry runs are left out."""
        worst: dict[str, Verdict] = {}
        for finding in self.findings:
            if not finding.dry_run:
                worst[finding.gate] = max(worst.get(finding.gate, Verdict.PASS), finding.verdict)
        return worst

    @property
    def against(self) -> str:
        """What counts, was run and did not pass, in a line; what several gates say alike is said once."""
        counted = (
            each
            for each in self.findings
            if each.verdict is not Verdict.PASS and not each.dry_run and not each.not_run
        )
        return "; ".join(dict.fromkeys(each.says for each in counted))

    def as_dict(self) -> dict[str, Any]:
        """JSON values, with the digest."""
        return {**self._body(), "digest": self.digest}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Decision:
        """The decision that `as_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: the mapping is not one that `as_dict` wrote, or was edited.
        """
        decision = cls(
            outcome=Outcome(body["outcome"]),
            findings=tuple(Finding.from_dict(finding) for finding in body["findings"]),
            binding=Binding(**body["binding"]),
            evidence=dict(body["evidence"]),
            look=body["look"],
            traffic=body["traffic"],
            price=dict(body["price"]),
        )
        if decision.digest != body["digest"]:
            raise ValueError(f"decision {body['digest']} does not match its contents ({decision.digest})")
        return decision

    def _body(self) -> dict[str, Any]:
        return {
            "outcome": str(self.outcome),
            "findings": [finding.as_dict() for finding in self.findings],
            "binding": dict(vars(self.binding)),
            "evidence": dict(self.evidence),
            "look": self.look,
            "traffic": self.traffic,
            "price": dict(self.price),
        }
