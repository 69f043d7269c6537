"""What a gateway counts, for Prometheus: one set of metrics over all its processes.

The folder of PROMETHEUS_MULTIPROC_DIR, which the supervisor sets before any process begins, joins the counts
of workers, shadow and supervisor; a killed process takes none of them with it. Each process counts in files
of its name, which the supervisor gives: whoever is started in place of a dead one counts on where that one
stopped, and no number of restarts leaves more files to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from multiprocessing import current_process
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector


def _process() -> str:
    """The name of this process: of those that run at one time in one gateway no two have the same."""
    return current_process().name


if values.ValueClass._multiprocess:  # chosen when it was imported; every metric below is made of it
    values.ValueClass = values.MultiProcessValue(_process)  # type: ignore[no-untyped-call]

_SECONDS: Final = (
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
)

REQUESTS: Final = Counter("mangaops_requests", "Requests answered", ["unit", "release"])
SECONDS: Final = Histogram("mangaops_request_seconds", "Seconds to answer", ["unit"], buckets=_SECONDS)
TOGETHER: Final = Counter("mangaops_batched", "Requests answered in a batch of this size", ["unit", "size"])
REFUSED: Final = Counter("mangaops_refused", "Requests refused with 503", ["unit", "why"])
GENERATION: Final = Gauge(
    "mangaops_generation", "Generation that answers", ["unit"], multiprocess_mode="livemax"
)
BEHIND: Final = Gauge(
    "mangaops_generation_behind", "Lowest generation that any worker answers with", ["unit"],
    multiprocess_mode="livemin",
)  # fmt: skip
CATALOGUE: Final = Gauge(
    "mangaops_catalogue_generation", "Lowest catalogue generation that any worker answers from", ["unit"],
    multiprocess_mode="livemin",
)  # fmt: skip
CATALOGUE_BEHIND: Final = Gauge(
    "mangaops_catalogue_behind", "Deltas of the catalogue that a worker's answers lack", ["unit"],
    multiprocess_mode="livemax",
)  # fmt: skip
CATALOGUE_LATER: Final = Gauge(
    "mangaops_catalogue_later", "Items that came or changed since the snapshot of what serves", ["unit"],
    multiprocess_mode="livemax",
)  # fmt: skip
CATALOGUE_REFUSED: Final = Counter(
    "mangaops_catalogue_refused", "Tries to follow a catalogue that failed", ["unit", "error"]
)
LOAD_REFUSED: Final = Counter("mangaops_load_refused", "Releases that could not be loaded", ["unit", "error"])
LEDGER_DOWN: Final = Gauge(
    "mangaops_ledger_unreachable", "1 while the ledger is not followed", multiprocess_mode="livemax"
)
WAITING: Final = Gauge("mangaops_waiting", "Texts that wait for a thread", multiprocess_mode="livesum")
MIRRORED: Final = Counter("mangaops_mirrored", "Requests by what became of their copy", ["unit", "mirror"])
SHADOWED: Final = Counter("mangaops_shadowed", "Copies that the shadow answered, or not", ["unit", "result"])
LOGGED: Final = Gauge(
    "mangaops_log_acknowledged", "Newest sequence number on disk", ["log"], multiprocess_mode="livesum"
)
DROPPED: Final = Gauge("mangaops_log_dropped", "Rows that no log holds", ["log"], multiprocess_mode="livesum")
FEEDBACK: Final = Counter("mangaops_feedback", "Feedback by what became of it", ["unit", "result"])
JOURNAL: Final = Gauge(
    "mangaops_journal_bytes", "Bytes of logs that are not rolled yet", multiprocess_mode="livemax"
)
SEGMENTS: Final = Gauge(
    "mangaops_journal_segments", "Segments that were not whole, since the gateway started", ["how"],
    multiprocess_mode="livemax",
)  # fmt: skip
RESTARTS: Final = Counter("mangaops_restarts", "Processes started again after they died", ["process"])


@cache
def _children(
    unit: str, release: str, batch: int, mirror: str
) -> tuple[Counter, Counter, Counter, Histogram]:
    """Looked up once: by its labels a metric is found ten times slower than it counts."""
    together, mirrored = TOGETHER.labels(unit, str(batch)), MIRRORED.labels(unit, mirror)
    return REQUESTS.labels(unit, release), together, mirrored, SECONDS.labels(unit)


def answered(unit: str, release: str, seconds: float, batch: int, mirror: str) -> None:
    """An answer is counted, with its batch and with what became of its copy."""
    *counters, histogram = _children(unit, release, batch, mirror)
    for counter in counters:
        counter.inc()
    histogram.observe(seconds)


def begin(units: Iterable[str]) -> None:
    """What this process counts has its files, at 0: when it counts, it may have no file or byte to spare.

    A file that cannot be made then would cost a user the answer, and all processes their page of metrics.
    Gauges that are a least of all workers are not begun here, for 0 would be that least.
    """
    for unit in units:
        SECONDS.labels(unit)
    for process in ("worker", "shadow"):
        RESTARTS.labels(process).inc(0)


def supervise() -> None:
    """What the supervisor counts is there, at 0."""
    begin(())
    JOURNAL.set(0)
    for how in ("damaged", "torn"):
        SEGMENTS.labels(how).set(0)


def page() -> bytes:
    """All metrics of all processes of this gateway, in Prometheus' text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
