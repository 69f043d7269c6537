"""What a run leaves for people: one folder a release, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import release_of, state
from mangaops.release.error_review import error_review
from mangaops.release.report import release_report
from mangaops.vocabulary import Outcome


def write_reports(shop: Workshop, unit: str, release: str) -> dict[str, Path]:
    """The report of a release, and the error review of a held or rejected one, as files."""
    folder = shop.reports / release
    folder.mkdir(parents=True, exist_ok=True)
    wrote = {"report": _whole(folder / "report.html", release_report(shop.desk, unit, release))}
    subject = release_of(state(shop.desk, unit), release)
    refused = bool(subject.decisions) and subject.decisions[-1].outcome != Outcome.PROMOTE
    if subject.error_reviews and refused:
        opened = error_review(shop.desk, unit, release)
        wrote["error review"] = _whole(folder / "error-review.html", opened.html)
        wrote["error review, Markdown"] = _whole(folder / "error-review.md", opened.markdown)
    return wrote


def _whole(path: Path, text: str) -> Path:
    half = path.with_suffix(path.suffix + ".half")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)
    return path
