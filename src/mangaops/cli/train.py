"""`train` and `reproduce`."""

from __future__ import annotations

from typing import Annotated

import typer

from mangaops.cli import screen
from mangaops.cli.options import Call, Reason, shared

Version = Annotated[str, typer.Argument(help="A model version, for example intent-classifier@v2.")]


def register(app: typer.Typer) -> None:
    """The commands of this file are part of `app`."""
    app.command(epilog="Example: mangaops train intent-classifier --dataset intent-data-2026-04-20")(train)
    app.command(epilog="Example: mangaops reproduce intent-classifier@v2")(reproduce)


@shared
def train(
    call: Call,
    model: Annotated[str, typer.Argument(help="A model of stack.yaml, for example intent-classifier.")],
    dataset: Annotated[str, typer.Option(help="A dataset version; default: the newest.")] = "",
    adapter: Annotated[
        str | None,
        typer.Option(help="For a reranker: the registered adapter version that draws its candidates."),
    ] = None,
    reason: Reason = "trained by hand",
) -> None:
    """Fine-tune, export, quantise, check parity, seal, and register a model version. Releases nothing."""
    from mangaops.pipeline import verbs
    from mangaops.registry import untrained

    with call.progress() as progress:
        record = verbs.train(
            call.workshop(), model, dataset or None, adapter=adapter, reason=reason, progress=progress
        )
    rows = [(key, screen.short(value)) for key, value in record.items()]
    title = f"{record['model_name']}@{record['version']}"
    why = untrained(title, record["metrics"])
    call.finish(record, lambda: screen.table(title, ("what", "value"), rows), why=why)


@shared
def reproduce(call: Call, version: Version) -> None:
    """Retrain from the record and say whether the artifact is identical, or how far its answers differ."""
    from mangaops.pipeline import verbs

    with call.progress() as progress:
        report = verbs.reproduce(call.workshop(), version, progress=progress)
    call.finish(report.as_dict(), lambda: screen.say(report.text()))
