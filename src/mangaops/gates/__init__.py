"""Rules and evidence to verdicts to a decision. Pure."""

from mangaops.gates.asked import Asked, asked_of_shadow
from mangaops.gates.case import Case
from mangaops.gates.decision import Decision
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Gate, Params
from mangaops.gates.judge import combine, judge, weigh
from mangaops.gates.table import GATES

__all__ = [
    "GATES",
    "Asked",
    "Case",
    "Decision",
    "Finding",
    "Gate",
    "Params",
    "asked_of_shadow",
    "combine",
    "judge",
    "weigh",
]
