"""Feedback of users, looked at by people: listed, reviewed, and written as labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.errors import InputError, RefusedError, UsageError
from mangaops.pipeline.dataset_run import frozen_labels
from mangaops.pipeline.views import Row
from mangaops.pipeline.workshop import Workshop
from mangaops.registry import require_reason
from mangaops.stack import guess
from mangaops.store import FeedbackBook, read_log
from mangaops.store.foreign import file_errors
from mangaops.vocabulary import DIGEST, FROM_LOGS

LABEL_SOURCE: Final = "feedback"
_FORMS: Final[Mapping[str, Callable[[pl.DataFrame, Path], object]]] = {
    ".parquet": lambda frame, out: frame.write_parquet(out),
    ".csv": lambda frame, out: frame.write_csv(out),
    ".jsonl": lambda frame, out: frame.write_ndjson(out),
}
_LOGGED: Final = ("request_id", "at", "conversation_id", "user_id", "text", "answer")


def listed(shop: Workshop, home: Path, *, gateway: str, every: bool) -> list[Row]:
    """Feedback that nobody has looked at, oldest first, with what was asked and answered; `every`: all of it.

    `text` and `answer` are null where the request is not in the rolled logs, or not any more.

    Raises:
        UsageError: that gateway has no feedback book in this home.
    """
    with _book(home, gateway) as book:
        told = [row for row in book.rows() if every or not row["reviewed"]]
        reviews = {row["request_id"]: row for row in book.reviews()}
    logged = _logged(shop, told)
    return [_row(row, logged.get(row["request_id"], {}), reviews.get(row["request_id"], {})) for row in told]


def _row(told: Mapping[str, Any], logged: Mapping[str, Any], review: Mapping[str, Any]) -> Row:
    asked = {name: logged.get(name) for name in ("text", "answer")}
    seen = {name: review.get(name) for name in ("reviewer", "reason")}
    return {**told, "reviewed": bool(told["reviewed"]), **asked, **seen, "true_label": review.get("label")}


def review(
    shop: Workshop,
    home: Path,
    requests: Sequence[str],
    *,
    gateway: str,
    label: str | None,
    reject: bool,
    reason: str,
) -> Row:
    """Each of these requests' feedback is reviewed: its true label is `label`, else the one that was told.

    With `reject` it teaches nothing. The book keeps who, when and why; a review stands once.

    Raises:
        UsageError: no reason, no such feedback, no label or two answers, or a label that the unit does not
            have.
        RefusedError: one of them was reviewed before; none is changed.
    """
    require_reason("the review", reason)
    if label is not None and reject:
        raise UsageError("the review was refused", found="--label and --reject", accepted="one of the two")
    with _book(home, gateway) as book:
        told = {row["request_id"]: row for row in book.rows()}
        labels = {each: _true(shop, told, each, label, reject=reject) for each in dict.fromkeys(requests)}
        again = [each for each in labels if told[each]["reviewed"]]
        done = [] if again else [each for each in labels if _reviewed(shop, book, each, labels[each], reason)]
    if again or len(done) < len(labels):
        raise RefusedError(
            "the review was refused: it was reviewed before",
            found=", ".join(again or [each for each in labels if each not in done]),
            accepted="feedback that waits: mangaops feedback list",
            next_step="leave these out: what was said first stands",
        )
    says = f"{len(labels)} of the feedback reviewed by {shop.desk.actor}"
    return {
        "reviewed": [{"request_id": each, "label": found} for each, found in labels.items()],
        "says": says,
    }


def _true(
    shop: Workshop, told: Mapping[str, Row], request: str, label: str | None, *, reject: bool
) -> str | None:
    if request not in told:
        raise UsageError(
            f"the review of {request!r} was refused: this gateway has no feedback on it",
            accepted=", ".join([each for each, row in told.items() if not row["reviewed"]][:5])
            or "nothing waits",
            next_step="mangaops feedback list",
        )
    found = None if reject else label or told[request]["label"]
    if found is None and not reject:
        raise UsageError(
            f"the review of {request} was refused: its user told no label",
            found=f"outcome {told[request]['outcome']}",
            accepted="the true label, or that it teaches nothing",
            next_step="--label LABEL, or --reject",
        )
    known = _labels(shop, told[request]["unit"])
    if found is not None and known == ():
        raise UsageError(
            f"the review of {request} was refused: {told[request]['unit']} answers with lists",
            found=f"--label {found}",
            accepted="--reject: what people say of a search teaches nothing by a label",
            next_step="--reject",
        )
    if found is not None and known is not None and found not in known:
        raise UsageError(
            f"the review of {request} was refused: {found!r} is no label of {told[request]['unit']}"
            f"{guess(found, known)}",
            accepted=", ".join(known),
            next_step="--label with one of these, or --reject",
        )
    return found


def _reviewed(shop: Workshop, book: FeedbackBook, request: str, label: str | None, reason: str) -> bool:
    desk = shop.desk
    return book.review(
        {"request_id": request, "at": desk.now(), "reviewer": desk.actor, "label": label, "reason": reason}
    )


def _labels(shop: Workshop, unit: str) -> tuple[str, ...] | None:
    """The labels of the unit's models; none where they answer no label, None where any may come."""
    stack, found = shop.desk.stack, list[str]()
    for model in stack.units[unit].models if unit in stack.units else ():
        data = stack.models[model].data
        if data not in stack.data:
            continue
        labels = stack.data[data].labels
        frozen = frozen_labels(shop, data) if labels == FROM_LOGS else tuple(labels)
        if frozen is None:
            return None
        found += frozen
    return tuple(found)


def export(shop: Workshop, home: Path, out: Path, *, gateway: str, unit: str | None) -> Row:
    """A file of labelled rows, one for each request whose review gave a label and whose text is in the logs.

    Its columns are those of labelled logs: `row_id` is the request, `label_source` says `feedback`, and the
    reviewer is the `annotator`. `without_text` counts those whose text is gone, not rolled yet, or a hash.

    Raises:
        UsageError: a file of another form, or feedback on several units and none is named.
        InputError: nothing can be written: no reviewed label has a text.
    """
    if out.suffix not in _FORMS:
        raise UsageError(f"{out} was refused", accepted=f"a name that ends with {', '.join(_FORMS)}")
    with _book(home, gateway) as book:
        told = {row["request_id"]: row for row in book.rows()}
        reviews = [row for row in book.reviews() if row["label"] is not None]
    wanted = _of_unit([told[row["request_id"]] for row in reviews], unit)
    logged = _logged(shop, wanted)
    of = {row["request_id"]: row for row in reviews}
    rows = [
        _labelled(of[each["request_id"]], logged[each["request_id"]])
        for each in wanted
        if each["request_id"] in logged
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA).filter(~pl.col("text").str.contains(DIGEST.pattern))
    if frame.is_empty():
        raise InputError(
            "the export was refused: no reviewed label has a text",
            found=f"{len(wanted)} reviewed labels, and the logs hold the text of none",
            accepted="reviewed feedback on requests whose text the rolled logs keep (log.text mask or keep)",
            next_step="mangaops feedback list, mangaops feedback review; logs are rolled after 30 seconds",
        )
    with file_errors(f"writing {out} was refused"):
        _FORMS[out.suffix](frame, out)
    without = len(wanted) - frame.height
    says = f"{frame.height} labelled rows are in {out}; {without} reviewed labels have no text"
    return {"file": str(out), "rows": frame.height, "without_text": without, "says": says}


_SCHEMA: Final = {
    **dict.fromkeys(("row_id", "text", "label", "conversation_id", "user_id"), pl.String()),
    "at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("label_source", "annotator"), pl.String()),
}


def _labelled(review: Mapping[str, Any], logged: Mapping[str, Any]) -> Row:
    same = {name: logged[name] for name in ("text", "conversation_id", "user_id", "at")}
    told = {"row_id": review["request_id"], "label": review["label"], "annotator": review["reviewer"]}
    return {**same, **told, "label_source": LABEL_SOURCE}


def _of_unit(told: Sequence[Row], unit: str | None) -> list[Row]:
    units = sorted({row["unit"] for row in told})
    if unit is None and len(units) > 1:
        raise UsageError(
            "the export was refused: there is feedback on several units",
            found=", ".join(units),
            accepted="the labels of one",
            next_step=f"--unit {units[0]}",
        )
    return [row for row in told if unit in (None, row["unit"])]


def _logged(shop: Workshop, told: Sequence[Row]) -> dict[str, Row]:
    """The rows of the request log that the feedback is on, by request."""
    found: dict[str, Row] = {}
    for unit in {row["unit"] for row in told}:
        wanted = [row["request_id"] for row in told if row["unit"] == unit]
        rows = read_log(shop.files, "requests", unit=unit, columns=_LOGGED)
        found |= {
            row["request_id"]: row for row in rows.filter(pl.col("request_id").is_in(wanted)).to_dicts()
        }
    return found


@contextmanager
def _book(home: Path, gateway: str) -> Iterator[FeedbackBook]:
    path = home / "gateway" / gateway / "feedback.db"
    if not path.is_file():
        there = sorted(each.parent.name for each in (home / "gateway").glob("*/feedback.db"))
        raise UsageError(
            f"the feedback of gateway {gateway!r} was refused: it has none in {home}",
            accepted=", ".join(there) or "none: no gateway was served from here",
            next_step="name one of these with --gateway, or the home with --home",
        )
    book = FeedbackBook(path)
    try:
        yield book
    finally:
        book.close()
