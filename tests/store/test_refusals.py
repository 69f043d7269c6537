"""Bad addresses, full and read-only disks, dead servers, wrecks: one plain error each, and no secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

import histories as h
from mangaops.errors import IntegrityError, MangaopsError, NoLedger, SetupError, UsageError
from mangaops.store import Artifacts, Documents, Journal, Leases, Ledger
from mangaops.store.filesystems import network_filesystem
from mangaops.store.foreign import file_errors, object_errors, sql_errors

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://me:hunter2@host/db",
        "::::",
        "nonsense://x",
    ],
)
def test_an_address_that_is_no_ledger_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address of one") as caught:
        Ledger(url)
    assert "sqlite:///" in caught.value.accepted
    assert SECRET not in str(caught.value)


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    url = f"postgresql://me:{SECRET}@localhost:1/ledger?application_name=x&sslpassword={SECRET}"
    with pytest.raises(SetupError, match="ledger postgresql://localhost:1/ledger cannot be used") as caught:
        Ledger(url)
    assert SECRET not in str(caught.value)
    assert "server runs" in caught.value.next_step


def test_a_database_that_does_not_exist_is_named(postgres_server: Path) -> None:
    import postgres

    with pytest.raises(SetupError, match="create the database first"):
        Ledger(postgres.url(postgres_server, "nowhere"))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:p@{SECRET}@localhost:1/db",
        f"postgresql://me:{SECRET}@localhost:notaport/db",
        f"postgresql://me:{SECRET}@[::1/db",
        f"me:{SECRET}@localhost/db",
        f"postgresql:/me:{SECRET}@localhost/db",
        f"me:{SECRET}://localhost",
        f"host=localhost user=me password={SECRET}",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_what_may_be_a_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Ledger(url)
    assert SECRET not in str(caught.value)
    assert caught.value.next_step


def test_no_password_is_shown_or_stored(postgres_url: str) -> None:
    url = postgres_url.replace("mangaops@", f"mangaops:{SECRET}@")
    with Ledger(url) as ledger:
        ledger.append(h.weeks(1), expect={}, at=h.AT)
        Journal(ledger).put("k", "r", "s", {})
        assert SECRET not in ledger.shown
        assert "mangaops" not in ledger.shown
        assert SECRET not in "".join(event.text for event in ledger.read("router"))


def test_a_file_that_is_not_there_is_made_only_when_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/ledger.db"
    with pytest.raises(SetupError, match="no such file"):
        Ledger(url, create=False)
    assert not (tmp_path / "deep").exists()
    Ledger(url).close()
    Ledger(url, create=False).close()


def test_a_database_without_our_tables_gets_them_only_when_asked(ledger_url: str) -> None:
    engine = sa.create_engine(ledger_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE others (a INTEGER)")
    with pytest.raises(NoLedger, match="without the tables of a ledger") as caught:
        Ledger(ledger_url, create=False)
    assert "mangaops release bootstrap" in caught.value.next_step
    assert sa.inspect(engine).get_table_names() == ["others"]
    Ledger(ledger_url).close()
    Ledger(ledger_url, create=False).close()


def test_a_ledger_that_lost_tables_is_not_taken_for_none(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    with sa.create_engine(f"sqlite:///{tmp_path}/ledger.db").begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    with pytest.raises(MangaopsError) as caught:
        Ledger(f"sqlite:///{tmp_path}/ledger.db", create=False)
    assert not isinstance(caught.value, NoLedger)


@pytest.mark.parametrize(
    "content", [b"this is a text file, and no database at all. " * 50, b"\x00\xff" * 5000]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="no ledger, or a damaged one"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="a folder is where a file should be") as caught:
        Ledger(f"sqlite:///{tmp_path}")
    assert caught.value.accepted


def test_a_truncated_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        for number in range(40):
            ledger.append([h.model(number, config={"x": "y" * 4000})], expect={}, at=h.AT)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(IntegrityError, match="damaged"), Ledger(f"sqlite:///{path}") as ledger:
        ledger.read("router")


def test_a_ledger_of_a_newer_mangaops_is_refused(ledger_url: str) -> None:
    Ledger(ledger_url).close()
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(SetupError, match="a newer version of mangaops made it"):
        Ledger(ledger_url)


def test_a_ledger_whose_tables_are_gone_is_refused(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger:
        engine = sa.create_engine(ledger_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE events")
        engine.dispose()
        with pytest.raises(IntegrityError, match="no ledger, or a damaged one"):
            ledger.read("router")


def test_the_migrations_make_the_tables_that_the_code_uses(ledger_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from mangaops.store.tables import METADATA

    Ledger(ledger_url).close()
    engine = sa.create_engine(ledger_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


NFS = """/dev/vda / ext4 rw 0 0
server:/data /mnt/shared\\040disk nfs4 rw 0 0
tmpfs /mnt/shared\\040disk/t tmpfs rw 0 0
"""


def test_a_network_folder_is_known_by_its_mount() -> None:
    assert network_filesystem(Path("/mnt/shared disk/ledger.db"), NFS) == "nfs4"
    assert network_filesystem(Path("/mnt/shared disk/t/ledger.db"), NFS) is None
    assert network_filesystem(Path("/home/ledger.db"), NFS) is None
    assert network_filesystem(Path("/home/ledger.db"), "") is None


needs_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
MOUNTED = 'mount -t tmpfs -o size=1m none "$0" && "$1" -c "$2" "$0" prepare {then} && "$1" -c "$2" "$0" act'


def in_small_disk(folder: Path, body: str, *, read_only: bool = False) -> str:
    """What the body prints, run where FOLDER is a disk of 1 MB that no other process sees."""
    mount = MOUNTED.format(then='&& mount -o remount,ro "$0"' if read_only else "")
    words = ["unshare", "--mount", "sh", "-c", mount, str(folder), sys.executable, body]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("a small disk needs the right to mount one")
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL_LEDGER = """
import sys
sys.path.insert(0, {tests!r})
import histories as h
from mangaops.errors import SetupError
from mangaops.store import Ledger
if sys.argv[2] == "act":
    with Ledger("sqlite:///" + sys.argv[1] + "/ledger.db") as ledger:
        told = 0
        try:
            for number in range(1000):
                big = h.model(number, config={{"x": "y" * 20000}})
                ledger.append([big], expect={{"router": told}}, at=h.AT)
                told += 1
        except SetupError as error:
            print(error)
        print("kept", told == len(ledger.read("router")) > 3, ledger.verify().ok)
"""
FULL_FILES = """
import sys, pathlib
from mangaops.errors import SetupError
from mangaops.store import Documents
store = Documents(sys.argv[1])
if sys.argv[2] == "act":
    kept = []
    try:
        for number in range(1000):
            kept.append(store.put(bytes([number % 256]) * 90_000 + str(number).encode(), ".bin"))
    except SetupError as error:
        print(error)
    print("kept", len(kept) > 3, sorted(store._bundles.digests()) == sorted(kept), all(map(store.get, kept)))
    print("left", list(pathlib.Path(sys.argv[1]).glob(".writing/*")))
"""
READ_ONLY = """
import sys
sys.path.insert(0, {tests!r})
import histories as h
from mangaops.errors import SetupError
from mangaops.store import Documents, Ledger
url = "sqlite:///" + sys.argv[1] + "/ledger.db"
if sys.argv[2] == "prepare":
    Ledger(url).close()
else:
    for attempt in (
        lambda: Ledger(url).append([h.requested(1)], expect={{}}, at=h.AT),
        lambda: Documents(sys.argv[1] + "/docs").put(b"x", ".txt"),
    ):
        try:
            attempt()
        except SetupError as error:
            print(error)
"""
TESTS = str(Path(__file__).parent.parent)


def test_a_full_disk_is_one_plain_error_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    said = in_small_disk(tmp_path, FULL_LEDGER.format(tests=TESTS))
    assert "the disk is full" in said
    assert "free some space" in said
    assert "kept True True" in said


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    said = in_small_disk(tmp_path, FULL_FILES)
    assert "the disk is full" in said
    assert "kept True True True" in said
    assert "left []" in said


def test_a_read_only_disk_is_one_plain_error(tmp_path: Path) -> None:
    said = in_small_disk(tmp_path, READ_ONLY.format(tests=TESTS), read_only=True)
    assert "the ledger sqlite" in said
    assert "its folder exists and is writable" in said
    assert "writing to" in said
    assert "read-only" in said


@needs_user
def test_a_folder_that_is_not_ours_is_one_plain_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="writable"):
        Documents(tmp_path).put(b"x", ".txt")
    with pytest.raises(SetupError):
        Ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_file_where_the_store_should_be_is_one_plain_error(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(SetupError, match="a file is where a folder should be"):
        Documents(tmp_path / "store").put(b"x", ".txt")


def test_no_permission_is_told_with_whose_the_folder_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(SetupError) as caught, file_errors("writing was refused"):
        raise PermissionError(13, "Permission denied", str(tmp_path / "home" / "ledger.db"))
    user = os.geteuid()
    assert caught.value.found == (
        f"this user has no permission: {tmp_path} is drwxr-x--- of user {user}, and this is user {user}"
    )
    assert "this user may read and write" in caught.value.accepted
    assert "owner" in caught.value.next_step


@pytest.mark.parametrize("below", ["", "home", "home/gateway"])
def test_the_file_is_named_that_stands_in_the_place_of_a_folder(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError) as caught, file_errors("it was refused"):
        (tmp_path / "file" / below).mkdir(parents=True, exist_ok=True)
    assert caught.value.found == f"a file is where a folder should be: {tmp_path}/file"
    assert caught.value.accepted
    assert caught.value.next_step
    with file_errors("it was refused"):
        (tmp_path / "folder" / below).mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("touch", "found"),
    [
        (lambda path: path.read_bytes(), "there is no such file or folder"),
        (lambda path: path.parent.write_bytes(b""), "a folder is where a file should be"),
    ],
)
def test_a_path_that_is_otherwise_says_what_would_be_accepted(touch, found: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=found) as caught, file_errors("it was refused"):
        touch(tmp_path / "none")
    assert caught.value.accepted
    assert caught.value.next_step


@pytest.mark.parametrize("root", ["nosuchscheme://bucket/x", "s3://bucket/x"])
def test_a_place_that_no_installed_backend_reaches_is_one_plain_error(root: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"cannot be used|was refused") as caught:
        Documents(root, cache=tmp_path).put(b"x", ".txt")
    assert caught.value.next_step


def test_credentials_in_an_object_url_are_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        Artifacts(f"nosuchscheme://{SECRET}:{SECRET}@bucket/x?sig={SECRET}", cache=tmp_path)
    assert SECRET not in str(caught.value)
    assert "the store nosuchscheme://bucket/x cannot be used" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("database or disk is full", SetupError, "free some space"),
        ("could not extend file: No space left on device", SetupError, "free some space"),
        ("attempt to write a readonly database", SetupError, "read-only"),
        ("cannot execute INSERT in a read-only transaction", SetupError, "primary server"),
        ("permission denied for table events", SetupError, "grant"),
        ("unable to open database file", SetupError, "folder exists"),
        ("database is locked", SetupError, "another process"),
        ("disk I/O error", SetupError, "network folders"),
        ("file is not a database", IntegrityError, "damaged"),
        ("database disk image is malformed", IntegrityError, "damaged"),
        ("no such table: events", IntegrityError, "damaged"),
        ('relation "events" does not exist', IntegrityError, "damaged"),
        ('FATAL: database "x" does not exist', SetupError, "create the database"),
        ('FATAL: password authentication failed for user "me"', SetupError, "MANGAOPS_LEDGER"),
        ("connection refused", SetupError, "server runs"),
    ],
)
def test_what_a_database_says_becomes_what_to_do(said: str, kind: type[MangaopsError], words: str) -> None:
    with pytest.raises(kind, match=words), sql_errors("sqlite:///x"):
        raise exc.OperationalError("SELECT", {}, Exception(said))


def test_errors_of_ours_pass_unchanged_and_others_are_translated() -> None:
    with pytest.raises(UsageError, match="mine"), sql_errors("x"), file_errors("y"), object_errors("z"):
        raise UsageError("mine")
    with pytest.raises(SetupError, match="ValueError") as caught, object_errors("z"):
        raise ValueError("odd")
    assert caught.value.next_step
    with pytest.raises(SetupError, match="quota"), file_errors("y"):
        raise OSError(122, "Disk quota exceeded")
    with sql_errors("x"), file_errors("y"), object_errors("z"):
        pass


class Forbidden(OSError):
    """Like those of aiohttp, whose words hold the address."""

    status = 403


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (Forbidden(f"https://host/x?sig={SECRET}"), "Forbidden, HTTP 403"),
        (FileNotFoundError(2, "no such key", f"https://host/x?sig={SECRET}"), "FileNotFoundError"),
        (ValueError(f"https://{SECRET}@host"), "ValueError"),
        (OSError(28, f"No space left on device: {SECRET}"), "the disk is full"),
    ],
)
def test_the_words_of_an_object_store_are_not_shown(error: Exception, found: str) -> None:
    with pytest.raises(SetupError) as caught, object_errors("reading was refused"):
        raise error
    assert caught.value.found == found
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_lease_on_a_wreck_is_one_plain_error(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE leases")
        with pytest.raises(IntegrityError), Leases(ledger).hold("router", "me"):
            pass
