"""Lee's news articles as a catalogue and graded judgments: `python prepare.py --source FOLDER --out FOLDER`.

Reads `lee.cor` (50 articles, one a line), `lee_background.cor` (300 more) and `similarities0-1.txt` (how
alike people found each two of the 50, from 0.2 to 1) and writes, into the folder:

- `catalogue.parquet`: the 350 articles without the first sentence of the 50.
- `judgments.parquet`: that first sentence as a query; the article that it was taken from has grade 4, the
  other 49 what people said: 5 times the similarity, less 1, rounded, so from 0 to 4.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from published import Refused, write

FILES = ("lee.cor", "lee_background.cor", "similarities0-1.txt")
ARTICLES, BACKGROUND = 50, 300
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def prepare(source: Path) -> dict[str, pl.DataFrame]:
    """The two tables, under the names of their files.

    Raises:
        Refused: the source cannot be used.
    """
    told = {name: _lines(source, name) for name in FILES}
    articles, background = told["lee.cor"], told["lee_background.cor"]
    if (len(articles), len(background)) != (ARTICLES, BACKGROUND):
        raise _refused(source, f"{len(articles)} and {len(background)} articles")
    alike = _matrix(source, told["similarities0-1.txt"])
    leads, rests = zip(*map(_parted, articles), strict=True)
    items = [*((f"lee-{n}", rest) for n, rest in enumerate(rests)), *_numbered(background)]
    judged = [
        (f"lead-{row}", leads[row], f"lee-{column}", grade(alike[row][column]))
        for row in range(ARTICLES)
        for column in range(ARTICLES)
    ]
    return {
        "catalogue": pl.DataFrame(items, schema=["item_id", "title"], orient="row"),
        "judgments": pl.DataFrame(judged, schema=["query_id", "query", "item_id", "grade"], orient="row"),
    }


def grade(similarity: float) -> int:
    """People gave 1 to 5, and the file holds a fifth of their mean: back to 0 to 4."""
    return round(5 * similarity - 1)


def _lines(source: Path, name: str) -> list[str]:
    path = source / name
    if not path.is_file():
        raise _refused(source, f"no file {name}")
    return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def _matrix(source: Path, lines: list[str]) -> list[list[float]]:
    """The symmetric matrix of a file that holds its upper triangle; each article is like itself."""
    try:
        rows = [[float(cell) for cell in line.split()] for line in lines]
    except ValueError as error:
        raise _refused(source, f"a similarity that is no number ({error})") from error
    if len(rows) != ARTICLES or any(len(row) != ARTICLES for row in rows):
        raise _refused(source, f"similarities of {len(rows)} rows")
    upper = [[max(rows[a][b], rows[b][a]) for b in range(ARTICLES)] for a in range(ARTICLES)]
    return [[1.0 if a == b else value for b, value in enumerate(row)] for a, row in enumerate(upper)]


def _parted(article: str) -> tuple[str, str]:
    """The first sentence, and the rest; where there is no other, the first twelve words and the rest."""
    first, *rest = _SENTENCE.split(article.strip(), maxsplit=1)
    if rest:
        return first, rest[0]
    words = article.split()
    return " ".join(words[:12]), " ".join(words[12:])


def _numbered(background: list[str]) -> list[tuple[str, str]]:
    return [(f"background-{n}", text) for n, text in enumerate(background)]


def _refused(source: Path, found: str) -> Refused:
    return Refused(
        f"{source} was refused: found {found}; needed: a folder with {', '.join(FILES)}; "
        f"next: {Path(sys.argv[0]).with_name('README.md')} says where they are"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write(given.out, lambda: prepare(given.source))
