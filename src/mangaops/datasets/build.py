"""From collected logs to a dataset version: drop, group, split, clear of leaks, freeze the golden set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from mangaops.datasets import personal
from mangaops.datasets.golden import choose
from mangaops.datasets.groups import grouped, hashed_split
from mangaops.datasets.leakage import distinctive_texts, shared_groups, shared_texts, shared_with
from mangaops.datasets.manifest import Making, manifest
from mangaops.datasets.schema import unusable
from mangaops.datasets.snapshot import Snapshot
from mangaops.datasets.source import ROWS, Logs, Progress
from mangaops.datasets.text import with_norm
from mangaops.datasets.validation import duplicates, validate
from mangaops.errors import InputError, LeakageError, UsageError
from mangaops.evidence.envelope import table_digest
from mangaops.vocabulary import FROM_LOGS, Digest, Split

if TYPE_CHECKING:
    from mangaops.stack import DataSpec

_KEPT = [name for name in ROWS if name not in ("split", "place")]
COLUMNS = [*_KEPT, "group", "split", "weight", "golden"]
"""The columns of a snapshot's rows, in order."""


def snapshot(
    logs: Logs,
    spec: DataSpec,
    *,
    data: str,
    critical: Collection[str],
    previous: Snapshot | None = None,
    at: date | None = None,
    versions: Mapping[str, Digest] | None = None,
    trained: Collection[Snapshot] = (),
    grow_golden: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """The dataset version of these logs; `previous` itself where the rows are the same.

    `data` is the key under `data:`. The version is dated by the newest row, or by `at` where no row has a
    time. `versions` holds the names in use with their digests: the same rows get the same name, other rows
    of the same day get `-2`, `-3`, ... The golden set of `previous` stays as it is, row for row
    and weight for weight, unless `grow_golden`: then it gains rows and a version, and loses none but those
    that share something with the training rows of `trained`, the snapshots of the releases that serve.

    Raises:
        InputError: the validation report has errors, or a split is empty.
        LeakageError: so much is shared across splits that nothing is left to train on.
        UsageError: neither a row nor `at` dates the version.
    """
    labels = _known_labels(spec, previous)
    report = validate(logs, spec, critical, labels)
    if report.errors:
        raise InputError(
            f"the logs for {data} were refused by validation",
            found="\n    ".join(("", *report.errors)),
            next_step="mend the logs, or stack.yaml where it is wrong; `mangaops data validate` tells more",
        )
    making = Making(data, logs, spec, report, tuple(sorted(critical)), previous)
    making.labels = labels or tuple(logs.rows.get_column("label").unique().sort())
    key = spec.split_key or data
    rows = _usable(logs.rows, spec, making)
    rows = _with_frozen(rows, making)
    rows = _with_split(rows, spec, key, previous)
    making.traffic = _traffic(rows, own=_own_split(logs.rows))
    rows = _without_leaks(rows, spec, making, progress)
    rows = _with_golden(rows, making, key, trained, grow=grow_golden, progress=progress)
    return _named(rows, making, at, versions or {})


def _known_labels(spec: DataSpec, previous: Snapshot | None) -> tuple[str, ...] | None:
    if spec.labels == FROM_LOGS:
        return previous.labels if previous is not None else None
    return tuple(spec.labels)


def _own_split(rows: pl.DataFrame) -> bool:
    return rows.get_column("split").null_count() < rows.height


def _usable(rows: pl.DataFrame, spec: DataSpec, making: Making) -> pl.DataFrame:
    """The rows with a usable text, each once, masked if so wished; what is dropped is counted."""
    bad = unusable(rows, spec.max_characters)
    again = duplicates(rows.join(bad, on="row_id", how="anti"))
    for reason, count in bad.get_column("reason").value_counts().sort("reason").iter_rows():
        making.dropped[str(reason)] = int(count)
    making.dropped["duplicate row"] = again.height
    kept = rows.join(bad, on="row_id", how="anti").join(again, on="row_id", how="anti")
    return kept.with_columns(personal.masked(kept.get_column("text"))) if spec.mask_personal_data else kept


def _with_frozen(rows: pl.DataFrame, making: Making) -> pl.DataFrame:
    """The rows and `frozen`: golden rows of the previous version replace their like in the logs."""
    current = rows.select(*_KEPT, "split", frozen=pl.lit(False))
    if making.previous is None:
        return current
    golden = making.previous.golden.select(*_KEPT, "split", frozen=pl.lit(True))
    gone = sorted(set(golden.get_column("label")) - set(making.labels))
    if gone:
        raise InputError(
            f"the frozen golden set of {making.previous.name} has labels that are no longer listed",
            found=", ".join(gone),
            accepted="the labels of the golden set, and more",
            next_step="list them in stack.yaml, or begin a new dataset under another name",
        )
    relabelled = current.join(golden, on="row_id").filter(pl.col("label") != pl.col("label_right"))
    making.relabelled = relabelled.height
    return pl.concat([golden, current.join(golden, on="row_id", how="anti")])


def _with_split(rows: pl.DataFrame, spec: DataSpec, key: str, previous: Snapshot | None) -> pl.DataFrame:
    """The rows with `group` and `split`. What was golden stays golden, what was trained on stays so: a group
    that is joined to one of the golden set is golden as a whole.
    """
    earlier = pl.DataFrame(schema=rows.schema).with_columns(was=pl.lit("").cast(pl.String)).clear()
    if previous is not None:
        unseen = previous.rows.join(rows, on="row_id", how="anti")
        earlier = unseen.select(*_KEPT, "split", frozen=pl.lit(False), was="split")
        rows = rows.join(previous.rows.select("row_id", was="split"), on="row_id", how="left")
    else:
        rows = rows.with_columns(was=pl.lit(None, dtype=pl.String))
    named = grouped(pl.concat([rows, earlier.select(rows.columns)]), key)
    if _own_split(rows.filter(~pl.col("frozen"))):
        own = pl.when("frozen").then(pl.lit(Split.GOLDEN.value)).otherwise("split")
        return named.head(rows.height).with_columns(split=own).drop("was")
    shares = {split: getattr(spec.splits, split.value) for split in Split}
    hashed = hashed_split(named.get_column("group"), shares, key)
    golden = (pl.col("was") == Split.GOLDEN).any().over("group")
    trained = (pl.col("was") == Split.TRAIN).any().over("group")
    split = pl.when(golden).then(pl.lit(Split.GOLDEN.value)).when(trained).then(pl.lit(Split.TRAIN.value))
    return named.with_columns(split=split.otherwise(hashed)).head(rows.height).drop("was")


def _traffic(rows: pl.DataFrame, *, own: bool) -> dict[str, float]:
    """The labels' shares of the traffic: of all rows, or of the golden rows where the logs bring splits."""
    counted = rows.filter(pl.col("split") == Split.GOLDEN) if own else rows
    counts = counted.get_column("label").value_counts().sort("label")
    return {str(label): count / counted.height for label, count in counts.iter_rows()}


def _without_leaks(
    rows: pl.DataFrame, spec: DataSpec, making: Making, progress: Progress | None
) -> pl.DataFrame:
    """The rows without those of training and validation that share with a split above theirs.

    First conversations and users, then texts: so a text that is distinctive here is so among the rows that
    stay, and the gate that compares later finds nothing.
    """
    before = rows.get_column("split").value_counts()
    rows = _cleared(rows, making, shared_groups)
    rows = with_norm(rows)
    distinctive = distinctive_texts(rows, spec)
    rows = _cleared(
        rows, making, lambda left, right: shared_texts(left, right, distinctive, spec.near_at, progress)
    )
    after = set(rows.get_column("split"))
    lost = sorted(str(split) for split, _ in before.iter_rows() if split not in after)
    if lost:
        raise LeakageError(
            f"every row of {' and '.join(lost)} shares a conversation, user or text with a split above it",
            found=", ".join(f"{reason}: {count:,}" for reason, count in making.dropped.items() if count),
            accepted="splits that keep each conversation and each user on one side",
            next_step="leave the split column unmapped: rows are then split by group",
        )
    return rows


def _cleared(
    rows: pl.DataFrame, making: Making, conflicts: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    golden, validation, train = (rows.filter(pl.col("split") == split) for split in reversed(Split))
    validation = _leaving(validation, conflicts(validation, golden), making)
    above = pl.concat([golden, validation])
    return pl.concat([above, _leaving(train, conflicts(train, above), making)])


def _leaving(rows: pl.DataFrame, conflicts: pl.DataFrame, making: Making) -> pl.DataFrame:
    first = conflicts.unique("row_id", keep="first", maintain_order=True)
    for check, count in first.get_column("check").value_counts().sort("check").iter_rows():
        reason = f"shared {str(check).replace('_', ' ')} ({rows.get_column('split')[0]})"
        making.dropped[reason] = making.dropped.get(reason, 0) + int(count)
    return rows.join(first, on="row_id", how="anti")


def _with_golden(
    rows: pl.DataFrame,
    making: Making,
    key: str,
    trained: Collection[Snapshot],
    *,
    grow: bool,
    progress: Progress | None,
) -> pl.DataFrame:
    """The rows with `golden` and `weight`: frozen ones with their weights, else chosen anew."""
    empty = [split.value for split in Split if split not in set(rows.get_column("split"))]
    if empty:
        raise InputError(
            f"{making.name} would have no row for {' and '.join(empty)}",
            found=f"{rows.height:,} usable rows in {rows.get_column('group').n_unique():,} groups",
            accepted="rows in train, validation and golden",
            next_step="collect more, change `splits` in stack.yaml, or mend the split column",
        )
    previous, pool = making.previous, rows.filter((pl.col("split") == Split.GOLDEN) & ~pl.col("frozen"))
    kept = rows.filter("frozen")
    making.grown = previous is None or kept.height == 0 or grow
    if previous is not None and not making.grown:
        chosen = previous.golden.select("row_id", "weight")
    else:
        if previous is not None:
            pool = pool.join(shared_with(pool, previous, making.spec, progress), on="row_id", how="anti")
        for known in trained:
            pool, kept = (
                part.join(
                    shared_with(part, known, making.spec, progress, beside=rows), on="row_id", how="anti"
                )
                for part in (pool, kept)
            )
        chosen = choose(pool, kept, making.traffic, making.critical, making.spec.golden, key)
    joined = rows.join(chosen.with_columns(golden=pl.lit(True)), on="row_id", how="left")
    unused = pl.when(pl.col("split") == Split.GOLDEN).then(0.0).otherwise(1.0)
    return joined.with_columns(golden=pl.col("golden").fill_null(False), weight=pl.coalesce("weight", unused))


def _named(rows: pl.DataFrame, making: Making, at: date | None, versions: Mapping[str, Digest]) -> Snapshot:
    rows = rows.select(COLUMNS).sort("row_id")
    digest = table_digest(rows)
    if making.previous is not None and making.previous.digest == digest:
        return making.previous
    newest = rows.get_column("at").max()
    day = newest if isinstance(newest, date) else at
    if day is None:
        raise UsageError(
            f"{making.name} cannot be dated: no row has a time",
            next_step="map the column `at`, or give a date",
        )
    base = f"{making.name}-{day:%Y-%m-%d}"
    used = dict(versions)
    if making.previous is not None:
        used[making.previous.name] = making.previous.digest
    name, number = next((known for known, same in used.items() if same == digest), base), 2
    while used.get(name, digest) != digest:
        name, number = f"{base}-{number}", number + 1
    return Snapshot(name, digest, manifest(making, name, digest, rows), rows)
