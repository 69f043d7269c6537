"""Journalled steps: what was finished under the same inputs, code and libraries is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from importlib.resources import files
from typing import Any, TypeVar

from mangaops.store import Journal
from mangaops.vocabulary import Digest

Progress = Callable[[str, int, int], None]
Output = dict[str, Any]
T = TypeVar("T")

LIBRARIES = (
    "bm25s",
    "faiss-cpu",
    "numpy",
    "onnxruntime",
    "polars",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)


@cache
def code_sha() -> Digest:
    """Digest over every source file of the package: the code that trained and measured."""
    hasher = hashlib.sha256()
    root = files("mangaops")
    pending = [(item.name, item) for item in root.iterdir()]
    sources: dict[str, bytes] = {}
    while pending:
        name, item = pending.pop()
        if item.is_dir():
            pending += [(f"{name}/{child.name}", child) for child in item.iterdir()]
        elif name.endswith(".py"):
            sources[name] = item.read_bytes()
    for name in sorted(sources):
        hasher.update(f"{name}\0{len(sources[name])}\0".encode() + sources[name])
    return "sha256:" + hasher.hexdigest()


@cache
def library_versions() -> Mapping[str, str]:
    """Installed versions of the libraries that change results; an absent one is left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def step_key(step: str, inputs: Mapping[str, Any]) -> str:
    """The key of a step: a digest over its name, inputs, code and library versions."""
    body = {"step": step, "inputs": inputs, "code": code_sha(), "libraries": library_versions()}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Steps:
    """The steps of one run, with what each cost in seconds. `check` raises where the run's lease was lost."""

    journal: Journal
    run: str
    clock: Callable[[], float]
    announce: Callable[[str, str], None]
    check: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)

    def do(
        self,
        step: str,
        inputs: Mapping[str, Any],
        work: Callable[[], Output],
        holds: Callable[[Output], bool] = lambda _output: True,
    ) -> Output:
        """The output of `work`, from the journal where this very step was finished before.

        It is the same one whether it was made now or found. An output that no longer `holds` (its artifact is
        gone) is made again, under a key of its own.
        """
        key = step_key(step, inputs)
        known = self.journal.get(key)
        while known is not None and not holds(known):
            key = step_key(step, {**inputs, "in_place_of": [key, known]})
            known = self.journal.get(key)
        if known is not None:
            self.resumed.append(step)
            self.announce(step, "already done")
            return known
        output = self.timed(step, work)
        self.check()
        return self.journal.put(key, self.run, step, output)

    def timed(self, step: str, work: Callable[[], T]) -> T:
        """The result of `work`, its seconds counted under `step`.

        Raises:
            LeaseHeld: the lease was lost before the step began.
        """
        self.check()
        self.announce(step, "started")
        begun = self.clock()
        result = work()
        self.seconds[step] = self.seconds.get(step, 0.0) + self.clock() - begun
        self.announce(step, f"{self.seconds[step]:.1f} s")
        return result
