"""What came back from a load: latencies in windows, errors by kind, who answered, and who wrongly."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from mangaops.simulation.histogram import Histogram
from mangaops.stats import Undefined, quantile_interval

if TYPE_CHECKING:
    from mangaops.simulation.client import Sent

FALLBACK: Final = "fallback"
"""Who answers where an answer names no release."""

_WINDOW, _MOST_WINDOWS = 0.25, 60
LEVEL: Final = 0.95

Version = tuple[str, int]
"""A release and the generation that an answer named beside it."""


@dataclass(frozen=True)
class LoadReport:
    """A finished load.

    `seconds`: how long requests were sent. `windows`: latencies by when a request was due. `versions`:
    answers of each release and generation, of which `foreign` were none that this release gives. `late`:
    how far behind the due moment the client itself wrote a request: where that is not small, the client is
    the bottleneck, as it is where `busy`, its share of one core, nears 1.
    """

    seconds: float
    requests: int
    errors: Mapping[str, int]
    windows: tuple[Histogram, ...]
    versions: Mapping[Version, int]
    foreign: Mapping[Version, int]
    late: Histogram
    busy: float

    @property
    def failed(self) -> int:
        """Requests without a readable answer."""
        return sum(self.errors.values())

    @property
    def answered(self) -> int:
        """Requests with one."""
        return self.requests - self.failed

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    @property
    def latencies(self) -> Histogram:
        """All latencies."""
        whole = Histogram()
        for window in self.windows:
            whole.add(window)
        return whole

    def mixed(self, history: Mapping[int, str] | None = None) -> int:
        """How many answers were mixed.

        `history`: the release of each generation, as the ledger tells it. None: the release that answered
        most under a generation is its release.
        """
        known = self._majority() if history is None else history
        return sum(
            count if known.get(version[1]) != version[0] else self.foreign.get(version, 0)
            for version, count in self.versions.items()
        )

    def _majority(self) -> dict[int, str]:
        ascending = sorted(self.versions.items(), key=lambda item: item[1])
        return {generation: release for (release, generation), _ in ascending}

    def interval(self, q: float) -> tuple[float, float | None, float | None]:
        """Milliseconds of a quantile, and its interval at 0.95 over windows as blocks; None: no bound.

        NaN and no bounds where nothing was answered.
        """
        held = [window for window in self.windows if len(window)]
        values = [window.values() for window in held]
        try:
            estimate, found = quantile_interval(
                np.concatenate(values) if values else [],
                q,
                LEVEL,
                np.repeat(np.arange(len(held)), [len(window) for window in held]) if len(held) > 1 else None,
            )
        except Undefined:
            return math.nan, None, None
        low, high = (bound if math.isfinite(bound) else None for bound in (found.low, found.high))
        return estimate, low, high

    def as_dict(self, history: Mapping[int, str] | None = None) -> dict[str, Any]:
        """The figures as JSON values; milliseconds are null where nothing was answered."""
        whole = self.latencies
        shown: dict[str, Any] = {
            "requests": self.requests,
            "answered": self.answered,
            "failed": self.failed,
            "errors": dict(self.errors),
            "mixed_version": self.mixed(history),
            "seconds": round(self.seconds, 3),
            "throughput": round(self.throughput, 2),
            "longest_ms": _rounded(whole.longest),
            "client_late_p99_ms": _rounded(self.late.quantile(0.99)),
            "client_busy": round(self.busy, 3),
            "versions": [
                {"release": release, "generation": generation, "answers": count}
                for (release, generation), count in sorted(self.versions.items(), key=lambda item: item[0][1])
            ],
        }
        for name, q in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            value, low, high = self.interval(q)
            shown |= {name: _rounded(value), f"{name}_low": _rounded(low), f"{name}_high": _rounded(high)}
        return shown

    def as_json(self) -> str:
        """The whole report, to be read by `from_json`."""
        fields = {
            **vars(self),
            "windows": [window.counts for window in self.windows],
            "late": self.late.counts,
            "versions": [[*version, count] for version, count in self.versions.items()],
            "foreign": [[*version, count] for version, count in self.foreign.items()],
        }
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> LoadReport:
        """The report that `as_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["windows"] = tuple(_histogram(counts) for counts in fields["windows"])
        fields["late"] = _histogram(fields["late"])
        for name in ("versions", "foreign"):
            fields[name] = {(release, generation): count for release, generation, count in fields[name]}
        return cls(**fields)


def _histogram(counts: Mapping[str, int]) -> Histogram:
    return Histogram({int(bucket): count for bucket, count in counts.items()})


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


def marked(items: Sequence[Mapping[str, Any]]) -> str:
    """What stands for a list of found items: equal for equal ids, titles, scores and order."""
    told = [[each["item_id"], each["title"], each["score"]] for each in items]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


@dataclass
class Tally:
    """Counts while a load runs.

    `reads`: what answers are: of a router ("route"), of a search ("search"), or any JSON. `expected`: of
    each release its labels, or of a search the mark of its answer to each question.
    """

    expected: Mapping[str, Sequence[str]]
    reads: Literal["route", "search", "any"] = "route"
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    windows: dict[int, Histogram] = field(default_factory=dict)
    versions: Counter[Version] = field(default_factory=Counter)
    foreign: Counter[Version] = field(default_factory=Counter)
    late: Histogram = field(default_factory=Histogram)

    def count(self, sent: Sent, status: int, body: bytes, wrong: str, now: float, begun: float) -> None:
        """One more request is over, well or not."""
        self.requests += 1
        why = wrong or self._read(sent.number, status, body)
        if why:
            self.errors[why] += 1
            return
        window = int((sent.due - begun) / _WINDOW)
        self.windows.setdefault(window, Histogram()).record(now - sent.due)
        self.late.record(sent.at - sent.due)

    def _read(self, number: int, status: int, body: bytes) -> str:
        """What is wrong with an answer; its version is counted where it is a whole one."""
        if status != 200:
            return f"status {status}"
        try:
            answer = json.loads(body)
            if self.reads == "any":
                return ""
            release, generation = answer["release"], answer["generation"]
            version = str(release or FALLBACK), int(generation)
            own = self._is_own(version[0], number, answer)
        except (ValueError, KeyError, TypeError):
            return "garbage"
        self.versions[version] += 1
        self.foreign[version] += not own
        return ""

    def _is_own(self, release: str, number: int, answer: Mapping[str, Any]) -> bool:
        """Whether the release gives such an answer; of one that nobody knows any is its own."""
        own = self.expected.get(release)
        if self.reads == "search":
            mark = marked(answer["items"])
            return own is None or mark == own[number % len(own)]
        intent = answer["intent"]
        return own is None or intent in own

    def report(self, seconds: float, *, busy: float) -> LoadReport:
        """The counts, closed."""
        return LoadReport(
            seconds=seconds,
            requests=self.requests,
            errors=dict(self.errors),
            windows=self._merged(),
            versions=dict(self.versions),
            foreign=dict(self.foreign),
            late=self.late,
            busy=busy,
        )

    def _merged(self) -> tuple[Histogram, ...]:
        """The windows of a long load are longer, so that there are enough of them and not too many."""
        if not self.windows:
            return ()
        each = max(self.windows) // _MOST_WINDOWS + 1
        merged: dict[int, Histogram] = {}
        for index in sorted(self.windows):
            merged.setdefault(index // each, Histogram()).add(self.windows[index])
        return tuple(merged.values())
