"""The gates that rules may name. A new one is a file and a line here."""

from __future__ import annotations

from typing import Final

from mangaops.gates import (
    added_latency,
    at_least,
    disagreement,
    fingerprint,
    index_recall,
    latency,
    leakage,
    no_critical_regression,
    no_increase,
    non_inferior,
    pair,
    release_record,
)
from mangaops.gates.gate import Gate

GATES: Final[dict[str, Gate]] = {
    "release_record": release_record.GATE,
    "leakage": leakage.GATE,
    "fingerprint": fingerprint.GATE,
    "non_inferior": non_inferior.GATE,
    "no_critical_regression": no_critical_regression.GATE,
    "no_increase": no_increase.GATE,
    "latency": latency.GATE,
    "disagreement": disagreement.GATE,
    "at_least": at_least.GATE,
    "pair": pair.GATE,
    "index_recall": index_recall.GATE,
    "added_latency": added_latency.GATE,
}
