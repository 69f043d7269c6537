"""What differs between a unit that classifies and one that ranks: one entry a kind of data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from mangaops.datasets import Source
from mangaops.datasets.search_data import collect_asked
from mangaops.errors import UsageError
from mangaops.evidence import Evidence
from mangaops.pipeline.bench import Bench
from mangaops.pipeline.dataset_run import accepted, find_version, gather, newest_version, take_snapshot
from mangaops.pipeline.measuring import Classifying
from mangaops.pipeline.measuring_lists import Ranking
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.search_data_run import (
    SearchSources,
    examine_search,
    find_search_version,
    newest_search_version,
    take_search_snapshot,
)
from mangaops.pipeline.steps import Steps
from mangaops.pipeline.traffic import read_traffic
from mangaops.pipeline.training_run import Version
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.release.desk import model_spec, next_run, state
from mangaops.release.shadow import Traffic
from mangaops.stack import Stack

DataKind = Literal["labels", "search"]


class Measuring(Protocol):
    """How a release is measured beside the champion, or beside the plain baseline where there is none."""

    def offline(self) -> None:
        """All that is judged before any traffic is in the ledger."""

    def replayed(self, traffic: Traffic) -> Evidence:
        """Both sides' answers to a window of traffic are in the ledger."""

    def truth(self, location: str) -> Any:
        """What answers a review in a simulated stack."""


@dataclass(frozen=True)
class Kind:
    """`version`: the plan's data as a recorded dataset version. `measuring`: a release on the bench.

    `find`: a recorded version by name or digest, and of that dataset where one is named. `newest`: the one
    of a dataset that was recorded last. `traffic`: a window of what was asked.
    """

    version: Callable[[Workshop, Plan, Steps, Progress], Version]
    find: Callable[[Workshop, str, str | None], Version]
    newest: Callable[[Workshop, str], Version | None]
    traffic: Callable[[Workshop, str, Source, Progress], Traffic]
    measuring: Callable[[Bench], Measuring]


def _labelled(shop: Workshop, plan: Plan, steps: Steps, progress: Progress) -> Version:
    data, source = model_spec(shop.desk, plan.unit).data, plan.source
    if not isinstance(source, Source):
        raise _other(shop, plan.unit, "labelled logs", "--logs")
    logs = steps.timed("logs", lambda: accepted(gather(shop, data, source, progress)))
    return steps.timed(
        "snapshot",
        lambda: take_snapshot(
            shop, data, logs, grow_golden=plan.grow_golden, reason=plan.reason, progress=progress
        ),
    )


def _searched(shop: Workshop, plan: Plan, steps: Steps, progress: Progress) -> Version:
    data, sources = model_spec(shop.desk, plan.unit).data, plan.source
    if not isinstance(sources, SearchSources):
        raise _other(shop, plan.unit, "a catalogue and judgments", "--catalogue, --judgments and --searches")
    found = steps.timed("data", lambda: examine_search(shop.desk.stack, data, sources, progress).data)
    return steps.timed(
        "snapshot",
        lambda: take_search_snapshot(
            shop, data, found, grow_golden=plan.grow_golden, reason=plan.reason, progress=progress
        ),
    )


def _requests(shop: Workshop, data: str, source: Source, progress: Progress) -> Traffic:
    return read_traffic(shop.desk.stack.labelled(data), source, progress)


def _asked(shop: Workshop, data: str, source: Source, progress: Progress) -> Traffic:
    return Traffic(collect_asked(source, shop.desk.stack.search_data[data], progress))


KINDS: Final[dict[DataKind, Kind]] = {
    "labels": Kind(_labelled, find_version, newest_version, _requests, Classifying),
    "search": Kind(_searched, find_search_version, newest_search_version, _asked, Ranking),
}


def kind_of(stack: Stack, data: str) -> Kind:
    """How a unit is run whose models learn from the dataset."""
    return KINDS["search" if data in stack.search_data else "labels"]


def _other(shop: Workshop, unit: str, needed: str, options: str) -> UsageError:
    return UsageError(
        f"a run of {unit} was refused: its models learn from {needed}",
        accepted=options,
        next_step=next_run(shop.desk, state(shop.desk, unit)),
    )
