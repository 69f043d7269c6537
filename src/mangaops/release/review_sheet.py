"""A review queue as a CSV file for people, blind to which side is which, and their answers back."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from mangaops.datasets.personal import mask
from mangaops.errors import InputError
from mangaops.release.escape import csv_cell, like_a_number
from mangaops.release.listed import limits, lines, side_by_side
from mangaops.vocabulary import REVIEW_WORDS, is_review_word

COLUMNS: Final = ("item_id", "text", "A", "B", "answer")
Titles = Mapping[str, str]

_BOM: Final = "\ufeff"
_MAX_BYTES: Final = 64 * 2**20


def to_csv(items: pl.DataFrame, *, titles: Titles | None = None, bom: bool = False) -> bytes:
    """The queue as UTF-8 CSV with the columns `COLUMNS`, `answer` to be filled in; `bom` for spreadsheets.

    With `titles` of items A and B are lists of as many numbered lines, one a place; None: they are labels.
    Under a text stands what its search was limited to.
    Personal data in texts is masked, and no cell is read as a formula, a number or a date. No column tells
    which side a label is from, or which items are planted; those have limits of drawn items, without the
    filters where no judged item meets any of them (`review_lists.plant`).
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in items.iter_rows(named=True):
        writer.writerow([*_shown(row, titles), csv_cell(_given(row, titles))])
    return ((_BOM if bom else "") + out.getvalue()).encode()


def _shown(row: dict[str, object], titles: Titles | None) -> list[str]:
    a, b = ordered(row)
    options = (a, b)
    if titles is not None:
        options = (lines(side_by_side(a, b), titles), lines(side_by_side(b, a), titles))
    limited = limits(row.get("options"))
    text = f"{row['text']}\n({limited})" if limited else str(row["text"])
    return [str(row["item_id"]), *(csv_cell(cell) for cell in (mask(text), *options))]


def ordered(row: Mapping[str, object]) -> tuple[str, str]:
    """What stands under A and under B."""
    sides = str(row["baseline_label"]), str(row["release_label"])
    return (sides[1], sides[0]) if row["release_is_a"] else sides


def _given(row: dict[str, object], titles: Titles | None) -> str:
    """The answer that was imported before; of lists the letter under which the preferred one stands."""
    if row["answer"] is None:
        return ""
    letters = dict(zip(ordered(row), "AB", strict=True)) if titles is not None else {}
    return letters.get(str(row["answer"]), str(row["answer"]))


def from_csv(
    items: pl.DataFrame,
    content: bytes,
    labels: Collection[str],
    *,
    source: str,
    titles: Titles | None = None,
) -> pl.DataFrame:
    """The queue with its answers: labels, "neither" or "unclear"; null where the cell was left empty.

    `A` and `B` stand for the labels, or lists, of their columns: those of lists are the only ones, beside
    the words. Every item must be in the file once, in any order. `titles` as they were exported.

    Raises:
        InputError: names the row that is unknown, doubled or edited, the item that is missing, or the
            answer that is none.
    """
    rows = _rows(content, source)
    expected = {str(row["item_id"]): row for row in items.iter_rows(named=True)}
    answers: dict[str, str | None] = {}
    for number, cells in rows:
        item_id = cells[0].strip()
        row = expected.get(item_id)
        if row is None:
            raise _refused(
                source,
                number,
                f"item {item_id[:40]!r}",
                "an item of this review's export; --review names another",
            )
        if item_id in answers:
            raise _refused(source, number, f"item {item_id} stands twice", "each item once")
        _unedited(source, number, cells, _shown(row, titles))
        answers[item_id] = _answer(source, number, cells, row, labels)
    missing = [item_id for item_id in expected if item_id not in answers]
    if missing:
        raise InputError(
            f"{source} was refused: {len(missing)} items of the review are missing",
            found="without " + ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else ""),
            accepted="every exported row; leave `answer` empty where there is none yet",
            next_step="export the review again and fill in that file",
        )
    given = pl.Series("answer", [answers[item] for item in items["item_id"]], dtype=pl.String)
    return items.with_columns(given)


def _rows(content: bytes, source: str) -> list[tuple[int, list[str]]]:
    """The file's rows with their numbers (the header is row 1); comma, semicolon or tab between cells."""
    if len(content) > _MAX_BYTES:
        raise InputError(
            f"{source} was refused: it is too large", found=f"{len(content)} bytes", accepted=f"{_MAX_BYTES}"
        )
    try:
        text = content.decode("utf-8-sig")
        head = text.split("\n", 1)[0]
        between = max(",;\t", key=head.count)
        parsed = list(csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source} was refused: it is no CSV in UTF-8",
            found=str(error),
            accepted="the exported file with `answer` filled in",
            next_step="save it as CSV UTF-8",
        ) from error
    if not parsed or tuple(cell.strip() for cell in parsed[0]) != COLUMNS:
        found = ", ".join(cell[:30] for cell in parsed[0][:8]) if parsed else "an empty file"
        raise _refused(source, 1, f"columns {found}", f"columns {', '.join(COLUMNS)}")
    numbered = [(number, cells) for number, cells in enumerate(parsed[1:], start=2) if any(cells)]
    for number, cells in numbered:
        if len(cells) != len(COLUMNS):
            raise _refused(source, number, f"{len(cells)} cells", f"{len(COLUMNS)} cells")
    return numbered


def _unedited(source: str, number: int, cells: list[str], shown: list[str]) -> None:
    for name, cell, sent in zip(COLUMNS, cells, shown, strict=False):
        if not _same(name, _plain(cell), _plain(sent)):
            raise _refused(
                source,
                number,
                f"column {name} was edited: {cell[:60]!r}",
                f"as it was exported: {sent[:60]!r}",
            )


def _same(name: str, cell: str, sent: str) -> bool:
    """A text like a number may come back as another: `3-4` that lost its apostrophe is saved as a date."""
    return cell == sent or (name == "text" and like_a_number(cell) and like_a_number(sent))


def _plain(cell: str) -> str:
    """Spreadsheets may change line ends, runs of blanks and the apostrophe before a cell; nothing else."""
    return " ".join(cell.split()).lstrip("'").strip()


def _answer(
    source: str, number: int, cells: list[str], row: dict[str, object], labels: Collection[str]
) -> str | None:
    given = cells[-1].strip().removeprefix("'").strip()
    letters = dict(zip("ab", ordered(row), strict=True))
    if not given:
        return None
    if given in letters.values() or (given in labels and not row["by_action"]):
        return given
    if is_review_word(given):
        return letters.get(given.lower(), given.lower())
    accepted = ", ".join(REVIEW_WORDS) + (", or a label of the stack" if labels else "")
    raise _refused(source, number, f"answer {given[:60]!r}", accepted)


def _refused(source: str, number: int, found: str, accepted: str) -> InputError:
    return InputError(
        f"{source} was refused at row {number}",
        found=found,
        accepted=accepted,
        next_step="mend this row, or export the review again; no answer of the file was taken",
    )
