"""What is in the logs, and what is wrong with them, in a report that a person can read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from mangaops.datasets import markdown, personal
from mangaops.datasets.groups import grouped
from mangaops.datasets.schema import UNKNOWN_LABEL, UNUSABLE_TEXT, failures
from mangaops.datasets.source import Logs
from mangaops.datasets.text import language, with_norm
from mangaops.stack import guess
from mangaops.vocabulary import FROM_LOGS, REVIEW_WORDS, Split, is_review_word

if TYPE_CHECKING:
    from mangaops.stack import DataSpec

SYNTHETIC = ("synthetic", "simulated", "generated", "augmented")
"""Words that make a `label_source` synthetic, alone or in a name such as `simulated-annotator`."""

_LIKE_MISSING = r"(?i)^\s*(nan|null|none|<na>|nat)\s*$"
"""A whole text that other tools write where there is none."""
_TOO_MANY_UNUSABLE = 0.1
_LARGE_GROUP = 0.1
_FEW_ROWS = 10
_EXAMPLES = 5


@dataclass(frozen=True)
class ValidationReport:
    """What was found. `errors` keep a snapshot from being made, `warnings` do not.

    `what` was looked at; where there are errors, it is at fault. `sections` holds JSON values by section
    name; texts in them are cut and personal data is masked.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    what: str = "the logs"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "errors": list(self.errors),
            "warnings": list(self.warnings),
            "sections": {name: dict(section) for name, section in self.sections.items()},
        }

    def to_markdown(self) -> str:
        """The report as Markdown; whatever came from the logs is escaped."""
        return markdown.report(self.what, self.errors, self.warnings, self.sections)


@dataclass
class _Findings:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def validate(
    logs: Logs, spec: DataSpec, critical: Collection[str], labels: Sequence[str] | None = None
) -> ValidationReport:
    """A report on the logs; nothing is changed.

    `critical` are the labels that need `spec.minimum_critical` rows. `labels` are those frozen by an earlier
    snapshot where stack.yaml says `from_logs`; without them any label is known.

    Raises:
        InputError: the rows are not in the canonical columns.
    """
    rows, findings = logs.rows, _Findings()
    known = spec.labels if spec.labels != FROM_LOGS else labels
    failed = failures(rows, spec.max_characters, known)
    normed = with_norm(rows)
    sections = {
        "rows": _rows(rows, findings),
        "texts": _texts(rows, failed, findings),
        "labels": _labels(rows, failed, known, spec, critical, findings),
        "repeats": _repeats(rows, normed, findings),
        "contradictions": _contradictions(normed, findings),
        "synthetic": _synthetic(rows, findings),
        "languages": _languages(rows),
        "time": _time(rows, findings),
        "personal_data": personal_data(
            rows.get_column("text"), masked=spec.mask_personal_data, warnings=findings.warnings
        ),
    }
    findings.warnings += [f"note: {note}" for note in logs.notes]
    if known is None and rows.get_column("label").n_unique() < 2:
        findings.errors.append("there is only one label: nothing can be classified")
    return ValidationReport(tuple(findings.errors), tuple(findings.warnings), sections)


def excerpt(text: str) -> str:
    """The text as reports show it: in one line, cut to 80 characters, personal data masked."""
    line = " ".join(personal.mask(text[:2000]).split())
    return line if len(line) <= 80 else line[:77] + "..."


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _rows(rows: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    without = rows.filter(pl.col("conversation_id").is_null() & pl.col("user_id").is_null()).height
    groups = grouped(rows, "validation").get_column("group").value_counts(sort=True)
    largest = int(groups.get_column("count")[0]) if rows.height else 0
    if without == rows.height:
        findings.warnings.append("no conversation and no user is known: each row is its own group")
    elif without:
        findings.warnings.append(
            f"{without:,} rows have neither conversation nor user: each is its own group"
        )
    if _share(largest, rows.height) > _LARGE_GROUP and largest > 1:
        findings.warnings.append(
            f"one group holds {_share(largest, rows.height):.0%} of the rows: is a conversation or user id a "
            "placeholder such as `guest`? Then leave it empty, or splits cannot be balanced"
        )
    return {
        "rows": rows.height,
        "conversations": rows.get_column("conversation_id").drop_nulls().n_unique(),
        "users": rows.get_column("user_id").drop_nulls().n_unique(),
        "groups": groups.height,
        "largest_group_rows": largest,
        "rows_without_conversation_or_user": without,
        "own_splits": _own_splits(rows, findings),
    }


def _own_splits(rows: pl.DataFrame, findings: _Findings) -> dict[str, int]:
    own = rows.get_column("split")
    if own.null_count() == own.len():
        return {}
    counts = {str(name): int(count) for name, count in own.value_counts().sort("split").iter_rows()}
    if own.null_count():
        findings.errors.append(f"{own.null_count():,} rows have no split while others bring their own")
    lacking = [split.value for split in Split if not counts.get(split.value)]
    if lacking:
        findings.warnings.append(f"the logs bring their own splits, and none of {', '.join(lacking)}")
    return counts


def _texts(rows: pl.DataFrame, failed: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    section: dict[str, Any] = {"longest_characters": rows.get_column("text").str.len_chars().max() or 0}
    bad = failed.filter(pl.col("check").is_in(UNUSABLE_TEXT)).get_column("index").n_unique()
    for reason in UNUSABLE_TEXT:
        index = failed.filter(pl.col("check") == reason).get_column("index")
        section[reason.replace(" ", "_")] = index.len()
        if index.len():
            first = rows.get_column("place")[index[0]]
            findings.warnings.append(f"{index.len():,} rows of {reason} are dropped, the first is {first}")
    section["like_a_missing_value"] = _like_missing(rows, findings)
    if _share(bad, rows.height) > _TOO_MANY_UNUSABLE:
        findings.errors.append(
            f"{_share(bad, rows.height):.0%} of the rows have no usable text: is the right column mapped?"
        )
    return section


def _like_missing(rows: pl.DataFrame, findings: _Findings) -> int:
    """How many texts may be what a tool wrote for none; they are kept, since a user may have written them."""
    found = rows.filter(pl.col("text").str.contains(_LIKE_MISSING))
    if found.height:
        first = f"{excerpt(str(found['text'][0]))!r} in {found['place'][0]}"
        findings.warnings.append(
            f"{found.height:,} texts look like a missing value that another tool wrote, as {first}. "
            "They are kept: leave out those that no user wrote"
        )
    return found.height


def _labels(
    rows: pl.DataFrame,
    failed: pl.DataFrame,
    known: Sequence[str] | None,
    spec: DataSpec,
    critical: Collection[str],
    findings: _Findings,
) -> dict[str, Any]:
    found = rows.get_column("label").value_counts(sort=True).sort("count", "label", descending=[True, False])
    counts = {str(label): int(count) for label, count in found.iter_rows()}
    _reserved(rows, counts, findings)
    _unknown(rows, failed, known or (), findings)
    for label in sorted(critical):
        if known is not None and label not in known:
            findings.errors.append(f"the critical label {label!r} is not among the labels of stack.yaml")
        elif counts.get(label, 0) < spec.minimum_critical:
            findings.errors.append(
                f"the critical label {label!r} has {counts.get(label, 0)} rows, and minimum_critical is "
                f"{spec.minimum_critical}: collect more, or lower it in stack.yaml knowingly"
            )
    few = [label for label in (known or counts) if counts.get(label, 0) < _FEW_ROWS]
    if few:
        findings.warnings.append(
            f"{len(few)} labels have under {_FEW_ROWS} rows: {', '.join(map(excerpt, few[:10]))}"
        )
    return {"counts": counts, "critical": {label: counts.get(label, 0) for label in sorted(critical)}}


def _reserved(rows: pl.DataFrame, labels: Collection[str], findings: _Findings) -> None:
    for label in sorted(filter(is_review_word, labels)):
        first = rows.filter(pl.col("label") == label).get_column("place")[0]
        findings.errors.append(
            f"{excerpt(label)!r} cannot be a label, the first is {first}: a reviewer writes "
            f"{', '.join(REVIEW_WORDS)} for something else. Rename it in the logs"
        )


def _unknown(rows: pl.DataFrame, failed: pl.DataFrame, known: Sequence[str], findings: _Findings) -> None:
    index = failed.filter(pl.col("check") == UNKNOWN_LABEL).get_column("index")
    for (label,), part in rows[index].group_by("label", maintain_order=True):
        if is_review_word(str(label)):
            continue
        findings.errors.append(
            f"unknown label {excerpt(str(label))!r} on {part.height:,} rows, the first is "
            f"{part.get_column('place')[0]}{guess(str(label), known) or '.'} "
            "Mend the logs or add it to labels in stack.yaml"
        )
        if len(findings.errors) >= 20:
            findings.errors.append("more unknown labels follow: is the right column mapped to label?")
            return


def _repeats(rows: pl.DataFrame, normed: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    repeated = duplicates(rows).height
    if repeated:
        findings.warnings.append(
            f"{repeated:,} rows are there twice (same request, same label) and are dropped"
        )
    texts = normed.get_column("norm").value_counts(sort=True).sort("count", "norm", descending=[True, False])
    again = rows.height - texts.height
    return {
        "duplicate_rows": repeated,
        "rows_that_repeat_a_text": again,
        "share_that_repeats_a_text": _share(again, rows.height),
        "most_frequent": {
            excerpt(str(text)): int(count) for text, count in texts.head(_EXAMPLES).iter_rows() if count > 1
        },
    }


def duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that repeat an earlier one in text, label, ids, time and turn, where that proves them the same
    request: a conversation or user is known, and a time or turn.
    """
    same = ("text", "label", "conversation_id", "user_id", "at", "turn", "annotator", "split")
    who = pl.col("conversation_id").is_not_null() | pl.col("user_id").is_not_null()
    when = pl.col("at").is_not_null() | pl.col("turn").is_not_null()
    return rows.filter(who & when).filter(~pl.struct(same).is_first_distinct())


def _contradictions(normed: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    """Texts with more than one label, the most frequent first."""
    texts = (
        normed.group_by("norm")
        .agg(
            text=pl.col("text").first(),
            rows=pl.len(),
            labels=pl.col("label").unique().sort(),
            agreed=pl.col("label").value_counts().struct.field("count").max(),
        )
        .filter(pl.col("labels").list.len() > 1)
        .sort("rows", "norm", descending=[True, False])
    )
    concerned, against = int(texts.get_column("rows").sum()), int((texts["rows"] - texts["agreed"]).sum())
    if against:
        findings.warnings.append(
            f"{texts.height:,} texts carry several labels; {against:,} rows "
            f"({_share(against, normed.height):.1%}) go against the majority of their text"
        )
    examples = [
        {"text": excerpt(text), "rows": rows, "labels": labels[:6]}
        for text, rows, labels in texts.head(_EXAMPLES).select("text", "rows", "labels").iter_rows()
    ]
    return {
        "texts": texts.height,
        "rows": concerned,
        "share_against_majority": _share(against, normed.height),
        "examples": examples,
    }


def synthetic() -> pl.Expr:
    """Whether a row's label source says that no user wrote it."""
    word = rf"(?i)(^|[^a-z])({'|'.join(SYNTHETIC)})($|[^a-z])"
    return pl.col("label_source").str.contains(word).fill_null(False)


def _synthetic(rows: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    made = rows.filter(synthetic()).height
    if made:
        findings.warnings.append(f"{_share(made, rows.height):.1%} of the rows are synthetic")
    sources = rows.get_column("label_source").value_counts().drop_nulls().sort("label_source")
    return {
        "rows": made,
        "share": _share(made, rows.height),
        "label_sources": {excerpt(str(name)): int(count) for name, count in sources.iter_rows()},
    }


def _languages(rows: pl.DataFrame) -> dict[str, Any]:
    mix = rows.select(language()).get_column("language").value_counts().sort("language")
    return {"share": {excerpt(str(name)): _share(int(count), rows.height) for name, count in mix.iter_rows()}}


def _time(rows: pl.DataFrame, findings: _Findings) -> dict[str, Any]:
    at = rows.get_column("at")
    if at.null_count():
        which = "no row has" if at.null_count() == at.len() else f"{at.null_count():,} rows have no"
        findings.warnings.append(f"{which} a time: order in time cannot be checked for them")
    if at.null_count() == at.len():
        return {"earliest": None, "latest": None, "rows_without": at.len()}
    bounds = pl.DataFrame({"at": [at.min(), at.max()]}).get_column("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"earliest": bounds[0], "latest": bounds[1], "rows_without": at.null_count()}


def personal_data(texts: pl.Series, *, masked: bool, warnings: list[str]) -> dict[str, Any]:
    """How many of the texts hold each kind of personal data; `warnings` gains a line where any does."""
    kinds = personal.count(personal.suspects(pl.DataFrame({"text": texts})).get_column("text").to_list())
    if kinds:
        told = ", ".join(f"{kind} in {count:,}" for kind, count in kinds.items())
        then = "masked in the snapshot" if masked else "kept in the snapshot (mask_personal_data)"
        warnings.append(f"personal data slipped through: {told} texts; {then}, masked in reports")
    return {"texts_with": kinds, "masked_in_snapshot": masked}
