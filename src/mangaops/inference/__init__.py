"""Sealed release to predictor: fingerprint, tokens, sessions, decoding."""

from mangaops.inference.answer import Answer, Predictor, Progress, action_for, answers
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.load import load
from mangaops.inference.probes import ProbeResult, probe

__all__ = [
    "Answer",
    "Predictor",
    "ProbeResult",
    "Progress",
    "action_for",
    "answers",
    "fingerprint",
    "load",
    "probe",
]
