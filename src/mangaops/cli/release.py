"""`release bootstrap|run|show|explain|promote|rollback|reopen|list|due`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Columns, GrowGolden, Logs, Query, Reason, Release, Unit, shared, source
from mangaops.cli.sources import Catalogue, Given, Judgments, Queries, Searches
from mangaops.vocabulary import Because, EvidenceKind, Outcome, ShadowMode

if TYPE_CHECKING:
    from mangaops.datasets import Source
    from mangaops.pipeline.plan import Plan
    from mangaops.pipeline.release_run import RunResult
    from mangaops.pipeline.search_data_run import SearchSources

group = typer.Typer(help="Judge, release, explain and undo.", no_args_is_help=True)
EXIT = {Outcome.PROMOTE: 0, Outcome.REJECT: 1, Outcome.HOLD: 3}
Again = Annotated[
    list[EvidenceKind], typer.Option("--again", help="Measure this kind of evidence anew. Repeatable.")
]


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    examples = {
        bootstrap: "mangaops release bootstrap router --logs logs.parquet --reason 'first champion'",
        run: "mangaops release run router --logs logs.parquet --traffic traffic.parquet --because schedule",
        show: "mangaops release show router-2 --out report.html",
        explain: "mangaops release explain router-3",
        promote: "mangaops release promote router-2 --reason 'decision of Friday'",
        rollback: "mangaops release rollback router --reason 'escalations went to chitchat'",
        reopen: "mangaops release reopen router-3 --reason 'labels were mended'",
        pairs: "mangaops release pairs retrieval",
        due: "mangaops release due",
    }
    for command, example in examples.items():
        group.command(epilog=f"Example: {example}")(command)
    group.command("list", epilog="Example: mangaops release list router")(list_releases)
    app.add_typer(group, name="release")


@shared
def bootstrap(
    call: Call,
    unit: Unit,
    reason: Annotated[str, typer.Option("--reason", help="Why this unit gets a champion now.")],
    logs: Logs = [],  # noqa: B006 - typer copies it
    query: Query = None,
    column: Columns = [],  # noqa: B006 - typer copies it
    catalogue: Catalogue = [],  # noqa: B006 - typer copies it
    judgments: Judgments = [],  # noqa: B006 - typer copies it
    searches: Searches = [],  # noqa: B006 - typer copies it
    sql: Queries = [],  # noqa: B006 - typer copies it
    again: Again = [],  # noqa: B006 - typer copies it
) -> None:
    """Train and judge a champion for a unit that has none: `bootstrap` rules, a plain baseline beside it."""
    from mangaops.pipeline.plan import Plan

    read = _sources(call, unit, Given(logs, query, column, catalogue, judgments, searches, sql))
    _run(call, Plan(unit, read, reason=reason, again=frozenset(again), bootstrap=True))


@shared
def run(
    call: Call,
    unit: Unit,
    logs: Logs = [],  # noqa: B006 - typer copies it
    traffic: Annotated[
        str | None, typer.Option(help="A window of traffic to replay through both releases: a file or URL.")
    ] = None,
    shadow: Annotated[
        ShadowMode,
        typer.Option(help="Replay --traffic, or wait until gateways have mirrored enough live traffic."),
    ] = ShadowMode.REPLAY,
    truth: Annotated[
        str | None, typer.Option(help="Hidden labels that answer the review; only in a simulated stack.")
    ] = None,
    because: Annotated[Because, typer.Option(help="What asked for this run.")] = Because.MANUAL,
    reason: Reason = "weekly release",
    query: Query = None,
    column: Columns = [],  # noqa: B006 - typer copies it
    catalogue: Catalogue = [],  # noqa: B006 - typer copies it
    judgments: Judgments = [],  # noqa: B006 - typer copies it
    searches: Searches = [],  # noqa: B006 - typer copies it
    sql: Queries = [],  # noqa: B006 - typer copies it
    only: Annotated[
        str | None,
        typer.Option(help="Train this model alone; the others are the champion's versions, judged with it."),
    ] = None,
    grow_golden: GrowGolden = False,
    again: Again = [],  # noqa: B006 - typer copies it
) -> None:
    """Run a whole weekly release; a run that was killed goes on where it stopped."""
    from mangaops.pipeline.plan import Plan

    _run(
        call,
        Plan(
            unit,
            _sources(call, unit, Given(logs, query, column, catalogue, judgments, searches, sql)),
            traffic=source((traffic,), None, column) if traffic else None,
            shadow=shadow,
            truth=truth,
            because=because,
            reason=reason,
            grow_golden=grow_golden,
            again=frozenset(again),
            only=only,
        ),
    )


def _sources(call: Call, unit: str, given: Given) -> Source | SearchSources:
    """Where the data is that the unit's models learn from, by its kind.

    Raises:
        UsageError: the stack has no such unit, or the options are those of the other kind.
    """
    from mangaops.wiring import unit_data

    data, searched = unit_data(call.settings, unit)
    return given.of_search(data) if searched else given.of_logs(data)


@shared
def show(
    call: Call,
    release: Release,
    out: Annotated[Path | None, typer.Option(help="Write the HTML report here.")] = None,
) -> None:
    """Where a release stands, its decision table, and its report."""
    from mangaops.pipeline import views
    from mangaops.pipeline.files import whole
    from mangaops.release.report import release_report

    shop = call.workshop()
    shown = views.shown(shop, release)
    if out:
        whole(out, release_report(shop.desk, shown["unit"], shown["release"]))
    call.finish(shown, lambda: _render_shown(shown, out))


@shared
def explain(call: Call, release: Release) -> None:
    """Why a release was promoted, held or refused, with the numbers of its report."""
    from mangaops.pipeline.views import find_release
    from mangaops.release.explain import explain as explained

    shop = call.workshop()
    named = find_release(shop, release)
    told = explained(shop.desk, named.unit, named.release.name)
    call.finish(told.as_dict(), lambda: screen.say(told.text))


@shared
def promote(
    call: Call, release: Release, reason: Annotated[str, typer.Option("--reason", help="Why now.")]
) -> None:
    """Promote a release whose stored decision is PROMOTE for exactly these digests; nothing forces it."""
    from mangaops.pipeline import verbs

    with call.progress() as progress:
        done = verbs.promote(call.workshop(), release, reason=reason, progress=progress)
    _said(call, done)


@shared
def rollback(
    call: Call,
    unit: Unit,
    reason: Annotated[str, typer.Option("--reason", help="What went wrong.")],
    to: Annotated[str | None, typer.Option(help="An older rollback pointer; default: the newest.")] = None,
) -> None:
    """Undo the last promotion: the rollback pointer becomes the champion."""
    from mangaops.pipeline import verbs

    with call.progress() as progress:
        done = verbs.roll_back(call.workshop(), unit, reason=reason, to=to, progress=progress)
    _said(call, done)


@shared
def reopen(
    call: Call,
    release: Release,
    reason: Annotated[str, typer.Option("--reason", help="What changed since it was closed.")],
) -> None:
    """Make a rejected, withdrawn or rolled back release a candidate again."""
    from mangaops.pipeline import verbs

    _said(call, verbs.reopen(call.workshop(), release, reason=reason))


@shared
def list_releases(call: Call, unit: Unit) -> None:
    """Every release of a unit with its state, newest last."""
    from mangaops.pipeline import views

    listed = views.releases(call.workshop(), unit)
    columns = ("release", "state", "models", "because", "decision", "registered_at")
    title = f"{unit}: {_pointers(listed)}"
    call.finish(listed, lambda: screen.records(title, columns, _timed(listed["releases"], "registered_at")))


@shared
def pairs(call: Call, unit: Unit) -> None:
    """Which versions of a unit's models were judged together, and which of these may serve."""
    from mangaops.pipeline import views

    listed = views.pairs(call.workshop(), unit)
    columns = ("release", "models", "decision", "state", "may_serve", "decided_at")
    title = f"{unit}: judged together"
    call.finish(listed, lambda: screen.records(title, columns, _timed(listed["pairs"], "decided_at")))


def _timed(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """The rows with the time in that column as people read it."""
    from mangaops.release.figures import moment

    return [{**row, column: moment(row[column])} for row in rows]


@shared
def due(call: Call) -> None:
    """Which units should run now, by cadence and history."""
    from mangaops.wiring import due_units

    told = due_units(call.settings)

    def render() -> None:
        if told["due"]:
            screen.records("Due now", ("unit", "because", "why", "since"), told["due"])
        else:
            screen.say("no unit is due")
        for each in told["no_champion"]:
            screen.say(f"{each['unit']} is not due, it has no champion: {each['next']}")

    call.finish(told, render)


def _run(call: Call, plan: Plan) -> None:
    from mangaops.pipeline import release_run

    with call.progress() as progress:
        shop = call.workshop(new=plan.bootstrap)
        result = release_run.run(shop, plan, progress, announcer(call.as_json))
    call.finish(result.as_dict(), lambda: render_result(result), code=EXIT[result.outcome])


def announcer(quiet: bool) -> Callable[[str, str], None]:
    """Tells each step of a run in a line, or nothing."""
    if quiet:
        return lambda _step, _what: None
    return lambda step, what: screen.say(f"  {step:<26} {what}") if what != "started" else None


def render_result(result: RunResult) -> None:
    """The decision table, one sentence, and where the reports are."""
    screen.findings_table(f"{result.release} ({result.state}): {result.outcome}", result.findings)
    screen.say(result.says, style="bold")
    for name, path in result.files.items():
        screen.say(f"  {name}: {path}")


def _said(call: Call, done: dict[str, Any]) -> None:
    """One sentence; a warning, where there is one, goes to standard error too, and changes no exit code."""
    call.finish(done, lambda: screen.say(done["says"]), why=done.get("warning") or "")


def _pointers(told: dict[str, Any]) -> str:
    return f"champion {told['champion'] or 'none'}, rollback pointer {told['rollback_pointer'] or 'none'}"


def _render_shown(shown: dict[str, Any], out: Path | None) -> None:
    screen.say(
        f"{shown['release']} is {shown['state']} since {shown['since']}: {shown['reason']}", style="bold"
    )
    screen.say(f"  {_pointers(shown)}")
    if shown["prepared"]:
        screen.say(
            f"  a cutover to {shown['prepared']} is prepared: gateways load it, and do not serve it yet"
        )
    if shown["findings"]:
        screen.findings_table(f"Decision: {shown['outcome']}", shown["findings"])
    if out:
        screen.say(f"  report: {out}")
