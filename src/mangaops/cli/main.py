"""The root command, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from mangaops.cli import (
    audit,
    bench,
    catalogue,
    data,
    feedback,
    gateway,
    registry,
    release,
    review,
    screen,
    serve,
    stack,
    train,
    world,
)
from mangaops.errors import MangaopsError, SetupError, UsageError
from mangaops.release.escape import visible_lines

STOPPED: Final = 130
ENDED_BY: Final = {128 + number: number for number in (signal.SIGTERM, signal.SIGHUP)}
"""Signals that end a command as Ctrl-C does, by the exit code that shells have for them."""

app = typer.Typer(
    name="mangaops",
    help="Release control for a chatbot's model stack: train, prove, shadow, ship and roll back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
world.register(app)
stack.register(app)
data.register(app)
catalogue.register(app)
train.register(app)
release.register(app)
serve.register(app)
review.register(app)
registry.register(app)
gateway.register(app)
feedback.register(app)
audit.register(app)
bench.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from mangaops import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Release control for a chatbot's model stack.

    Exit codes: 0 fine or promoted, 1 rejected, 2 usage, 3 held, 4 error.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; every error leaves as a message and its exit code, never as a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _signals_end_it():
        ended = _ended(given)
    if isinstance(ended, MangaopsError):
        _tell(ended, _wants_json(given))
        sys.exit(ended.exit_code)
    sys.exit(ended)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Within, these signals leave every `with`: what the command started ends, what it holds is let go.

    One that is ignored stays so: nohup does that.
    """

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    caught = [each for each in ENDED_BY.values() if signal.getsignal(each) == signal.SIG_DFL]
    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _ended(given: list[str]) -> int | MangaopsError:
    """The exit code of the command, or what it was refused with."""
    terminal = _on_terminal()
    try:
        code = app(args=given, prog_name="mangaops", standalone_mode=False)
    except MangaopsError as error:
        return error
    except TyperException as error:
        return _misused(error)
    except (Abort, KeyboardInterrupt):
        code = STOPPED
    except SystemExit as left:  # by a signal, or by the parser where a pipe closed under a command
        code = left.code if left.code in ENDED_BY else STOPPED
    except Exception as error:  # noqa: BLE001 - the last net: a bug is reported, and no traceback is shown
        if not terminal or _on_terminal():
            return _translated(error)
        code = 128 + signal.SIGHUP  # who prints may meet the end of the terminal before it is signalled
    if code == STOPPED or code in ENDED_BY:  # so the parser ends, too, where somebody pressed Ctrl-C
        with screen.patience():
            typer.echo(f"stopped; {_stopped(given)}", err=True)
    return code if isinstance(code, int) else 0


def _on_terminal() -> bool:
    """Whether somebody at a terminal reads what the command prints."""
    return sys.stdout.isatty() or sys.stderr.isatty()


def _stopped(given: Sequence[str]) -> str:
    """What the same command would do after it was stopped: runs go on, and invented worlds begin anew."""
    if given[:1] == ["serve"]:
        return "the same command serves again"
    if given[:1] in (["quickstart"], ["bench"]):
        return "the same command begins anew"
    return "run the same command again to go on where it stopped"


def _tell(error: MangaopsError, as_json: bool) -> None:
    if as_json:
        with screen.patience():
            typer.echo(screen.json_text(screen.error_fields(error)))
    with screen.patience():
        typer.secho(f"mangaops: {visible_lines(error.message)}", err=True, fg=typer.colors.RED)


def _wants_json(given: Sequence[str]) -> bool:
    """Whether the flag stands anywhere: a line that cannot be parsed does not tell by its options."""
    return any(word == "--json" or word.startswith("--json=") for word in given)


def _misused(error: TyperException) -> UsageError:
    """What the parser says, as an error of ours; the line itself is not repeated: it may hold a password."""
    context = getattr(error, "ctx", None)
    text = getattr(error, "format_message", lambda: str(error))()
    usage = context.get_usage().removeprefix("Usage:") if context else "mangaops COMMAND [OPTIONS]"
    accepted = f"{' '.join(usage.split())}{_range(getattr(error, 'param', None))}"
    return UsageError(
        text,
        found=_found(error),
        accepted="" if accepted in " ".join(text.split()) else accepted,
        next_step=f"{context.command_path if context else 'mangaops COMMAND'} --help shows each option",
    )


_OUT_OF_RANGE: Final = ("greater_than", "less_than")
"""How the parser's words for a number that is too small or too large begin."""


def _found(error: TyperException) -> str:
    """The number that is out of its range; nothing else that was typed: it may be a password."""
    ranged = getattr(getattr(error, "param", None), "min", None) is not None
    mistakes: list[Any] = getattr(error.__cause__, "errors", list)() if ranged else []
    return ", ".join(str(each["input"]) for each in mistakes if each["type"].startswith(_OUT_OF_RANGE))


def _range(option: object) -> str:
    """`, with --titles from 100 to 10,000`; empty where the option has no least value."""
    low, high, names = (getattr(option, each, None) for each in ("min", "max", "opts"))
    if not names or low is None:
        return ""
    return (
        f", with {names[0]} from {low:,} to {high:,}"
        if high is not None
        else f", with {names[0]} from {low:,}"
    )


def _translated(error: Exception) -> MangaopsError:
    if isinstance(error, OSError):
        from mangaops.store.foreign import of_system

        return of_system("a file could not be used", error)
    if isinstance(error, ModuleNotFoundError):
        return SetupError(
            f"the Python package {error.name} is missing",
            accepted="the extras serve, train, dev or all",
            next_step="make install, or pip install 'mangaops[all]'",
        )
    with tempfile.NamedTemporaryFile("w", prefix="mangaops-crash-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return MangaopsError(
        "mangaops failed in a way that it does not know",
        found=f"{type(error).__name__}: {error}",
        next_step=f"please report it with the file {file.name}; the ledger holds only whole facts",
    )
