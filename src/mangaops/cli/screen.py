"""What a command prints: tables and progress for people, one JSON document for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from mangaops.errors import MangaopsError
from mangaops.release.escape import visible_lines

Progress = Callable[[str, int, int], None]
Renderer = Callable[[], None]


def console(*, stderr: bool = False) -> Any:
    """A console of rich; on a pipe it writes plain lines that are not cut at 80 columns."""
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            _reader_left()

    stream = sys.stderr if stderr else sys.stdout
    return Patient(stderr=stderr, width=None if stream.isatty() else 160, soft_wrap=True, highlight=False)


def _reader_left() -> None:
    """What is printed from now on goes nowhere: `| head` ends no run and changes no exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def patience() -> Iterator[None]:
    """What is printed within is told as far as somebody reads: a lost reader or terminal is no error."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        _reader_left()


def finish(
    data: Mapping[str, Any], render: Renderer, *, as_json: bool, code: int = 0, why: str = ""
) -> NoReturn:
    """The command ends here: `data` as JSON or `render()` for people, then the exit code.

    `why`: a line on standard error that says what the code is for, or what to look out for beside a 0.
    """
    with patience():
        if as_json:
            typer.echo(json_text(data))
        else:
            render()
    if why:
        with patience():
            typer.secho(f"mangaops: {visible_lines(why)}", err=True, fg=typer.colors.RED)
    raise typer.Exit(code)


def json_text(data: Mapping[str, Any]) -> str:
    """The data as JSON in which nothing is hidden from a person who looks at it."""
    return visible_lines(json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True, default=str))


def json_line(data: Mapping[str, Any]) -> str:
    """The data as JSON in one line."""
    return visible_lines(json.dumps(data, ensure_ascii=False, sort_keys=True, default=str))


def error_fields(error: MangaopsError) -> dict[str, Any]:
    """An error as its part of the JSON document."""
    return {
        "error": type(error).__name__,
        "refused": error.refused,
        "found": error.found,
        "accepted": error.accepted,
        "next": error.next_step,
        "exit_code": error.exit_code,
    }


def say(text: str = "", *, style: str | None = None) -> None:
    """Lines on standard output; no markup and no control character in them is obeyed."""
    from rich.text import Text

    console().print(Text(visible_lines(text), style=style or ""))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output; cells are text: no markup and no control character is obeyed."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=Text(visible_lines(title), style="bold"),
        title_justify="left",
        header_style="bold",
        expand=False,
    )
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else visible_lines(str(cell))) for cell in row))
    console().print(drawn)


@contextmanager
def progress_bars(*, quiet: bool = False) -> Iterator[Progress]:
    """Bars with elapsed time and ETA on standard error; on a pipe, a line every five seconds."""
    if quiet:
        yield lambda _what, _done, _total: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console(stderr=True)) as drawn:
        tasks: dict[str, Any] = {}
        begins = _begins()

        def report(what: str, done: int, total: int) -> None:
            key = what.split(":")[0]
            anew = begins(key, done, total)
            if key not in tasks or (anew and drawn.tasks[tasks[key]].finished):
                tasks[key] = drawn.add_task(what, total=total)
            elif anew:
                drawn.reset(tasks[key])
            drawn.update(tasks[key], description=what, completed=done, total=max(total, 1))

        yield report


def _begins() -> Callable[[str, int, int], bool]:
    """Says whether a report begins its title: it is the first, its count does not rise, or its total changed.

    A step that was left before its end and comes again is not a slow step.
    """
    seen: dict[str, tuple[int, int]] = {}

    def begins(key: str, done: int, total: int) -> bool:
        before, of = seen.get(key, (0, total))
        anew = key not in seen or total != of or done < before or done == before < total
        seen[key] = done, total
        return anew

    return begins


def _lines(every: float = 5.0) -> Progress:
    started: dict[str, float] = {}
    last: dict[str, float] = {}
    begins = _begins()

    def report(what: str, done: int, total: int) -> None:
        key, now = what.split(":")[0], time.monotonic()
        if begins(key, done, total):
            started.pop(key, None)
            last.pop(key, None)
        begun = started.setdefault(key, now)
        if done < total and now - last.get(key, begun) < every:
            return
        last[key] = now
        left = f", ETA {(now - begun) / done * (total - done):.0f} s" if 0 < done < total else ""
        if done >= total:
            started.pop(key, None)
            last.pop(key, None)
            if now - begun < 1.0:
                return
        typer.echo(f"  {what}: {done} of {total} ({now - begun:.0f} s{left})", err=True)

    return report


def short(value: object, limit: int = 400) -> str:
    """A value in one cell: a dash for none, mappings as `key value`, long ones cut and said to be."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {short(item, 80)}" for key, item in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(short(item, 80) for item in value)
    else:
        text = str(value + 0.0 if isinstance(value, float) else value)  # -0.0 + 0.0 is 0.0
    return text if len(text) <= limit else f"{text[:limit]} ... ({len(text)} characters; --json shows all)"


def findings_table(title: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """The decision table: observed, interval, threshold, n and verdict of each gate."""
    rows = []
    for each in findings:
        interval = "" if each.get("low") is None else f"{_number(each['low'])} to {_number(each['high'])}"
        dry = " (dry run)" if each.get("dry_run") else ""
        rows.append(
            (
                f"{_verdict(each)}{dry}",
                each["gate"],
                each.get("subject") or "",
                _number(each.get("observed")),
                interval,
                _number(each.get("threshold")),
                each.get("n"),
            )
        )
    table(title, ("verdict", "gate", "subject", "observed", "interval", "threshold", "n"), rows)


def _verdict(finding: Mapping[str, Any]) -> str:
    """Mark and verdict; what a failed gate left out is no error to a reader."""
    if (finding.get("facts") or {}).get("not_run"):
        from mangaops.release.figures import MISSING, NOT_RUN

        return f"{MISSING} {NOT_RUN}"
    mark = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?", "ERROR": "!"}.get(str(finding["verdict"]), "")
    return f"{mark} {finding['verdict']}"


def _number(value: object) -> str:
    return f"{value:z.4g}" if isinstance(value, float) else ("" if value is None else str(value))


def records(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of mappings; of each, the named columns."""
    table(title, columns, [[short(row[column], 160) for column in columns] for row in rows])


def markdown(text: str) -> None:
    """Markdown as a terminal shows it; on a pipe its plain lines, without the escapes that nobody renders."""
    from rich.markdown import Markdown

    from mangaops.datasets.markdown import unescaped

    if sys.stdout.isatty():
        console().print(Markdown(visible_lines(text)))
    else:
        typer.echo(visible_lines(unescaped(text)))
