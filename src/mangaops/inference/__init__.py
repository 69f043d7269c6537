"""Sealed release to predictor: fingerprint, tokens, sessions, decoding."""

from mangaops.inference.answer import Answer, Predictor, Progress, action_for, answers
from mangaops.inference.embedder import Embedder
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.load import load, load_embedder, load_reranker
from mangaops.inference.probes import ProbeResult, probe
from mangaops.inference.reranker import Reranker

__all__ = [
    "Answer",
    "Embedder",
    "Predictor",
    "ProbeResult",
    "Progress",
    "Reranker",
    "action_for",
    "answers",
    "fingerprint",
    "load",
    "load_embedder",
    "load_reranker",
    "probe",
]
