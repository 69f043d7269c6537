"""Logs from a database: read-only, and no credential in any message."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from mangaops.datasets import Source, collect
from mangaops.errors import InputError, MangaopsError, SetupError, UsageError
from mangaops.stack import DataSpec

SPEC = DataSpec()


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/logs.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text("create table turns (utterance text, intent text, session integer, at text)")
        )
        connection.execute(
            sa.text(
                "insert into turns values ('hi', 'greeting', 7, '2026-04-20T09:00:00Z'), "
                "('a:b 10%', 'faq', 8, null)"
            )
        )
    engine.dispose()
    return url


def count(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select count(*) from turns")).scalar_one()
    engine.dispose()
    return int(rows)


def test_a_query_gives_rows_and_is_remembered_without_the_address_options(database: str) -> None:
    query = (
        "select utterance as text, intent as label, session as conversation_id, at "
        "from turns where utterance <> 'x:y%'"
    )
    found = collect(Source((database,), query), SPEC)
    assert found.rows["text"].to_list() == ["hi", "a:b 10%"]
    assert found.rows["conversation_id"].to_list() == ["7", "8"]
    assert found.provenance.query == query
    assert found.provenance.origins[0].sha256 is None


@pytest.mark.parametrize(
    "query",
    ["delete from turns", "drop table turns", "insert into turns values ('x', 'y', 1, null) returning *"],
)
def test_a_query_that_writes_changes_nothing(database: str, query: str) -> None:
    with pytest.raises(InputError):
        collect(Source((database,), query), SPEC)
    assert count(database) == 2


def test_no_rows_and_a_wrong_query_are_refused(database: str) -> None:
    with pytest.raises(InputError, match="found no row"):
        collect(Source((database,), "select utterance as text, intent as label from turns where 1 = 0"), SPEC)
    with pytest.raises(InputError, match="no such table"):
        collect(Source((database,), "select * from elsewhere"), SPEC)


def test_a_missing_query_a_missing_file_and_a_wrong_address_are_refused(
    database: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="needs a query"):
        collect(Source((database,)), SPEC)
    with pytest.raises(InputError, match="does not exist"):
        collect(Source((f"sqlite:///{tmp_path}/none.db",), "select 1"), SPEC)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(MangaopsError):
        collect(Source(("postgresql+nosuchdriver://u:hunter2@h/d",), "select 1"), SPEC)


def test_credentials_appear_in_no_message_and_no_provenance(tmp_path: Path) -> None:
    url = "postgresql+psycopg://alice:hunter2@127.0.0.1:1/shop?sslpassword=hunter3"
    source = Source((url,), "select 1")
    with pytest.raises((InputError, SetupError)) as caught:
        collect(source, SPEC)
    for shown in (caught.value.message, repr(source), *source.shown()):
        assert "hunter" not in shown
        assert "alice" not in shown
    assert "127.0.0.1" in caught.value.message


def test_postgresql_is_read_and_not_written(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("create table turns (id uuid, body text, intent text, at timestamptz)"))
        connection.execute(
            sa.text(
                "insert into turns "
                "select gen_random_uuid(), '100% : sure', 'faq', now() from generate_series(1, 3)"
            )
        )
    engine.dispose()
    query = (
        "select id as user_id, body as text, intent as label, at::timestamptz "
        "from turns where body like '100% :%'"
    )
    found = collect(Source((postgres_url,), query), SPEC)
    assert found.rows["text"].to_list() == ["100% : sure"] * 3
    assert found.rows["user_id"].n_unique() == 3
    assert found.rows["at"].null_count() == 0
    with pytest.raises(InputError, match="failed"):
        collect(Source((postgres_url,), "delete from turns returning *"), SPEC)
    assert count(postgres_url) == 3
