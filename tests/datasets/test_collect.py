"""Logs in: one canonical form, and errors that name the place."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mangaops.datasets import Source, collect, collect_traffic, collect_truth, logs
from mangaops.errors import InputError, SetupError, UsageError
from mangaops.stack import DataSpec

SPEC = DataSpec()
ROWS = pl.DataFrame(
    {
        "text": ["where is my order", "do you have one piece", "ねえ volume 3 ある?"],
        "label": ["order_tracking", "product_question", "product_question"],
        "conversation_id": ["c1", "c2", "c2"],
        "user_id": [1, 2, 2],
        "at": ["2026-04-20T09:30:00Z", "2026-04-20T18:30:00+09:00", "2026-04-20 09:31:00"],
    }
)


def read(*paths: Path | str, columns: dict[str, str] | None = None) -> pl.DataFrame:
    return collect(Source(tuple(map(str, paths)), None, columns or {}), SPEC).rows


def refused(path: Path | str, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, columns=columns)
    return caught.value.message


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t"), ("a.csv.gz", ",")])
def test_a_header_that_names_a_column_twice_is_refused(name: str, separator: str, tmp_path: Path) -> None:
    lines = (["text", "label", '"text"'], ["hello", "faq", "good bye"])
    data = "\n".join(separator.join(cells) for cells in lines).encode()
    path = written(tmp_path, name, gzip.compress(data) if name.endswith(".gz") else data)
    message = refused(path)
    assert f"{path} names a column twice" in message
    assert "found: 'text'" in message


def test_empty_names_and_cells_that_look_like_names_are_no_doubled_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label,,\ntext,faq,,\ntext,faq,,\n")
    assert read(path)["text"].to_list() == ["text", "text"]


def test_parquet_csv_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.write_csv(tmp_path / "a.csv")
    ROWS.write_csv(tmp_path / "a.tsv", separator="\t")
    ROWS.write_ndjson(tmp_path / "a.jsonl")
    written(tmp_path, "a.csv.gz", gzip.compress((tmp_path / "a.csv").read_bytes()))
    frames = [
        read(tmp_path / name).drop("place") for name in ("a.parquet", "a.csv", "a.tsv", "a.jsonl", "a.csv.gz")
    ]
    assert all(frame.equals(frames[0]) for frame in frames[1:])
    assert frames[0]["user_id"].to_list() == ["1", "2", "2"]
    assert frames[0]["at"][1] == datetime(2026, 4, 20, 9, 30, tzinfo=UTC)


def test_a_glob_reads_every_file_in_order_and_a_memory_url_too(tmp_path: Path) -> None:
    import fsspec

    for number in (2, 1):
        ROWS.head(number).write_csv(tmp_path / f"week-{number}.csv")
    assert read(tmp_path / "week-*.csv")["place"].to_list() == [
        f"{tmp_path}/week-1.csv row 1",
        f"{tmp_path}/week-2.csv row 1",
        f"{tmp_path}/week-2.csv row 2",
    ]
    with fsspec.open("memory://logs/week.csv", "wb") as file:
        file.write(ROWS.write_csv().encode())
    assert read("memory://logs/*.csv").height == 3


def test_columns_are_mapped_by_stack_and_flag_and_flags_win(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    ROWS.rename({"text": "utterance", "label": "intent"}).with_columns(other=pl.lit("x")).write_csv(path)
    spec = DataSpec(columns={"text": "utterance", "label": "other"})
    found = collect(Source((str(path),), None, {"label": "intent"}), spec)
    assert found.rows["label"].to_list() == ROWS["label"].to_list()
    assert found.provenance.columns == {"text": "utterance", "label": "intent"}


def test_a_missing_column_is_named_with_what_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    ROWS.rename({"label": "labels"}).write_csv(path)
    message = refused(path)
    assert "'label'" in message
    assert "did you mean 'labels'" in message
    assert str(path) in message


def test_a_renamed_optional_column_must_exist_and_a_default_one_need_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    ROWS.drop("conversation_id").write_csv(path)
    assert "'session'" in refused(path, {"conversation_id": "session"})
    found = collect(Source((str(path),), None, {"conversation_id": "conversation_id"}), SPEC)
    assert found.rows["conversation_id"].null_count() == 3
    assert any("no column 'conversation_id'" in note for note in found.notes)


@pytest.mark.parametrize("label", ["", "nan", "NULL"])
def test_a_row_without_label_is_refused_by_number(tmp_path: Path, label: str) -> None:
    path = written(tmp_path, "a.csv", f"text,label\nhello,faq\nhi,{label}\n")
    message = refused(path)
    assert "row 2" in message
    assert "'label'" in message


def test_null_and_nan_labels_are_refused_in_parquet_and_json(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": ["x", None]}).write_parquet(tmp_path / "a.parquet")
    path = written(tmp_path, "b.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": NaN}\n')
    assert "row 2" in refused(tmp_path / "a.parquet")
    assert "row 2" in refused(path)


def test_a_label_called_none_is_a_label(tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.csv", "text,label\nhello,none\n"))["label"].to_list() == ["none"]


def test_list_labels_are_refused_with_advice() -> None:
    with pytest.raises(InputError) as caught:
        logs(pl.DataFrame({"text": ["a"], "label": [["x", "y"]]}))
    assert "list of 2 labels" in caught.value.message
    assert "one label a row" in caught.value.message


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("text", [1, 2], "text"),
        ("label", [1.5, 2.5], "whole number"),
        ("label", [True, False], "whole number"),
        ("user_id", [1.5, 2.5], "id"),
        ("turn", ["first", "second"], "whole number"),
        ("at", ["yesterday", "today"], "ISO 8601"),
        ("at", [20260420, 20260421], "ISO 8601"),
        ("split", ["train", "holdout"], "golden (test)"),
    ],
)
def test_a_wrong_type_names_row_column_and_what_is_accepted(column: str, value: list, says: str) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}).with_columns(pl.Series(column, value))
    with pytest.raises(InputError) as caught:
        logs(frame)
    assert "row " in caught.value.refused
    assert repr(column) in caught.value.refused
    assert says in caught.value.accepted


@pytest.mark.parametrize(
    "value",
    [
        "2026-04-20T00:00:00Z",
        "2026-04-20",
        "20260420",
        date(2026, 4, 20),
        datetime(2026, 4, 20),  # noqa: DTZ001 - a naive time is what is tested
        1776643200,
        1776643200.0,
        1776643200000,
        "1776643200000000",
    ],
)
def test_times_in_every_common_form_are_the_same_moment(value: object) -> None:
    found = logs(pl.DataFrame({"text": ["a"], "label": ["x"], "at": [value]}))
    assert found.rows["at"][0] == datetime(2026, 4, 20, tzinfo=UTC)


def test_naive_times_are_taken_as_utc_and_said_so_and_aware_ones_are_not() -> None:
    frame = pl.DataFrame({"text": ["a"], "label": ["x"], "at": ["2026-04-20T09:00:00"]})
    assert any("UTC" in note for note in logs(frame).notes)
    assert not logs(frame.with_columns(at=pl.lit("2026-04-20T09:00:00Z"))).notes


def test_ids_that_a_frame_with_gaps_made_floats_are_whole_again() -> None:
    found = logs(pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"], "user_id": [12.0, float("nan")]}))
    assert found.rows["user_id"].to_list() == ["12", None]


def test_empty_files_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"text": [], "label": []}, schema={"text": pl.String, "label": pl.String}).write_parquet(
        tmp_path / "a.parquet"
    )
    assert "empty" in refused(written(tmp_path, "a.csv", ""))
    assert "no row" in refused(written(tmp_path, "b.csv", "text,label\n"))
    assert "no row" in refused(written(tmp_path, "b.jsonl", "\n"))
    assert "no row" in refused(tmp_path / "a.parquet")


def test_a_truncated_or_damaged_parquet_is_refused(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    middle = len(data) // 2
    damaged = data[: len(data) - 40] + b"\xff" * 28 + data[-12:]
    assert "cut short" in refused(written(tmp_path, "cut.parquet", data[:middle]))
    assert "damaged" in refused(written(tmp_path, "damaged.parquet", damaged))
    assert "not a whole Parquet" in refused(written(tmp_path, "text.parquet", "text,label\na,b\n"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"text,label\nok,faq\ncaf\xe9,faq\n", "line 3 is not UTF-8"),
        ("text,label\nhello,faq\n".encode("utf-16"), "UTF-16"),
        (b"text,label\nok,fa\x00q\n", "line 2 is not text"),
        (bytes(range(256)) * 20, "is not"),
        (b"text,label\nok,faq\nhello,world,faq\n", "row 2"),
    ],
)
def test_csv_that_is_no_csv_is_refused_by_place(tmp_path: Path, data: bytes, says: str) -> None:
    assert says in refused(written(tmp_path, "a.csv", data))


def test_quoted_line_breaks_commas_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", '\ufefftext,label\n"one, two\nthree",faq\n')
    assert read(path)["text"].to_list() == ["one, two\nthree"]


def test_json_lines_name_the_bad_line(tmp_path: Path) -> None:
    good = json.dumps({"text": "a", "label": "x"})
    assert "line 2 is not JSON" in refused(written(tmp_path, "a.jsonl", f"{good}\n{{'text': 'b'}}\n"))
    assert "line 2 is not a JSON object" in refused(written(tmp_path, "b.jsonl", f"{good}\n[1]\n"))
    assert "line 1 is not JSON" in refused(written(tmp_path, "c.jsonl", "[" * 100_000))


def test_json_with_mixed_types_names_the_row(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "a", "label": "x"}\n{"text": {"b": 1}, "label": "x"}\n')
    assert "row 2, column 'text'" in refused(path)


def test_unknown_endings_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    assert ".parquet" in refused(written(tmp_path, "a.xlsx", "x"))
    assert "*.parquet" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "none.csv")
    assert "matches no file" in refused(tmp_path / "none-*.csv")


def test_files_without_rows_and_files_that_cannot_be_unpacked_say_what_to_do(tmp_path: Path) -> None:
    assert "next: check the folder, and put the pattern in quotes" in refused(tmp_path / "none-*.csv")
    for name, text in (("a.csv", ""), ("b.csv", "text,label\n"), ("c.jsonl", "\n")):
        assert "next: export it again, or leave it out" in refused(written(tmp_path, name, text))
    said = refused(written(tmp_path, "d.csv.gz", "text,label\nhi,faq\n"))
    assert "accepted: a whole gzip file" in said
    assert "next: " in said
    packed = tmp_path / "e.csv.gz"
    packed.write_bytes(gzip.compress(b"text,label\nhi,faq\n"))
    assert read(packed).height == 1


def test_a_protocol_without_its_package_is_a_setup_error() -> None:
    with pytest.raises((SetupError, InputError)) as caught:
        read("nosuchprotocol://bucket/a.csv")
    assert "nosuchprotocol" in caught.value.message


class NoCredentials(Exception):
    """Like those of botocore: neither an OSError nor a ValueError, and its words may hold a secret."""

    status = 403


class Readless(MemoryFileSystem):
    """A store that tells what it holds and lets nobody read it."""

    protocol = "readless"

    def exists(self, path: str, **_: object) -> bool:
        return True

    def isdir(self, path: str) -> bool:
        return False

    def cat_file(self, path: str, *_: object, **__: object) -> bytes:
        raise NoCredentials("key:secret@bucket")


class Lookless(Readless):
    """A store that does not even tell what it holds."""

    protocol = "lookless"

    def exists(self, path: str, **_: object) -> bool:
        raise NoCredentials("key:secret@bucket")


@pytest.mark.parametrize(("store", "says"), [(Lookless, "cannot be opened"), (Readless, "cannot be read")])
def test_what_a_store_raises_of_its_own_becomes_one_plain_error(
    store: type[MemoryFileSystem], says: str
) -> None:
    import fsspec

    protocol = str(store.protocol)
    fsspec.register_implementation(protocol, store, clobber=True)
    with pytest.raises(InputError) as caught:
        read(f"{protocol}://key:secret@bucket/a.csv")
    assert f"{protocol}://bucket/a.csv {says}" in caught.value.message
    assert "NoCredentials, HTTP 403" in caught.value.message
    assert "secret" not in caught.value.message


def test_credentials_in_a_url_are_never_shown() -> None:
    source = Source(("http://user:secret@127.0.0.1:1/a.csv?token=secret2",))
    with pytest.raises((SetupError, InputError)) as caught:
        collect(source, SPEC)
    for shown in (caught.value.message, repr(source), *source.shown()):
        assert "secret" not in shown
        assert "user:" not in shown


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("s3://key:secret@bucket/a.csv", "s3://bucket/a.csv"),
        ("filecache::s3://key:secret@bucket/a.csv", "filecache::s3://bucket/a.csv"),
        ("https://host/a.csv?sig=secret&x=/y", "https://host/a.csv"),
        ("https://host/a.csv?part/secret&sig=x", "https://host/a.csv"),
        ("postgresql://u:p%2Fw@host:1/db?password=secret", "postgresql://host:1/db"),
        ("postgresql://reader:pa/ss@db/logs", "postgresql://db/logs"),
        ("postgresql+psycopg://reader:p@ss/w@db:5432/logs", "postgresql://db:5432/logs"),
        ("postgresql://reader:pa/ss@db:no-port/logs", "postgresql://db:no-port/logs"),
        ("s3://key:sec/ret@bucket/a.csv", "s3://bucket/a.csv"),
        ("filecache::s3://key:sec/ret@bucket/a.csv", "filecache::s3://bucket/a.csv"),
        ("zip://a.csv::s3://bucket/a.zip", "zip://a.csv::s3://bucket/a.zip"),
        ("s3://bucket/weeks@2/a.csv", "s3://bucket/weeks@2/a.csv"),
        ("sqlite:////home/a@b/logs.db", "sqlite:////home/a@b/logs.db"),
        ("sqlite:///logs.db", "sqlite:///logs.db"),
        ("s3://bucket/week-?.csv", "s3://bucket/week-?.csv"),
        ("logs/a@b?.csv", "logs/a@b?.csv"),
    ],
)
def test_locations_are_shown_without_credentials_and_otherwise_whole(location: str, shown: str) -> None:
    assert Source((location,)).shown() == (shown,)


def test_the_file_hash_and_row_count_are_remembered(tmp_path: Path) -> None:
    ROWS.write_csv(tmp_path / "a.csv")
    (origin,) = collect(Source((str(tmp_path / "a.csv"),)), SPEC).provenance.origins
    assert (origin.rows, len(origin.sha256 or "")) == (3, 64)


def test_row_ids_do_not_depend_on_order_or_label_and_tell_equal_rows_apart() -> None:
    frame = pl.DataFrame(
        {"text": ["hi", "hi", "bye"], "label": ["b", "a", "c"], "conversation_id": ["1"] * 3}
    )
    first, second = logs(frame).rows, logs(frame.reverse()).rows
    assert first["row_id"].n_unique() == 3
    assert dict(first.select("label", "row_id").iter_rows()) == dict(
        second.select("label", "row_id").iter_rows()
    )
    again = logs(frame.with_columns(label=pl.lit("z"))).rows
    assert set(again["row_id"]) == set(first["row_id"])


def test_where_only_the_text_tells_a_row_its_label_does_too_so_that_more_rows_shift_no_id() -> None:
    frame = pl.DataFrame({"text": ["hi"] * 3, "label": ["b", "b", "c"]})
    more = pl.concat([pl.DataFrame({"text": ["hi"], "label": ["a"]}), frame])
    assert set(logs(frame).rows["row_id"]) < set(logs(more).rows["row_id"])


def test_own_row_ids_are_kept_and_may_not_repeat() -> None:
    frame = pl.DataFrame({"row_id": ["r1", "r2"], "text": ["a", "b"], "label": ["x", "x"]})
    assert logs(frame).rows["row_id"].to_list() == ["r1", "r2"]
    with pytest.raises(InputError, match="repeats row_id"):
        logs(frame.with_columns(row_id=pl.lit("r1")))


def test_no_source_a_query_on_files_and_two_databases_are_usage_errors(tmp_path: Path) -> None:
    for source in (
        Source(()),
        Source(("a.csv",), "select 1"),
        Source(("sqlite:///a", "sqlite:///b"), "select 1"),
    ):
        with pytest.raises(UsageError):
            collect(source, SPEC)


def test_traffic_gets_ids_and_groups_and_truth_joins_it(tmp_path: Path) -> None:
    ROWS.drop("label").write_csv(tmp_path / "traffic.csv")
    traffic = collect_traffic(Source((str(tmp_path / "traffic.csv"),)))
    assert traffic["request_id"].to_list() == ["request-000001", "request-000002", "request-000003"]
    assert traffic["group"].n_unique() == 2
    written(tmp_path, "truth.csv", "request_id,label\nrequest-000002,faq\n")
    truth = collect_truth(Source((str(tmp_path / "truth.csv"),)))
    assert truth.join(traffic, on="request_id").height == 1


def test_traffic_without_text_and_repeated_truth_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "traffic.csv", "text\nhi\n  \n")
    written(tmp_path, "truth.csv", "request_id,label\na,faq\na,faq\n")
    with pytest.raises(InputError, match=r"row 2 has no text"):
        collect_traffic(Source((str(tmp_path / "traffic.csv"),)))
    with pytest.raises(InputError, match="repeats request_id"):
        collect_truth(Source((str(tmp_path / "truth.csv"),)))
