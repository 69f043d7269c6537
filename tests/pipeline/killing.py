"""Kills release runs with SIGKILL at random moments and checks the ledger after each.

A process of its own that imports first and opens nothing, so that a fork of it is a fresh run at once.
Prints one JSON document: kills, runs that ended, problems found.
"""

from __future__ import annotations

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

from mangaops import store  # noqa: F401 - imported before the fork
from mangaops.datasets import Source
from mangaops.inference import load
from mangaops.pipeline import release_run, views
from mangaops.pipeline.plan import Plan
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import ModelRecord
from mangaops.release.desk import state
from mangaops.training import Trained
from mangaops.vocabulary import Family
from mangaops.wiring import Settings, open_workshop


@dataclass(frozen=True)
class Scene:
    """The files of a world, a home with a champion, and an artifact that the recipe hands out."""

    world: Path
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
        files = [str(self.world / f"{name}.parquet") for name in ("first", "second")]
        return Plan(
            "router",
            Source(tuple(files)),
            traffic=Source((str(self.world / "traffic.parquet"),)),
            truth=str(self.world / "truth.parquet"),
            reason="to be killed",
        )

    def run(self, home: Path) -> None:
        release_run.run(self.workshop(home), self.plan(), lambda *_: None, lambda *_: None)


def scene(world: Path) -> Scene:
    """The scene of a world in which `intent-classifier@v2` was trained once."""
    shop = open_workshop(Settings(world / "stack.yaml", world / "home", None, None, "killed"))
    record = state(shop.desk, "router").models["intent-classifier@v2"]
    return Scene(world, shop.desk.artifacts.open(record.artifact), record)


def kinds(shop: Workshop) -> list[str]:
    """The kinds of all events of the unit, in order."""
    return [str(event.kind) for event in shop.desk.ledger.read("router")]


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
    return json.loads(text) if text else ["the check itself failed"]


def main(world: Path, scratch: Path, kills: int, seed: int) -> dict[str, Any]:
    """As many kills as asked; after each, no problem; after each whole run, the facts of an unharmed one."""
    rng = random.Random(seed)
    bootstrapped = world / "home-bootstrapped"
    record = answered(lambda: vars(scene(world).record))
    artifact = Path(answered(lambda: str(scene(world).artifact)))
    stage = Scene(world, artifact, ModelRecord(**record))

    def fresh(name: str) -> Path:
        return Path(shutil.copytree(bootstrapped, scratch / name))

    home = fresh("unharmed")
    begun = time.monotonic()
    _, status = os.waitpid(forked(stage.run, home), 0)
    whole = time.monotonic() - begun
    wanted = answered(lambda: kinds(stage.workshop(home)))
    found = [] if status == 0 else ["the unharmed run failed"]
    done = ended = 0
    home = fresh("killed-0")
    while done < kills and not found:
        pid = forked(stage.run, home)
        time.sleep(rng.uniform(0.0, whole))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        done += 1
        found += answered(lambda home=home: problems(stage.workshop(home)))
        if os.WIFEXITED(status):
            ended += 1
            got = answered(lambda home=home: kinds(stage.workshop(home)))
            if os.WEXITSTATUS(status) or got != wanted:
                found.append(f"run {ended} ended with {os.WEXITSTATUS(status)}: {got}, not {wanted}")
            shutil.rmtree(home)
            home = fresh(f"killed-{ended}")
        if done % 50 == 0:
            print(f"{done} kills, {ended} whole runs", file=sys.stderr, flush=True)
    return {
        "kills": done,
        "ended": ended,
        "problems": found,
        "seconds_a_run": round(whole, 2),
        "events": wanted,
    }


if __name__ == "__main__":
    place, scratch_folder, count, chosen = sys.argv[1:]
    sys.stderr.write(f"loader {load.__name__} imported\n")
    print(json.dumps(main(Path(place), Path(scratch_folder), int(count), int(chosen))))
