"""The composition root: settings to stores, predictors and recipes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mangaops.errors import NoLedger, UsageError
from mangaops.vocabulary import FROM_LOGS, STREAM_NAME

if TYPE_CHECKING:
    from mangaops.datasets import Source, ValidationReport
    from mangaops.pipeline.gateway_bench import BenchPlan
    from mangaops.pipeline.gateway_world import GatewayWorld
    from mangaops.pipeline.quickstart import Teller
    from mangaops.pipeline.retrieval_world import RetrievalWorld
    from mangaops.pipeline.search_data_run import SearchSources
    from mangaops.pipeline.workshop import Workshop
    from mangaops.release.stack_report import StackReport
    from mangaops.stack import Stack

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """Where everything is. `ledger_url` may hold a password: it is never printed or stored."""

    stack: Path
    home: Path
    ledger_url: str | None
    files_url: str | None
    actor: str


def read_stack(path: Path) -> Stack:
    """The stack that a file declares.

    Raises:
        UsageError: there is no such file.
        StackError: it holds mistakes; all of them, with line numbers.
    """
    if not path.is_file():
        raise UsageError(
            f"{path} was refused: {'it is a folder' if path.is_dir() else 'there is no such file'}",
            accepted="a stack.yaml",
            next_step="mangaops init writes a commented one; --stack names another",
        )
    return parse_stack(path.read_bytes(), str(path))


def parse_stack(text: str | bytes, source: str = "stack.yaml") -> Stack:
    """The stack that a text declares, with every word that this installation knows.

    Raises:
        StackError: it holds mistakes; all of them, with line numbers.
    """
    from mangaops.gates import GATES
    from mangaops.metrics import METRICS
    from mangaops.stack import parse
    from mangaops.training.parameters import PARAMETERS

    known = {name: gate.params for name, gate in GATES.items()}
    return parse(
        text,
        gates=known,
        metrics=METRICS.keys(),
        families={str(family): params for family, params in PARAMETERS.items()},
        source=source,
    )


def ledger_url(settings: Settings) -> str:
    """Where the ledger is: the URL that was given, or a file in the home."""
    return settings.ledger_url or f"sqlite:///{settings.home.resolve()}/ledger.db"


def open_workshop(
    settings: Settings, clock: Callable[[], datetime] | None = None, *, create: bool = True
) -> Workshop:
    """The stores are open and the stack is parsed; with `create`, what is not there yet is made.

    Raises:
        UsageError, StackError: the stack file is missing or holds mistakes.
        SetupError: home, ledger or files cannot be used, or there is no ledger and none may be made.
    """
    from mangaops import store, training
    from mangaops.pipeline.workshop import Workshop
    from mangaops.release.desk import Desk
    from mangaops.store.bundles import make_folder
    from mangaops.store.foreign import file_errors
    from mangaops.training.steps.lexical import lexical

    stack = read_stack(settings.stack)
    if create:
        with file_errors(f"the home {settings.home} cannot be used"):
            make_folder(settings.home)
    root = settings.files_url or str(settings.home.resolve())
    ledger = store.Ledger(ledger_url(settings), create=create)
    desk = Desk(
        stack=stack,
        ledger=ledger,
        gateways=store.Gateways(ledger),
        artifacts=store.Artifacts(f"{root}/artifacts"),
        evidence=store.EvidenceStore(f"{root}/evidence"),
        snapshots=store.Snapshots(f"{root}/snapshots"),
        documents=store.Documents(f"{root}/documents"),
        clock=clock or (lambda: datetime.now(UTC)),
        actor=settings.actor,
    )
    return Workshop(
        desk=desk,
        journal=store.Journal(ledger),
        leases=store.Leases(ledger),
        recipes=training.RECIPES,
        baseline=training.baseline,
        lexical=lexical,
        reports=settings.home / "reports",
        staging=settings.home / "staging",
        kept=settings.home / "embedded",
        folder=settings.stack.resolve().parent,
        seconds=time.monotonic,
        files=root,
        pause=time.sleep,
    )


def open_if_there(settings: Settings) -> Workshop | None:
    """The stores as they are, None where there is no ledger yet; nothing is made.

    Raises:
        UsageError, StackError: the stack file is missing or holds mistakes.
        SetupError: a ledger or files that are there cannot be opened.
    """
    try:
        return open_workshop(settings, create=False)
    except NoLedger:
        return None


def check_stack(
    settings: Settings, *, unit: str | None, weeks: int, seed: int, progress: Progress
) -> StackReport:
    """What the gates of one unit, or of the first, promote and reject, simulated through the real judge.

    Golden set and traffic are those of the champion's evidence where a ledger is there, else assumed;
    nothing is made.
    """
    import numpy as np

    from mangaops.release.stack_check import known_of, stack_check
    from mangaops.store.addresses import without_credentials

    stack = read_stack(settings.stack)
    name = unit or next(iter(stack.units))
    stack.unit(name)
    shop, shown = open_if_there(settings), without_credentials(ledger_url(settings))
    return stack_check(
        stack,
        name,
        known_of(stack, name, shop.desk if shop else None, why=f"there is no ledger {shown} yet"),
        rng=np.random.default_rng(seed),
        simulations=weeks,
        progress=progress,
    )


def validate_logs(settings: Settings, name: str, source: Source, progress: Progress) -> ValidationReport:
    """A report on the logs, which says as well what would keep a snapshot from being made of them.

    Nothing is made. A ledger is asked only where it may have frozen the labels, or where these rows alone
    do not fill every split.

    Raises:
        InputError: the logs cannot be read as rows.
    """
    from mangaops.pipeline.dataset_run import examine, frozen_labels
    from mangaops.pipeline.rehearsal import rehearsed

    stack = read_stack(settings.stack)
    shop = open_if_there(settings) if stack.data[name].labels == FROM_LOGS else None
    found = examine(stack, name, source, frozen_labels(shop, name) if shop else None, progress)
    today = datetime.now(UTC).date()
    return rehearsed(stack, name, found, lambda: shop or open_if_there(settings), today, progress)


def validate_search_data(
    settings: Settings, data: str, sources: SearchSources, progress: Progress
) -> ValidationReport:
    """A report on search data, as `validate_logs`; nothing is made.

    Raises:
        InputError: the rows cannot be read.
    """
    from mangaops.pipeline.rehearsal import rehearsed_search
    from mangaops.pipeline.search_data_run import examine_search

    stack = read_stack(settings.stack)
    found = examine_search(stack, data, sources, progress)
    today = datetime.now(UTC).date()
    return rehearsed_search(stack, data, found, lambda: open_if_there(settings), today, progress)


def chosen_data(settings: Settings, name: str | None, searched: bool | None) -> tuple[str, bool]:
    """The dataset that is meant, and whether it is search data.

    `searched`: whether what was given is for search data; None where it may be for either kind.

    Raises:
        UsageError: the stack declares no such dataset, or none is named and several will do.
    """
    from mangaops.pipeline.dataset_run import data_name

    stack = read_stack(settings.stack)
    kinds = {True: stack.search_data, False: stack.data}
    chosen = data_name(stack, name, kinds[searched] if searched is not None else ())
    return chosen, chosen in stack.search_data


def unit_data(settings: Settings, unit: str) -> tuple[str, bool]:
    """The dataset that the unit's models learn from, and whether it is search data.

    Raises:
        UsageError: the stack declares no such unit.
    """
    stack = read_stack(settings.stack)
    data = stack.models[stack.unit(unit).models[0]].data
    return data, data in stack.search_data


def due_units(settings: Settings) -> dict[str, Any]:
    """Units that should run now, and those that must get a champion first; nothing is made."""
    from mangaops.pipeline import views

    return views.due_units(read_stack(settings.stack), open_if_there(settings), datetime.now(UTC))


def serve_stack(
    settings: Settings, units: Sequence[str], options: Mapping[str, Any], ready: Callable[[str], None]
) -> None:
    """The units (none named: all of the stack) were served until somebody ended it.

    `ready` is told the address. `options`: fields of GatewaySettings.

    Raises:
        UsageError, StackError: the stack file is missing or holds mistakes, or the name is none.
        SetupError: the address is taken, a package is missing, or the folder cannot be written.
    """
    from mangaops.gateway.settings import GatewaySettings
    from mangaops.gateway.supervisor import Supervisor
    from mangaops.gateway.units import units_of

    if not STREAM_NAME.fullmatch(options["name"]):
        raise UsageError(
            f"--name {options['name']!r} was refused",
            accepted="lower-case letters, digits, '.', '_' and '-', the first a letter or digit",
            next_step="mangaops serve --name gateway",
        )
    given = GatewaySettings(
        stack=settings.stack,
        home=settings.home.resolve(),
        ledger_url=ledger_url(settings),
        files_root=settings.files_url or str(settings.home.resolve()),
        **options,
    )
    Supervisor(units_of(read_stack(settings.stack), units), given, ready).run()


def run_quickstart(settings: Settings, folder: Path, *, seed: int, teller: Teller) -> dict[str, Any]:
    """The quickstart's story is told, and everything that it made lies in the folder, its ledger too.

    Raises:
        UsageError: the folder holds something else, or the stack file is missing or not simulated.
        MangaopsError: a release was not decided as the story needs it.
    """
    from mangaops.pipeline.first_stack import beside_init, init_text
    from mangaops.pipeline.quickstart import prepare
    from mangaops.pipeline.quickstart_search import story_of

    text = settings.stack.read_text(encoding="utf-8") if settings.stack.is_file() else ""
    stack = read_stack(settings.stack)
    unit, story = story_of(stack, settings.stack)
    home = prepare(folder)
    if settings.ledger_url or settings.files_url:
        teller.line(
            f"This world keeps its own ledger and files in {home}; those that were named stay as they are."
        )
    shop = open_workshop(replace(settings, home=home, ledger_url=None, files_url=None))
    if unit in parse_stack(init_text()).units:
        teller.line(f"{settings.stack} {beside_init(text)}")
    return story(shop, folder, settings.stack, seed=seed, teller=teller)


def make_world(
    folder: Path, artifact: Path, *, ledger: str | None = None, actor: str = "bench"
) -> GatewayWorld:
    """A scratch world to serve from stands in `folder`, with a champion that is a variant of the artifact.

    A folder that holds one already is gone on with. Its stack file, home and ledger are those of any stack.
    """
    from mangaops.pipeline import gateway_world

    stack = gateway_world.write_stack(folder)
    shop = open_workshop(Settings(stack, folder / "home", ledger, None, actor))
    return gateway_world.begun(gateway_world.GatewayWorld(folder, artifact, shop))


def make_search_world(
    folder: Path, pair: Path, *, ledger: str | None = None, actor: str = "bench"
) -> RetrievalWorld:
    """The same of a unit that searches: its releases are variants of the pair of sealed models in `pair`."""
    from mangaops.pipeline import gateway_world, retrieval_world

    stack = gateway_world.write_stack(folder, retrieval_world.STACK)
    shop = open_workshop(Settings(stack, folder / "home", ledger, None, actor))
    world = retrieval_world.RetrievalWorld(folder, pair, shop)
    gateway_world.begun(world)
    return world


def bench_gateway(
    plan: BenchPlan,
    *,
    unit: str = "router",
    url: str | None,
    workers: int,
    threads: int | None,
    artifact: Path | None,
    plot: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """What a gateway did under load: one in a scratch world that is gone afterwards, or the one at `url`.

    `artifact`: a sealed classifier, or of a unit that searches a folder with a sealed adapter and reranker.

    Raises:
        UsageError: the address is none, that gateway cannot be asked so, no such unit is benched, or the
            plot lies in no folder.
        SetupError: the gateway did not start, or answers nothing.
    """
    import tempfile

    from mangaops.pipeline.gateway_bench import WORLDS, run_bench, started
    from mangaops.pipeline.load_chart import load_curve
    from mangaops.pipeline.retrieval_world import UNIT as RETRIEVAL
    from mangaops.pipeline.scratch_model import scratch_model
    from mangaops.pipeline.scratch_pair import scratch_pair
    from mangaops.release.host import host_facts

    if plot is not None and not plot.absolute().parent.is_dir():
        raise UsageError(
            f"the plot {plot} was refused",
            found=f"no folder {plot.parent}",
            accepted="a file in a folder that is there",
            next_step="make the folder, or name another file with --plot",
        )
    if unit not in WORLDS:
        raise UsageError(
            f"the bench of {unit} was refused: there is no scratch world of it",
            accepted=", ".join(WORLDS),
            next_step="mangaops bench gateway --unit router",
        )
    with tempfile.TemporaryDirectory(prefix="mangaops-bench-") as scratch:
        if url is not None:
            result = run_bench(plan, url, None, lambda: "", progress, unit=unit)
        else:
            place = Path(scratch) / "artifact"
            world: GatewayWorld
            if unit == RETRIEVAL:
                world = make_search_world(Path(scratch) / "world", artifact or scratch_pair(place, progress))
            else:
                sealed = artifact or scratch_model(place, progress).folder
                world = make_world(Path(scratch) / "world", sealed)
            with started(world, workers=workers, threads=threads, progress=progress) as server:
                result = run_bench(
                    plan, server.url, world, lambda: server.get("/metrics"), progress, unit=unit
                )
    if plot is not None:
        plot.write_text(load_curve(result.curve, "latency by load"), encoding="utf-8")
    return result.as_dict() | {"workers": None if url else workers, "host": host_facts()}
