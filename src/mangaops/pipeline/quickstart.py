"""The quickstart's story: three releases on simulated traffic, one of them spoiled, and a rollback.

weeks 1, 2    ─▶ bootstrap: the first champion, against a plain baseline
weeks 1 to 3  ─▶ run: shadowed live by a gateway whose users ask what they asked in week 4, reviewed, promoted
weeks 2, 3    ─▶ run on logs whose requests for a human were labelled chitchat: rejected, error review
              ─▶ rollback while users ask, audit
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mangaops.datasets import Source
from mangaops.errors import MangaopsError, UsageError
from mangaops.pipeline import release_run, verbs, views
from mangaops.pipeline.live_traffic import LiveTraffic, Told, questions_of
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.release_run import RunResult
from mangaops.pipeline.workshop import Announce, Progress, Workshop
from mangaops.registry import untrained
from mangaops.release.desk import release_of, state
from mangaops.release.explain import explain
from mangaops.release.figures import NO_CLASSES
from mangaops.store.foreign import file_errors
from mangaops.vocabulary import Because, EvidenceKind, Outcome, RecordPart, ShadowMode, Verdict

CONVERSATIONS = 850
"""Conversations a simulated week: enough for the gates of examples/quickstart, few enough for minutes."""

LABELLED = 3
"""Labelled weeks; in the week after them users ask the gateway."""

SPOILED = 0.6
"""Share of the requests for a human that the spoiled weeks label as chitchat."""

SECONDS_BESIDE = 2.0
"""How long users ask before and after the champion moves."""

UNIT = "router"
MARK = ".mangaops-quickstart"


@dataclass(frozen=True)
class Teller:
    """How the story is told: a line, a run's result, a step of a run, progress."""

    line: Callable[[str], None]
    result: Callable[[RunResult], None]
    announce: Announce
    progress: Progress


def prepare(folder: Path) -> Path:
    """The folder is empty but for a mark; what an earlier quickstart made there is gone. Returns its home.

    Raises:
        UsageError: the folder holds something that no quickstart made.
        SetupError: it cannot be made or written.
    """
    with file_errors(f"the folder {folder} cannot be used"):
        if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
            raise UsageError(
                f"{folder} was refused: it holds files that no quickstart made",
                accepted="a new or empty folder",
                next_step="mangaops quickstart --folder another-folder",
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / MARK).write_text("made by mangaops quickstart; removed by the next one\n")
    return folder / "home"


def tell_story(shop: Workshop, folder: Path, stack: Path, *, seed: int, teller: Teller) -> dict[str, Any]:
    """The releases have happened; what they showed, as JSON values. `stack` is the file of the stack.

    Raises:
        MangaopsError: a release was not decided as the story needs it; the message names its report.
    """
    teller.line(
        "\n1. A simulated world: three weeks of labelled logs, a fourth of traffic, all of them invented"
    )
    world = _world(folder, seed, teller)
    teller.line("\n2. Bootstrap: the first champion, judged against TF-IDF and logistic regression")
    first = ran(
        shop, Plan(UNIT, world.logs(1, 2), reason="first champion", bootstrap=True), Outcome.PROMOTE, teller
    )
    teller.line("\n3. The weekly release: a gateway serves, a challenger answers a copy of its live traffic")
    questions = questions_of(pl.read_parquet(world.traffic), pl.read_parquet(world.truth))
    with LiveTraffic(stack, folder / "home", questions, world.diary) as live:
        teller.line(f"   the gateway serves {first.release} on {live.url}")
        second, moved = weekly(shop, _weekly(world), live, teller)
        teller.line("\n4. A spoiled week: requests for a human were labelled chitchat")
        spoiled = Plan(
            UNIT,
            world.logs(2, 3, "-spoiled"),
            because=Because.SCHEDULE,
            reason="weekly release, spoiled on purpose",
        )
        third = refused(shop, UNIT, spoiled, teller)
        teller.line("\n5. Rollback while users ask: one command, to a release that is warm in the gateway")
        back, undone = undo(shop, UNIT, live, "support saw wrong routes", teller)
    return {
        "simulated": True,
        "folder": str(folder),
        "runs": [each.as_dict() for each in (first, second, third)],
        "cutover_under_load": vars(moved),
        "rollback": back,
        "rollback_under_load": vars(undone),
        "audit": audited(shop, teller),
        "champion": state(shop.desk, UNIT).champion,
    }


def _weekly(world: _World) -> Plan:
    return Plan(
        UNIT,
        world.logs(1, 3),
        shadow=ShadowMode.LIVE,
        truth=str(world.diary),
        because=Because.SCHEDULE,
        reason="weekly release",
    )


def weekly(shop: Workshop, plan: Plan, live: LiveTraffic, teller: Teller) -> tuple[RunResult, Told]:
    """The weekly release, promoted under load: users begin to ask when the shadow begins.

    Raises:
        MangaopsError: it was not promoted.
    """
    asking = replace(teller, progress=live.begins_with(teller.progress, "live shadow"))
    second = ran(
        replace(shop, pause=lambda seconds: time.sleep(min(1.0, seconds))), plan, Outcome.PROMOTE, asking
    )
    shop.pause(SECONDS_BESIDE)
    moved = live.end()
    required_artifacts(shop, second.release, teller)
    teller.line(f"   {shadowed(shop, second.release)}")
    teller.line(f"   {moved.says}")
    return second, moved


def undo(shop: Workshop, unit: str, live: LiveTraffic, reason: str, teller: Teller) -> tuple[views.Row, Told]:
    """The unit is rolled back while users ask; what was said of it, and what they saw."""
    live.begin()
    shop.pause(SECONDS_BESIDE)
    back = verbs.roll_back(shop, unit, reason=reason)
    shop.pause(SECONDS_BESIDE)
    undone = live.end()
    teller.line(f"   {back['says']}")
    teller.line(f"   {undone.says}")
    return back, undone


def refused(shop: Workshop, unit: str, plan: Plan, teller: Teller) -> RunResult:
    """The run was rejected, and its explanation is told.

    Raises:
        MangaopsError: it was decided otherwise.
    """
    result = ran(shop, plan, Outcome.REJECT, teller)
    teller.line("\n   mangaops release explain " + result.release)
    teller.line(_indented(explain(shop.desk, unit, result.release).text))
    return result


def audited(shop: Workshop, teller: Teller) -> views.Row:
    """The ledger was verified, and its heads are told."""
    teller.line("\n6. The ledger: every fact with actor and reason, chained")
    audit = views.audit(shop, ())
    teller.line(f"   {audit['says']}")
    for head in audit["heads"]:
        teller.line(f"   head {head}")
    return audit


def shadowed(shop: Workshop, release: str) -> str:
    """What the live shadow saw, in a line."""
    ref = views.find_release(shop, release).release.latest(EvidenceKind.SHADOW)
    facts = shop.desk.evidence.get(ref.digest).facts if ref else {}
    shed = sum(facts.get("shed", {}).values())
    return (
        f"live shadow: {facts.get('requests', 0):,} requests, coverage {facts.get('coverage', 0):.1%}, "
        f"{shed} copies shed, {facts.get('disagreements', 0):,} answered differently; "
        f"the champion differed from itself in {facts.get('control_disagreements', 0)} "
        f"of {facts.get('control_requests', 0):,}"
    )


@dataclass(frozen=True)
class _World:
    folder: Path

    @property
    def traffic(self) -> Path:
        return self.folder / "traffic.parquet"

    @property
    def diary(self) -> Path:
        """The true label of each request that the gateway answered, by its id."""
        return self.folder / "live-truth.csv"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.parquet"

    def logs(self, first: int, last: int, spoiled: str = "") -> Source:
        weeks = range(first, last + 1)
        return Source(tuple(str(self.folder / f"logs-{week}{spoiled}.parquet") for week in weeks))


def _world(folder: Path, seed: int, teller: Teller) -> _World:
    from mangaops.simulation import World, spoil

    simulated = World(seed)
    place = folder / "world"
    place.mkdir()
    weeks = [simulated.week(number, CONVERSATIONS, teller.progress) for number in range(LABELLED + 1)]
    for number, week in enumerate(weeks[:LABELLED], start=1):
        week.logs.write_parquet(place / f"logs-{number}.parquet")
        wrong = spoil(week.logs, np.random.default_rng(seed + number), SPOILED)
        wrong.write_parquet(place / f"logs-{number}-spoiled.parquet")
    requests = weeks[-1].logs.select("request_id", "text", "conversation_id", "user_id", "at")
    requests.write_parquet(place / "traffic.parquet")
    pl.concat([week.truth for week in weeks]).write_parquet(place / "truth.parquet")
    rows = sum(week.logs.height for week in weeks)
    teller.line(
        f"   {rows:,} simulated messages in {len(weeks) * CONVERSATIONS:,} conversations, under {place}"
    )
    return _World(place)


def ran(shop: Workshop, plan: Plan, wanted: Outcome, teller: Teller) -> RunResult:
    """The run has happened and was decided as the story needs it; of a HOLD what load spoils is taken anew.

    Raises:
        MangaopsError: it was decided otherwise.
    """
    result = release_run.run(shop, plan, teller.progress, teller.announce)
    teller.result(result)
    _untrained(shop, plan.unit, result.release, teller)
    if result.outcome == Outcome.HOLD and wanted != Outcome.HOLD:
        anew = spoiled_by_load(result.findings)
        told = " and ".join(sorted(anew))
        teller.line(f"   held: a busy machine spoils what it measures, so once more: {told}")
        again = replace(plan, again=plan.again | anew)
        result = release_run.run(shop, again, teller.progress, teller.announce)
        teller.result(result)
    if result.outcome != wanted:
        raise MangaopsError(
            f"the quickstart expected {wanted} and the gates decided {result.outcome}",
            found=result.says,
            next_step=f"read {result.files['report']}; where load held it, run again with less beside it",
        )
    return result


def spoiled_by_load(findings: Sequence[Mapping[str, Any]]) -> frozenset[EvidenceKind]:
    """What a busy machine may have spoiled: latency, and the shadow where its gate did not pass."""
    shadow = any(each["gate"] == "disagreement" and each["verdict"] != Verdict.PASS.name for each in findings)
    return frozenset({EvidenceKind.LATENCY, *([EvidenceKind.SHADOW] if shadow else [])})


def _untrained(shop: Workshop, unit: str, release: str, teller: Teller) -> None:
    """Which models of the release answer as before they learnt is told, a line each."""
    current = state(shop.desk, unit)
    for model, version in release_of(current, release).models.items():
        name = f"{model}@{version}"
        if said := untrained(name, current.models[name].metrics):
            teller.line(f"   {said}")


def required_artifacts(shop: Workshop, release: str, teller: Teller) -> None:
    """The parts of the release's record are told."""
    named = views.find_release(shop, release)
    ref = named.release.latest(EvidenceKind.RECORD)
    parts = shop.desk.evidence.get(ref.digest).facts["parts"] if ref else {}
    teller.line("   the required artifacts:")
    for part in RecordPart:
        teller.line(f"     {part:<18} {parts.get(part) or NO_CLASSES}")


def _indented(text: str) -> str:
    return "\n".join("   " + line for line in text.splitlines())
