"""Sealed release to predictor: fingerprint, tokens, sessions, decoding."""

from mangaops.inference.answer import Actions, Answer, Predictor, Progress, answers
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.load import load
from mangaops.inference.probes import ProbeResult, probe

__all__ = [
    "Actions",
    "Answer",
    "Predictor",
    "ProbeResult",
    "Progress",
    "answers",
    "fingerprint",
    "load",
    "probe",
]
