"""Processes that race for revisions, and writers that are made to be killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path

import histories as h
from mangaops.errors import RevisionConflict
from mangaops.inference import manifest
from mangaops.registry import UnitState, fold
from mangaops.store import Artifacts, Journal, Ledger


def race(url: str, name: str, attempts: int, gate: Barrier, said: Path) -> None:
    """Promotes again and again at the revision it has read; writes `won REVISION` or `lost REVISION`."""
    with Ledger(url) as ledger:
        state, lines = UnitState("router"), []
        gate.wait()
        for _ in range(attempts):
            state = fold(ledger.read("router", state.revision), state)
            number = state.generation + 1
            told = h.week(number, after=number - 1 or None, generation=number)
            mine = [replace(draft, actor=name) for draft in told]
            try:
                events = ledger.append(
                    mine, expect={"router": state.revision, "data/intent-data": 1}, at=h.AT
                )
                lines.append(f"won {events[0].revision}")
            except RevisionConflict:
                lines.append(f"lost {state.revision + 1}")
    said.write_text("\n".join(lines))


def write(url: str, root: Path, start: int, acknowledge: Callable[[str], None]) -> None:
    """Stores artifacts, appends and journals until it is killed, and acknowledges each that is done."""
    with Ledger(url) as ledger:
        journal, artifacts = Journal(ledger), Artifacts(root)
        for number in count(start):
            digest = artifacts.put(sealed_folder(root.parent / "made", number))
            acknowledge(f"artifact {number} {digest}")
            heads = ledger.heads()
            revision = heads["stack"].revision if "stack" in heads else 0
            told = [h.requested(number), h.dataset(number, "crash")]
            (event, _) = ledger.append(told, expect={"stack": revision}, at=h.AT)
            acknowledge(f"event {number} {event.revision} {event.hash}")
            journal.put(f"key-{number}", "run", f"step-{number}", {"digest": digest})
            acknowledge(f"journal {number} {digest}")


def sealed_folder(base: Path, number: int) -> Path:
    """A small sealed folder whose content is its number's."""
    folder = base / str(number)
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "deep/labels.json"):
        (folder / name).write_text(f"{name} {number}\n" * 300)
    manifest.seal(folder)
    return folder
