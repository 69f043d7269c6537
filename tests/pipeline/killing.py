"""Kills release runs with SIGKILL at random moments and checks the ledger after each.

Runs that end in a promotion and runs that end in a rejection take turns. A process of its own that imports
first and opens nothing, so that a fork of it is a fresh run at once.
Prints one JSON document: kills, runs that ended, problems found. In the place of a number of kills, `each`
kills once after each fact of either run.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mangaops.datasets import Source
from mangaops.inference import load
from mangaops.pipeline import release_run, views
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import ModelRecord
from mangaops.release.desk import state
from mangaops.store import Ledger
from mangaops.training import Trained
from mangaops.vocabulary import EventKind, Family
from mangaops.wiring import Settings, open_workshop

IMPORTED_LATE = (
    "fsspec",
    "jinja2",
    "onnxruntime",
    "pandera.polars",
    "rensa",
    "scipy.stats",
    "sklearn.linear_model",
)
"""What a run imports when it needs it, imported here once, so that kills hit work and not imports."""


@dataclass(frozen=True)
class Scene:
    """The files of a world, the logs of a run, and an artifact that the recipe hands out for them."""

    world: Path
    logs: tuple[str, ...]
    artifact: Path
    record: ModelRecord

    def workshop(self, home: Path) -> Workshop:
        shop = open_workshop(Settings(self.world / "stack.yaml", home, None, None, "killed"))
        return replace(shop, recipes={Family.INTENT_CLASSIFIER: self.recipe})

    def recipe(self, _request: object, folder: Path, _progress: object) -> Trained:
        """Stands for the training alone, which would cost half a minute a run."""
        shutil.copytree(self.artifact, folder)
        known = self.record
        return Trained(folder, known.artifact, known.fingerprint, dict(known.config), dict(known.metrics), {})

    def plan(self) -> Plan:
        return Plan(
            "router",
            logs(self.world, self.logs),
            traffic=Source((str(self.world / "traffic.parquet"),)),
            truth=str(self.world / "truth.parquet"),
            reason="to be killed",
        )

    def run(self, home: Path) -> None:
        release_run.run(self.workshop(home), self.plan(), lambda *_: None, lambda *_: None)


def logs(world: Path, names: tuple[str, ...]) -> Source:
    return Source(tuple(str(world / f"{name}.parquet") for name in names))


def trained(world: Path, home: Path) -> tuple[str, dict[str, Any]]:
    """The folder of the artifact `intent-classifier@v2` of a home, and its record."""
    shop = open_workshop(Settings(world / "stack.yaml", home, None, None, "killed"))
    record = state(shop.desk, "router").models["intent-classifier@v2"]
    return str(shop.desk.artifacts.open(record.artifact)), vars(record)


def spoil(world: Path, home: Path) -> None:
    """A real run on the spoiled logs, from which the second scene takes its artifact."""
    shop = open_workshop(Settings(world / "stack.yaml", home, None, None, "killed"))
    plan = Plan("router", logs(world, ("spoiled",)), reason="spoiled")
    release_run.run(shop, plan, lambda *_: None, lambda *_: None)


def kinds(shop: Workshop) -> list[str]:
    """The kinds of all events of the unit, in order, with that of the evidence where one is of evidence."""
    return [
        " ".join(filter(None, (str(event.kind), event.body.get("evidence_kind"))))
        for event in shop.desk.ledger.read("router")
    ]


def problems(shop: Workshop) -> list[str]:
    """What does not add up: the chain, or evidence, decisions and artifacts that cannot be read."""
    found = list(views.audit(shop, ())["problems"])
    current = state(shop.desk, "router")
    for release in current.releases.values():
        for ref in release.evidence:
            if shop.desk.evidence.get(ref.digest).digest != ref.digest:
                found.append(f"evidence {ref.digest}")
        for decision in release.decisions:
            shop.desk.documents.get(decision.digest)
    for model in current.models.values():
        shop.desk.artifacts.open(model.artifact)
    return found


def checked(shop: Workshop) -> tuple[list[str], list[str]]:
    """Its problems, and the kinds of its events: a run may be killed between its last fact and its exit."""
    return problems(shop), kinds(shop)


def forked(work: Any, *given: Any) -> int:
    """The pid of a fork that does the work and ends with 0, or with 1 where it raised."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*given)
        code = 0
    finally:
        os._exit(code)


def answered(work: Any, *given: Any) -> Any:
    """What the work returned in a fork, so that this process opens no database and no session."""
    reading, writing = os.pipe()

    def tell() -> None:
        with os.fdopen(writing, "w") as pipe:
            json.dump(work(*given), pipe)

    pid = forked(tell)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    if not text:
        raise SystemExit("the check itself failed")
    return json.loads(text)


@dataclass(frozen=True)
class Unharmed:
    """A scene, the kinds of events that its run leaves when nobody kills it, and the seconds it takes."""

    scene: Scene
    wanted: list[str]
    seconds: float


def unharmed(stage: Scene, home: Path) -> Unharmed:
    begun = time.monotonic()
    _, status = os.waitpid(forked(stage.run, home), 0)
    seconds = time.monotonic() - begun
    if status:
        raise SystemExit("the unharmed run failed")
    return Unharmed(stage, answered(lambda: kinds(stage.workshop(home))), seconds)


def scenes(world: Path, scratch: Path) -> list[Scene]:
    """One run that is promoted, one that is rejected."""
    spoiled = Path(shutil.copytree(world / "home-bootstrapped", scratch / "spoiled"))
    os.waitpid(forked(spoil, world, spoiled), 0)
    found = []
    for names, home in ((("first", "second"), world / "home"), (("spoiled",), spoiled)):
        artifact, record = answered(trained, world, home)
        found.append(Scene(world, names, Path(artifact), ModelRecord(**record)))
    return found


def cut(path: Unharmed, home: Path, facts: int) -> None:
    """The run of the scene, killed as soon as so many of its appends are in the ledger."""
    append, counted = Ledger.append, itertools.count(1)

    def appending(*given: Any, **named: Any) -> Any:
        done = append(*given, **named)
        if next(counted) == facts:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Ledger.append = appending  # type: ignore[method-assign]
    path.scene.run(home)


def after_each_fact(world: Path, scratch: Path) -> dict[str, Any]:
    """Kills right after each append of both runs, before anything else is kept of what led to it."""
    found: list[str] = []
    kills = []
    for number, stage in enumerate(scenes(world, scratch)):
        path = unharmed(
            stage, Path(shutil.copytree(world / "home-bootstrapped", scratch / f"whole-{number}"))
        )
        for facts in itertools.count(1):
            home = Path(shutil.copytree(world / "home-bootstrapped", scratch / "cut"))
            os.waitpid(forked(cut, path, home, facts), 0)
            last = answered(lambda home=home, stage=stage: kinds(stage.workshop(home)))[-1]
            if last != str(EventKind.RUN_FINISHED):
                kills.append(last)
                os.waitpid(forked(stage.run, home), 0)
            broken, got = answered(lambda home=home, stage=stage: checked(stage.workshop(home)))
            found += broken
            if got != path.wanted:
                found.append(f"killed after {last}: {got}, not {path.wanted}")
            shutil.rmtree(home)
            if last == str(EventKind.RUN_FINISHED):
                break
    return {"kills": kills, "problems": found}


def main(world: Path, scratch: Path, kills: int, seed: int) -> dict[str, Any]:
    """As many kills as asked; after each, no problem; after each whole run, the facts of an unharmed one."""
    rng = random.Random(seed)

    def fresh(name: str) -> Path:
        return Path(shutil.copytree(world / "home-bootstrapped", scratch / name))

    paths = [unharmed(stage, fresh(f"unharmed-{n}")) for n, stage in enumerate(scenes(world, scratch))]
    found: list[str] = []
    done = ended = 0
    home, path = fresh("killed-0"), paths[0]
    while done < kills and not found:
        pid = forked(path.scene.run, home)
        time.sleep(rng.uniform(0.0, path.seconds))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        done += 1
        broken, got = answered(lambda home=home, path=path: checked(path.scene.workshop(home)))
        found += broken
        if os.WIFEXITED(status) or got == path.wanted:
            ended += 1
            code = os.waitstatus_to_exitcode(status)
            if code > 0 or got != path.wanted:
                found.append(f"run {ended} ended with {code}: {got}, not {path.wanted}")
            shutil.rmtree(home)
            home, path = fresh(f"killed-{ended}"), paths[ended % len(paths)]
        if done % 50 == 0:
            print(f"{done} kills, {ended} whole runs", file=sys.stderr, flush=True)
    return {
        "kills": done,
        "ended": ended,
        "problems": found,
        "seconds_a_run": [round(path.seconds, 2) for path in paths],
        "events": [path.wanted for path in paths],
    }


if __name__ == "__main__":
    place, scratch_folder, count, chosen = sys.argv[1:]
    for name in (*IMPORTED_LATE, load.__module__):
        importlib.import_module(name)
    if count == "each":
        print(json.dumps(after_each_fact(Path(place), Path(scratch_folder))))
    else:
        print(json.dumps(main(Path(place), Path(scratch_folder), int(count), int(chosen))))
