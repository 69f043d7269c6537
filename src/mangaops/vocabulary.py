"""The closed enums and ids of the house: the words that every room uses, and no synonyms."""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import Final

Digest = str
"""`sha256:` and 64 hex digits."""

DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")

STREAM_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""How a unit or a dataset may be called: its name is that of its stream in the ledger."""

STACK_STREAM = "stack"
"""The stream of the stack itself: no unit may be called so."""


SHADOW_WORKER: Final = -1
"""In `load_refused` the worker's number of a gateway's shadow process: it is none of the workers."""


class Family(StrEnum):
    """The six ways to train, evaluate and serve a model."""

    INTENT_CLASSIFIER = "intent-classifier"
    EMBEDDING_ADAPTER = "embedding-adapter"
    CROSS_ENCODER_RERANKER = "cross-encoder-reranker"
    SENTIMENT_DETECTOR = "sentiment-detector"
    RESPONSE_LORA = "response-lora"
    RAFT_ANSWER = "raft-answer"


SEARCHING: Final = frozenset({Family.EMBEDDING_ADAPTER, Family.CROSS_ENCODER_RERANKER})
"""Families that learn from what people searched for."""


class Part(StrEnum):
    """What belongs to a release and is no model: sealed, named by its digest, and loaded with the models."""

    INDEX = "index"


class Split(StrEnum):
    """Where a row of a dataset version belongs."""

    TRAIN = "train"
    VALIDATION = "validation"
    GOLDEN = "golden"


class State(StrEnum):
    """Where a release stands in its life."""

    CANDIDATE = "candidate"
    CHALLENGER = "challenger"
    SHADOW = "shadow"
    CHAMPION = "champion"
    RETIRED = "retired"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ROLLED_BACK = "rolled_back"


class EventKind(StrEnum):
    """The facts that the ledger knows."""

    DATASET_RECORDED = "dataset_recorded"
    GOLDEN_FROZEN = "golden_frozen"
    MODEL_REGISTERED = "model_registered"
    RELEASE_REGISTERED = "release_registered"
    RUN_REQUESTED = "run_requested"
    RUN_STARTED = "run_started"
    RUN_FINISHED = "run_finished"
    EVIDENCE_RECORDED = "evidence_recorded"
    OFFLINE_PASSED = "offline_passed"
    SHADOW_STARTED = "shadow_started"
    REVIEW_OPENED = "review_opened"
    REVIEW_ANSWERED = "review_answered"
    DECIDED = "decided"
    CUTOVER_PREPARED = "cutover_prepared"
    CUTOVER_ABORTED = "cutover_aborted"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ROLLED_BACK = "rolled_back"
    REOPENED = "reopened"
    ERROR_REVIEW_OPENED = "error_review_opened"
    LOAD_REFUSED = "load_refused"


class SlotState(StrEnum):
    """How far a member of a gateway is with a release that it holds."""

    ADDING = "adding"
    WARMING = "warming"
    HEALTHY = "healthy"
    ACTIVE = "active"
    DRAINING = "draining"
    CLOSED = "closed"


class Acknowledged(StrEnum):
    """What a member of a gateway says of a cutover: it holds the release, it does not, it serves it."""

    READY = "ready"
    REFUSED = "refused"
    ACTIVE = "active"


class Purpose(StrEnum):
    """What a sealed release may be loaded for."""

    MEASURE = "measure"
    SHADOW = "shadow"
    SERVE = "serve"


class Verdict(IntEnum):
    """What a gate returns; a list of verdicts combines by max, and only PASS promotes."""

    PASS = 0
    INCONCLUSIVE = 1
    ERROR = 2
    FAIL = 3


class Outcome(StrEnum):
    """All verdicts of one challenger in a word."""

    PROMOTE = "PROMOTE"
    REJECT = "REJECT"
    HOLD = "HOLD"


class EvidenceKind(StrEnum):
    """What can be measured and frozen."""

    EVALUATION = "evaluation"
    LATENCY = "latency"
    LEAKAGE = "leakage"
    FINGERPRINT = "fingerprint"
    RECORD = "record"
    SHADOW = "shadow"
    REVIEW = "review"
    RANKING = "ranking"
    INDEX = "index"


class Side(StrEnum):
    """Which of the two a paired number belongs to; `baseline` is the champion or what stands in its place."""

    BASELINE = "baseline"
    RELEASE = "release"


class Stage(StrEnum):
    """Which list of a search: what the adapter finds, how the reranker orders it, what the user gets."""

    ADAPTER = "adapter"
    RERANKER = "reranker"
    SEARCH = "search"


class Cell(StrEnum):
    """Whose adapter and reranker made a list: those of one side, or one of each (the crosses)."""

    BASELINE = "baseline"
    RELEASE = "release"
    NEW_ADAPTER = "new_adapter"
    NEW_RERANKER = "new_reranker"


class Step(StrEnum):
    """What a search does, in this order."""

    ENCODE = "encode"
    RETRIEVE = "retrieve"
    RERANK = "rerank"


NO_MODEL: Final[Digest] = "sha256:" + "0" * 64
"""In a model's place where there is none: of a pair without a reranker, of a baseline that is no pair."""


class Unjudged(StrEnum):
    """What an item in a list counts as that nobody judged: irrelevant, or as if it were not there."""

    IRRELEVANT = "irrelevant"
    LEFT_OUT = "left_out"


class ShadowMode(StrEnum):
    """Where the answers of a shadow come from: a file replayed through both sides, or logs of gateways."""

    REPLAY = "replay"
    LIVE = "live"


class Action(StrEnum):
    """What the chatbot does with the router's answer."""

    ROUTE = "route"
    CLARIFY = "clarify"
    OFFER_HUMAN = "offer_human"


class Because(StrEnum):
    """Why a release run was started."""

    SCHEDULE = "schedule"
    DRIFT = "drift"
    QUALITY = "quality"
    MANUAL = "manual"


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


class RecordPart(StrEnum):
    """The eight artifacts without which nothing is promoted."""

    DATASET_VERSION = "dataset_version"
    TOKENIZER_HASH = "tokenizer_hash"
    TRAINING_CONFIG = "training_config"
    MODEL_ARTIFACT = "model_artifact"
    EVALUATION_REPORT = "evaluation_report"
    CONFUSION_MATRIX = "confusion_matrix"
    LATENCY_REPORT = "latency_report"
    ROLLBACK_POINTER = "rollback_pointer"


UNCLEAR = "unclear"
"""A reviewer could not tell: the item counts for neither side and widens the interval."""

NEITHER = "neither"
"""A reviewer says that both sides answered wrongly."""

REVIEW_WORDS = ("A", "B", NEITHER, UNCLEAR)
"""What a reviewer may write instead of a label, in capitals or not."""


def is_review_word(text: str) -> bool:
    """Whether a reviewer who writes this gives one of `REVIEW_WORDS`: no label may be called so."""
    return text.strip().lower() in {word.lower() for word in REVIEW_WORDS}


FROM_LOGS: Final = "from_logs"
"""In the place of a list of labels: those of the first logs, frozen with the first snapshot."""

FALLBACK = "fallback:"
"""What a rollback pointer starts with where it names no release but what a unit does without one."""
