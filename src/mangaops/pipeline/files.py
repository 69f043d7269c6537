"""What a run leaves for people: one folder a release, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mangaops.pipeline.workshop import Workshop
from mangaops.release.desk import release_of, state
from mangaops.release.error_review import error_review
from mangaops.release.report import release_report


def write_reports(shop: Workshop, unit: str, release: str) -> dict[str, Path]:
    """The report of a release, and its error review where one was opened, as files of its folder."""
    folder = shop.reports / release
    folder.mkdir(parents=True, exist_ok=True)
    wrote = {"report": _whole(folder / "report.html", release_report(shop.desk, unit, release))}
    if release_of(state(shop.desk, unit), release).error_reviews:
        opened = error_review(shop.desk, unit, release)
        wrote["error review"] = _whole(folder / "error-review.html", opened.html)
        wrote["error review, Markdown"] = _whole(folder / "error-review.md", opened.markdown)
    return wrote


def _whole(path: Path, text: str) -> Path:
    half = path.with_suffix(path.suffix + ".half")
    half.write_text(text, encoding="utf-8")
    os.replace(half, path)
    return path
