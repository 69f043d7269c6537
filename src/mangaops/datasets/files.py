"""Files to frames: Parquet, CSV, TSV and JSON lines, local, by glob, or from any fsspec URL.

Every cell keeps the type that the file gave it (CSV: text). Errors name file, row and column.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from mangaops.datasets.source import Origin, Progress
from mangaops.errors import InputError, SetupError
from mangaops.store.addresses import without_credentials

Raw = dict[str, Any]
_KNOWN = ".parquet, .csv, .tsv, .jsonl (or .ndjson), the text ones also with .gz"
_MISSING_DRIVER = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "http": "aiohttp",
}


@dataclass(frozen=True)
class Piece:
    """One file's table, under the name that errors and reports use."""

    name: str
    table: pl.DataFrame
    origin: Origin


def pieces(locations: tuple[str, ...], progress: Progress | None = None) -> Iterator[Piece]:
    """Each file that the locations name, in order of name within a glob.

    Raises:
        InputError: nothing matches, a file is empty, cut short, of an unknown kind, or not what it says.
        SetupError: the protocol of a URL needs a package that is not installed.
    """
    found = [each for location in locations for each in _matches(location)]
    for done, (filesystem, path, name) in enumerate(found):
        if progress is not None:
            progress(f"reading files: {name}", done, len(found))
        data = _bytes(filesystem, path, name)
        table = _parse(data, name)
        yield Piece(name, table, Origin(name, table.height, len(data), hashlib.sha256(data).hexdigest()))
    if progress is not None:
        progress("reading files", len(found), len(found))


def _matches(location: str) -> list[tuple[Any, str, str]]:
    from fsspec.core import url_to_fs

    shown = without_credentials(location)
    with _backend_errors(shown, "opened"):
        filesystem, path = url_to_fs(location)
        wild = any(sign in path for sign in "*?[") and not filesystem.exists(path)
        paths = sorted(filesystem.glob(path)) if wild else [path]
        kinds = [(each, filesystem.isdir(each), filesystem.exists(each)) for each in paths]
    if not paths:
        raise InputError(
            f"{shown} matches no file",
            accepted="a pattern that matches at least one file",
            next_step="check the folder, and put the pattern in quotes so that no shell reads it first",
        )
    for each, folder, there in kinds:
        _refuse_missing(shown if not wild else without_credentials(each), folder=folder, there=there)
    prefix = shown.split("://", 1)[0] + "://" if "://" in shown else ""
    return [(filesystem, each, without_credentials(prefix + each) if wild else shown) for each in paths]


@contextmanager
def _backend_errors(shown: str, what: str) -> Iterator[None]:
    """Whatever an fsspec backend raises is raised as an error of ours: each has a tree of errors of its own.

    Neither its words nor its chain go on: they may hold the address with its credentials.
    """
    try:
        yield
    except ImportError:
        raise _no_driver(shown) from None
    except Exception as error:  # noqa: BLE001 - raised as ours, without the chain
        status = getattr(error, "status", None)
        raise InputError(
            f"{shown} cannot be {what}",
            found=f"{type(error).__name__}{f', HTTP {status}' if isinstance(status, int) else ''}",
            accepted="an address that this machine can read",
            next_step="check the address, the credentials and the rights to it",
        ) from None


def _refuse_missing(shown: str, *, folder: bool, there: bool) -> None:
    if folder:
        raise InputError(
            f"{shown} is a folder",
            accepted="files or a pattern",
            next_step=f"name the files, as in '{shown.rstrip('/')}/*.parquet'",
        )
    if not there:
        raise InputError(f"{shown} does not exist", accepted="an existing file", next_step="check the path")


def _no_driver(shown: str) -> SetupError:
    protocol = shown.split("://", 1)[0]
    package = _MISSING_DRIVER.get(protocol, f"the fsspec package for {protocol}")
    return SetupError(
        f"{shown} cannot be opened: the protocol {protocol} needs a package that is not installed",
        next_step=f"pip install {package}",
    )


def _bytes(filesystem: Any, path: str, name: str) -> bytes:
    with _backend_errors(name, "read"):
        data: bytes = filesystem.cat_file(path)
    if not data:
        raise InputError(
            f"{name} is empty",
            found="0 bytes",
            accepted="at least one row",
            next_step="export it again, or leave it out",
        )
    return data


def _parse(data: bytes, name: str) -> pl.DataFrame:
    path = PurePosixPath(name.lower())
    packed = path.suffix == ".gz"
    suffix = PurePosixPath(path.stem).suffix if packed else path.suffix
    reader = _READERS.get(suffix)
    if reader is None or (packed and suffix in (".parquet", ".pq")):
        raise InputError(
            f"{name} is of an unknown kind",
            found=f"the ending {path.suffix or '(none)'}",
            accepted=_KNOWN,
            next_step="convert the file or rename it to the ending that it is",
        )
    table = reader(_unpacked(data, name) if packed else data, name)
    if table.height == 0:
        raise InputError(
            f"{name} holds no row",
            found="a header only",
            accepted="at least one row",
            next_step="export it again, or leave it out",
        )
    return table


def _unpacked(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{name} cannot be unpacked: it is cut short or not gzip",
            found=f"{len(data):,} bytes",
            accepted="a whole gzip file",
            next_step="write or copy the file again, or take .gz off its name if it is not packed",
        ) from error


def _parquet(data: bytes, name: str) -> pl.DataFrame:
    head, tail = data[:4] == b"PAR1", data[-4:] == b"PAR1"
    if not (head and tail):
        raise InputError(
            f"{name} is not a whole Parquet file",
            found="the end is missing: the file was cut short" if head else "it does not begin like Parquet",
            next_step="write or copy the file again",
        )
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise InputError(
            f"{name} is a damaged Parquet file",
            found=_first_line(error),
            next_step="write or copy the file again",
        ) from error


def _csv(data: bytes, name: str, separator: str = ",") -> pl.DataFrame:
    text = _decoded(data, name)
    _refuse_doubled(text, separator, name)
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise InputError(
            f"{name} holds no row",
            accepted="a header and at least one row",
            next_step="export it again, or leave it out",
        ) from error
    except pl.exceptions.PolarsError as error:
        place, found = _bad_csv_row(text, separator, error)
        raise InputError(
            f"{name} {place} cannot be read",
            found=found,
            accepted="as many cells as the header has; cells with commas, quotes or line breaks in quotes",
            next_step="mend the row or write the file with a CSV library",
        ) from error


def _refuse_doubled(text: str, separator: str, name: str) -> None:
    """A column that is named twice would be renamed by the reader, and one of the two taken in silence.

    Names that are empty are let be: spreadsheets write them for empty columns.
    """
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header = next((cells for cells in rows if cells), [])
    except csv.Error as error:
        raise InputError(
            f"{name} has a header that cannot be read",
            found=str(error),
            accepted="a first row with the names of the columns",
            next_step="write the file with a CSV library",
        ) from error
    doubled = [each for each, count in Counter(header).items() if each and count > 1]
    if doubled:
        raise InputError(
            f"{name} names a column twice",
            found=", ".join(repr(each) for each in doubled),
            accepted="a header in which each name stands once",
            next_step="rename or remove one of the columns",
        )


def _tsv(data: bytes, name: str) -> pl.DataFrame:
    return _csv(data, name, "\t")


def _bad_csv_row(text: str, separator: str, error: Exception) -> tuple[str, str]:
    try:
        reader = csv.reader(io.StringIO(text), delimiter=separator)
        width = len(next(reader))
        for number, cells in enumerate(reader, start=1):
            if len(cells) > width:
                return f"row {number}", f"{len(cells)} cells under a header of {width}"
    except csv.Error as csv_error:
        return "(an unclear row)", str(csv_error)
    return "(an unclear row)", _first_line(error)


def _json_lines(data: bytes, name: str) -> pl.DataFrame:
    rows = [row for _, row in json_objects(data, name)]
    if not rows:
        raise InputError(
            f"{name} holds no row",
            accepted="one JSON object a line",
            next_step="export it again, or leave it out",
        )
    names = list(dict.fromkeys(key for row in rows for key in row))
    return pl.DataFrame([_json_column(key, [row.get(key) for row in rows]) for key in names])


def json_objects(data: bytes, name: str) -> Iterator[tuple[int, Raw]]:
    """The object of each line that is not blank, with its number; `name` is what errors call the file.

    Raises:
        InputError: a line is no JSON object; it names the line and repeats nothing of it.
    """
    for number, line in enumerate(_decoded(data, name).split("\n"), start=1):
        if line.strip():
            yield number, _json_row(line, f"{name} line {number}")


def _json_row(line: str, place: str) -> Raw:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        found = error.msg if isinstance(error, json.JSONDecodeError) else "too deeply nested"
        raise InputError(
            f"{place} is not JSON",
            found=found,
            accepted="one JSON object a line",
            next_step="mend or remove the line",
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"{place} is not a JSON object", found=type(row).__name__, accepted='as in {"text": "hi"}'
        )
    return row


def _json_column(name: str, values: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise InputError(
            f"{name} line {line} is not UTF-8",
            found="UTF-16" if utf16 else f"the byte 0x{data[error.start]:02x} at offset {error.start}",
            accepted="UTF-8 text",
            next_step="convert the file, as in `iconv -f ENCODING -t UTF-8`",
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name} line {line} is not text", found="a zero byte", accepted="UTF-8 text")
    return text


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]


_READERS: dict[str, Callable[[bytes, str], pl.DataFrame]] = {
    ".parquet": _parquet,
    ".pq": _parquet,
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
