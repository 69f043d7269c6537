"""What a run leaves for people: one folder a release, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import release_of, state
from mangaops.release.error_review import error_review
from mangaops.release.report import release_report
from mangaops.store.foreign import file_errors
from mangaops.vocabulary import Outcome


def write_reports(shop: Workshop, unit: str, release: str) -> dict[str, Path]:
    """The report of a release, and the error review of a held or rejected one, as files."""
    folder = shop.reports / release
    folder.mkdir(parents=True, exist_ok=True)
    wrote = {"report": whole(folder / "report.html", release_report(shop.desk, unit, release))}
    subject = release_of(state(shop.desk, unit), release)
    refused = bool(subject.decisions) and subject.decisions[-1].outcome != Outcome.PROMOTE
    if subject.error_reviews and refused:
        opened = error_review(shop.desk, unit, release)
        wrote["error review"] = whole(folder / "error-review.html", opened.html)
        wrote["error review, Markdown"] = whole(folder / "error-review.md", opened.markdown)
    return wrote


def whole(path: Path, text: str | bytes) -> Path:
    """The file holds exactly that, or what it held before; its mode and the links to it stay.

    A device or a pipe, which cannot be replaced, is written to.

    Raises:
        SetupError: it cannot be written; it names the file.
    """
    content = text.encode() if isinstance(text, str) else text
    with file_errors(f"writing {path} was refused"):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            _replace(path.resolve(), content, None)
            return path
        if stat.S_ISREG(mode):
            _replace(path.resolve(), content, stat.S_IMODE(mode))
        else:
            path.write_bytes(content)
    return path


def _replace(path: Path, content: bytes, mode: int | None) -> None:
    half = path.with_name(path.name + ".half")
    with half.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(content)
    os.replace(half, path)
