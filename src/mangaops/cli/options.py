"""The options that commands share, and the call that they make."""

from __future__ import annotations

import functools
import getpass
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args, get_type_hints

import typer

from mangaops.cli import screen

if TYPE_CHECKING:
    from mangaops.datasets import Source
    from mangaops.pipeline.workshop import Workshop
    from mangaops.wiring import Settings

Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
Unit = Annotated[str, typer.Argument(help="A unit of stack.yaml, for example router.")]
Release = Annotated[
    str, typer.Argument(help="A release: router-3, or v3 where the stack has one unit; or its digest.")
]
Logs = Annotated[
    list[str],
    typer.Option(
        "--logs", help="Labelled logs: Parquet, CSV or JSONL (file, glob, fsspec URL), or a SQLAlchemy URL."
    ),
]
Query = Annotated[
    str | None, typer.Option("--query", help="With a SQLAlchemy URL as --logs: the SELECT to run.")
]
Columns = Annotated[
    list[str], typer.Option("--column", help="Column mapping OURS=THEIRS; wins over stack.yaml. Repeatable.")
]
GrowGolden = Annotated[
    bool, typer.Option("--grow-golden", help="Add rows to the frozen golden set: a new version of it.")
]

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
_SHARED: Mapping[str, tuple[Any, Any]] = {
    "stack": (
        Annotated[
            Path,
            typer.Option("--stack", "-s", envvar="MANGAOPS_STACK", help="The file that declares the stack."),
        ],
        Path("stack.yaml"),
    ),
    "home": (
        Annotated[
            Path | None,
            typer.Option(
                "--home",
                envvar="MANGAOPS_HOME",
                help="Ledger, artifacts, reports. Default: .mangaops beside the stack.",
            ),
        ],
        None,
    ),
    "ledger": (
        Annotated[
            str | None,
            typer.Option(
                "--ledger", envvar="MANGAOPS_LEDGER", help="SQLAlchemy URL. Default: SQLite in the home."
            ),
        ],
        None,
    ),
    "files": (
        Annotated[
            str | None,
            typer.Option(
                "--files", envvar="MANGAOPS_FILES", help="fsspec URL of artifacts. Default: the home."
            ),
        ],
        None,
    ),
    "actor": (
        Annotated[
            str | None,
            typer.Option(
                "--actor", envvar="MANGAOPS_ACTOR", help="Who acts, for the ledger. Default: your login."
            ),
        ],
        None,
    ),
    "as_json": (_JSON, False),
}


@dataclass(frozen=True)
class Call:
    """One command as it was called: its settings, and how it wants to be answered."""

    settings: Settings
    as_json: bool

    def workshop(self, *, new: bool = False) -> Workshop:
        """The stores, opened; where there are none they are made if they may be `new`, and refused if not."""
        from mangaops.wiring import open_workshop

        return open_workshop(self.settings, create=new)

    @contextmanager
    def progress(self) -> Iterator[screen.Progress]:
        """Bars for people, nothing for programs."""
        with screen.progress_bars(quiet=self.as_json) as report:
            yield report

    def finish(
        self, data: Mapping[str, Any], render: Callable[[], None], code: int = 0, why: str = ""
    ) -> NoReturn:
        """The command ends with this answer and exit code; `why` says something of it on standard error."""
        screen.finish(data, render, as_json=self.as_json, code=code, why=why)


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """The command has `--stack`, ... and `--json` beside its own options, and gets them as `call`.

    A `--reason` that it has is not blank: that is refused before anything is read or begun.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "call"
    ]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _SHARED.items()
    ]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        if "reason" in given:
            _require_reason(given["reason"])
        common_values = {name: given.pop(name) for name in _SHARED}
        command(call=_call(**common_values), **given)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    wrapped.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in (*keyword, *common)}
    return wrapped


def _require_reason(reason: str) -> None:
    from mangaops.registry import require_reason

    require_reason("the command", reason)


def _call(
    *, stack: Path, home: Path | None, ledger: str | None, files: str | None, actor: str | None, as_json: bool
) -> Call:
    from mangaops.wiring import Settings

    place = home or stack.resolve().parent / ".mangaops"
    return Call(Settings(stack, place, ledger, files, actor_name(actor)), as_json)


def actor_name(given: str | None) -> str:
    """The name that the ledger will hold for this command."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def source(locations: Sequence[str], query: str | None, columns: Sequence[str]) -> Source:
    """What is to be read, with `OURS=THEIRS` flags as its column mapping.

    Raises:
        UsageError: a flag has no `=`, names a column that is none of ours, or names one twice.
    """
    from mangaops.datasets import Source
    from mangaops.errors import UsageError
    from mangaops.stack.specs import Column

    known = ("request_id", *get_args(Column))
    mapping: dict[str, str] = {}
    for pair in columns:
        ours, separator, theirs = pair.partition("=")
        if not separator or ours not in known or not theirs or ours in mapping:
            raise UsageError(
                "--column was refused",
                found=f"{pair!r}{', a second one' if ours in mapping else ''}",
                accepted=f"OURS=THEIRS, each of ours once: {', '.join(known)}",
                next_step="--column text=utterance",
            )
        mapping[ours] = theirs
    return Source(tuple(locations), query, mapping)
