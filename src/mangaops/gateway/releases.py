"""From a release of the ledger to something that answers: fetched, verified, warmed, off the serving path."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mangaops.errors import IntegrityError, MangaopsError
from mangaops.inference.families import Servable, loaded
from mangaops.inference.fingerprint import PROBES
from mangaops.registry import Permit, UnitState, permit
from mangaops.store import Artifacts
from mangaops.vocabulary import Digest, Family, Purpose

_WARM_ROUNDS: Final = 3

WARMED_TOGETHER: Final = 4
"""Texts that a release is warmed with together, where they may be."""
_TYPICAL: Final = PROBES[1]


class Releases:
    """Loads releases; artifacts are read from a local verified copy, and fetched where it has none."""

    def __init__(self, folder: Path, fetch: Callable[[], Artifacts], families: Mapping[str, Family]) -> None:
        """`families` has the family of each unit; `fetch` opens the store that everyone shares."""
        self._local = Artifacts(folder / "artifacts")
        self._fetch = fetch
        self._families = families

    def load(self, state: UnitState, release: str, purpose: Purpose) -> Servable:
        """The release, verified from end to end and asked its probes.

        Raises:
            Untracked: the ledger does not list it in a state for this purpose.
            IntegrityError: its files are missing, changed, or answer otherwise than when sealed.
            SetupError: neither the local copy nor the shared store has it within reach.
        """
        permits = permit(state, release, purpose)
        try:
            return loaded({m: self._folder(each.artifact) for m, each in permits.items()}, permits)
        except IntegrityError:
            if not self._forget(permits):
                raise
        folders = {m: self._folder(each.artifact) for m, each in permits.items()}
        return loaded(folders, permits)

    def _folder(self, digest: Digest) -> Path:
        """A local folder with the artifact's files; the loader verifies them."""
        if not self._local.has(digest):
            self._local.put(self._fetch().open(digest))
        return self._local.open(digest)

    def _forget(self, permits: Mapping[str, Permit]) -> bool:
        """Local copies that do not verify are gone; whether there were any: fetching them anew may help."""
        wrong = [each.artifact for each in permits.values() if self._is_broken(each.artifact)]
        for digest in wrong:
            self._local.forget(digest)
        return bool(wrong)

    def _is_broken(self, digest: Digest) -> bool:
        if not self._local.has(digest):
            return False
        try:
            self._local.open(digest)
        except MangaopsError:
            return True
        return False


def warm(predictor: Servable, together: int = 1) -> float:
    """The predictor has answered texts of all lengths; the least seconds that a typical one takes.

    Some models are faster a text where so many are answered together.

    Raises:
        IntegrityError: it failed.
    """
    try:
        return _warmed(predictor, together)
    except Exception as error:
        raise IntegrityError(
            f"{predictor.name} was refused: it failed while it was warmed",
            found=f"{type(error).__name__}: {error}",
            accepted="an answer to each probe, alone and together",
            next_step="roll back to a release that answers, or train again",
        ) from error


def _warmed(predictor: Servable, together: int) -> float:
    for text in PROBES:
        predictor.answer(text)
    predictor.answer_together([predictor.read(text) for text in PROBES[:together]])
    typical = predictor.read(_TYPICAL)
    return min(_seconds(predictor, [typical] * number) for number in {1, together})


def _seconds(predictor: Servable, read: list[Any]) -> float:
    """Seconds that each of these takes when they are answered together."""
    spent = []
    for _ in range(_WARM_ROUNDS):
        begun = time.perf_counter()
        predictor.answer_together(read)
        spent.append((time.perf_counter() - begun) / len(read))
    return statistics.median(spent)
