"""One contract over local folders and an object store (memory://), for every kind of file store."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest

import histories as h
from mangaops.errors import ArtifactTampered, IntegrityError, SetupError, UsageError
from mangaops.evidence import Binding, Evidence
from mangaops.evidence.envelope import table_digest
from mangaops.inference import manifest
from mangaops.pipeline.files import whole
from mangaops.store import Artifacts, Documents, EvidenceStore, Snapshots
from mangaops.store.bundles import LocalBundles, keep_copy, make_folder
from mangaops.store.remote import RemoteBundles, open_bundles
from mangaops.vocabulary import EvidenceKind


@dataclass
class Place:
    """A root, and ways to look at and to touch what lies under it."""

    root: str
    cache: Path
    files: Any
    base: str

    def names(self) -> list[str]:
        return sorted(str(p).removeprefix(self.base).lstrip("/") for p in self.files.find(self.base))

    def change(self, ending: str, how: Callable[[bytes], bytes]) -> None:
        (path,) = [p for p in self.files.find(self.base) if str(p).endswith(ending)]
        self.files.pipe_file(path, how(self.files.cat_file(path)))

    def open(self, kind: type[Any]) -> Any:
        return kind(self.root, cache=self.cache)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    root = {"local": str(tmp_path / "store"), "memory": f"memory://{uuid.uuid4().hex}/store"}[request.param]
    files, base = fsspec.url_to_fs(root)
    return Place(root, tmp_path / "cache", files, base)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sealed"
    (made / "parts").mkdir(parents=True)
    (made / "model.onnx").write_bytes(bytes(range(256)) * 100)
    (made / "parts" / "labels.json").write_text('["faq"]')
    manifest.seal(made)
    return made


def evidence() -> Evidence:
    at = datetime(2026, 4, 20, 3, tzinfo=UTC)
    rows = {
        "text": ["新刊 ☃", 'a"b', None],
        "ms": [0.1, 1e-300, None],
        "ok": [True, None, False],
        "at": [at] * 3,
    }
    binding = Binding("router", h.digest("r"), h.digest("b"), h.digest("d"))
    facts = {"host": {"cores": 2}, "warm_up": 3, "share": 0.1, "none": None, "words": ["日本"]}
    tables = {"samples": pl.DataFrame(rows), "empty": pl.DataFrame(schema={"a": pl.Int64})}
    return Evidence(EvidenceKind.LATENCY, binding, facts, tables)


ROWS = pl.DataFrame(
    {"row_id": ["a", "b"], "text": ["one", "二"], "weight": [1.0, 0.5], "golden": [True, False]}
)


def test_an_artifact_comes_back_file_for_file_under_the_digest_of_its_seal(
    place: Place, folder: Path
) -> None:
    store = place.open(Artifacts)
    digest = store.put(folder)
    assert digest == manifest.verify(folder)
    assert store.put(folder) == digest
    opened = place.open(Artifacts).open(digest)
    assert manifest.verify(opened) == digest
    assert (opened / "parts" / "labels.json").read_text() == '["faq"]'
    assert store.has(digest)
    assert store.digests() == [digest]


def test_an_unsealed_or_spoiled_folder_is_not_stored(place: Place, folder: Path, tmp_path: Path) -> None:
    store = place.open(Artifacts)
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ArtifactTampered, match=r"model\.onnx missing, extra or changed"):
        store.put(folder)
    (folder / "MANIFEST.json").write_text("{")
    with pytest.raises(ArtifactTampered, match="cannot be read"):
        store.put(folder)
    (folder / "MANIFEST.json").unlink()
    with pytest.raises(ArtifactTampered, match="never sealed"):
        store.put(folder)
    with pytest.raises(ArtifactTampered, match="no such folder"):
        store.put(tmp_path / "nowhere")
    assert place.names() == []


def test_a_link_in_a_sealed_folder_is_refused(place: Place, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(IntegrityError, match="not a plain file"):
        place.open(Artifacts).put(folder)


def test_an_artifact_that_was_changed_in_its_store_is_not_opened(place: Place, folder: Path) -> None:
    digest = place.open(Artifacts).put(folder)
    place.change("model.onnx", lambda old: b"x" + old[1:])
    with pytest.raises(ArtifactTampered):
        place.open(Artifacts).open(digest)


def test_a_forgotten_artifact_is_not_there_and_can_be_stored_again(place: Place, folder: Path) -> None:
    store = place.open(Artifacts)
    digest = store.put(folder)
    store.open(digest)
    store.forget(digest)
    assert not store.has(digest)
    with pytest.raises(IntegrityError):
        store.open(digest)
    store.forget(digest)
    assert store.put(folder) == digest
    assert (store.open(digest) / "model.onnx").is_file()
    assert not [name for name in place.names() if ".writing/" in name]


def test_an_artifact_that_was_swapped_for_another_sealed_one_is_not_opened(
    place: Place, folder: Path
) -> None:
    store = place.open(Artifacts)
    first = store.put(folder)
    other = {p: place.files.cat_file(p) for p in place.files.find(place.base)}
    for path in other:
        place.files.rm_file(path)
    (folder / "model.onnx").write_bytes(b"the other")
    second = manifest.seal(folder)
    assert store.put(folder) == second
    for path in place.files.find(place.base):
        moved = str(path).replace(second[7:], first[7:]).replace(f"/{second[7:9]}/", f"/{first[7:9]}/")
        place.files.makedirs(moved.rpartition("/")[0], exist_ok=True)
        place.files.pipe_file(moved, place.files.cat_file(path))
    with pytest.raises(ArtifactTampered):
        place.open(Artifacts).open(first)


def test_evidence_comes_back_with_its_very_digest(place: Place) -> None:
    told = evidence()
    digest = place.open(EvidenceStore).put(told)
    assert digest == told.digest == place.open(EvidenceStore).put(evidence())
    back = place.open(EvidenceStore).get(digest)
    assert back.digest == digest
    assert back.facts == told.facts
    assert back.tables["samples"].equals(told.tables["samples"])
    assert back.tables["empty"].schema == {"a": pl.Int64}


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        ("evidence.json", lambda old: old.replace(b'"warm_up": 3', b'"warm_up": 4')),
        ("evidence.json", lambda old: old[: len(old) // 2]),
        ("samples.parquet", lambda old: old[:-20]),
        ("samples.parquet", lambda old: b"junk"),
    ],
)
def test_evidence_that_was_edited_is_named(place: Place, ending: str, how: Callable[[bytes], bytes]) -> None:
    digest = place.open(EvidenceStore).put(evidence())
    place.change(ending, how)
    with pytest.raises(IntegrityError, match=digest):
        place.open(EvidenceStore).get(digest)


def test_equal_evidence_in_other_bytes_stands_and_edited_evidence_is_not_covered_up(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    digest = store.put(evidence())
    (table,) = tmp_path.glob("*/*/samples.parquet")
    first = table.read_bytes()
    evidence().tables["samples"].write_parquet(table, compression="uncompressed")  # as another version would
    assert table.read_bytes() != first
    assert store.put(evidence()) == digest
    table.write_bytes(b"junk")
    with pytest.raises(IntegrityError, match=digest):
        store.put(evidence())


def test_evidence_whose_facts_do_not_survive_is_refused_when_it_is_put(place: Place) -> None:
    told = Evidence(EvidenceKind.RECORD, evidence().binding, {"parts": {9: "a", 10: "b"}}, {})
    with pytest.raises(IntegrityError, match="reads back differently"):
        place.open(EvidenceStore).put(told)
    assert place.names() == []


def test_a_snapshot_is_known_by_its_rows(place: Place) -> None:
    store = place.open(Snapshots)
    digest = store.put({"name": "intent-data-2026-04-20", "source": "ä"}, ROWS)
    assert digest == table_digest(ROWS)
    assert store.put({"name": "another"}, ROWS) == digest
    manifest_, rows = place.open(Snapshots).get(digest)
    assert manifest_ == {"name": "intent-data-2026-04-20", "source": "ä"}
    assert rows.equals(ROWS)
    assert rows.schema == ROWS.schema


def test_a_snapshot_that_was_edited_is_refused(place: Place) -> None:
    digest = place.open(Snapshots).put({"name": "n"}, ROWS)
    place.change("manifest.json", lambda old: old.replace(b'"n"', b'"m"'))
    with pytest.raises(IntegrityError):
        place.open(Snapshots).get(digest)


def test_rows_of_a_snapshot_that_were_edited_are_refused(tmp_path: Path) -> None:
    store = Snapshots(tmp_path)
    digest = store.put({"name": "n"}, ROWS)
    (path,) = tmp_path.rglob("rows.parquet")
    ROWS.with_columns(text=pl.lit("x")).write_parquet(path)
    with pytest.raises(IntegrityError, match="rows in"):
        store.get(digest)


def test_documents_come_back_byte_for_byte(place: Place) -> None:
    store = place.open(Documents)
    digest = store.put(b"\x00<html>", ".html")
    assert store.put(b"\x00<html>", ".html") == digest
    assert place.open(Documents).get(digest) == b"\x00<html>"
    assert place.open(Documents).path(digest).suffix == ".html"
    place.change("document.html", lambda old: b"edited")
    store = Documents(place.root, cache=place.cache.with_name("fresh"))
    with pytest.raises(IntegrityError):
        store.get(digest)


@pytest.mark.parametrize("suffix", ["html", "", "../x", ".a/b", ".HTML"])
def test_a_suffix_that_is_none_is_refused(place: Place, suffix: str) -> None:
    with pytest.raises(UsageError):
        place.open(Documents).put(b"x", suffix)


@pytest.mark.parametrize("kind", [Artifacts, EvidenceStore, Snapshots, Documents])
def test_what_was_never_stored_is_not_there(place: Place, kind: type[Any]) -> None:
    store, ask = place.open(kind), "open" if kind is Artifacts else "get"
    with pytest.raises(IntegrityError, match="does not hold it"):
        getattr(store, ask)(h.digest("nothing"))
    with pytest.raises(IntegrityError, match="is no digest"):
        getattr(store, ask)("../../etc/passwd")


def test_a_bundle_without_its_marker_is_not_there_and_is_swept(tmp_path: Path) -> None:
    root = f"memory://{uuid.uuid4().hex}"
    digest = Documents(root, cache=tmp_path / "one").put(b"whole", ".txt")
    files, base = fsspec.url_to_fs(root)
    torn = h.digest("torn")
    files.pipe_file(f"{base}/{torn[7:9]}/{torn[7:]}/document.txt", b"ha")
    store = Documents(root, cache=tmp_path / "two")
    with pytest.raises(IntegrityError, match="does not hold it"):
        store.get(torn)
    bundles = open_bundles(root, tmp_path / "two")
    assert isinstance(bundles, RemoteBundles)
    assert bundles.digests() == [digest]
    assert bundles.sweep() == 0
    assert bundles.sweep(older_than=0) == 1
    assert store.get(digest) == b"whole"


def test_what_was_read_once_from_afar_is_read_from_the_cache(tmp_path: Path, folder: Path) -> None:
    root = f"memory://{uuid.uuid4().hex}"
    digest = Artifacts(root, cache=tmp_path / "cache").put(folder)
    Artifacts(root, cache=tmp_path / "cache").open(digest)
    files, base = fsspec.url_to_fs(root)
    files.rm(base, recursive=True)
    assert manifest.verify(Artifacts(root, cache=tmp_path / "cache").open(digest)) == digest
    with pytest.raises(IntegrityError, match="does not hold it"):
        Artifacts(root, cache=tmp_path / "fresh").open(digest)


def test_a_bundle_of_other_files_under_the_same_digest_is_not_overwritten(
    tmp_path: Path, folder: Path
) -> None:
    store = Artifacts(tmp_path / "store")
    digest = store.put(folder)
    (store.open(digest) / "model.onnx").write_bytes(b"changed by hand")
    with pytest.raises(IntegrityError, match="other files lie under that digest") as caught:
        store.put(folder)
    assert "move" in caught.value.next_step


def test_a_local_store_sweeps_what_dead_writers_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    bundles = LocalBundles(tmp_path)
    with bundles.staging() as mine:
        dead = mine.with_name(mine.name.replace(f".{mine.name.split('.')[-3]}.", ".4194303."))
        dead.mkdir()
        with bundles.staging():
            assert mine.exists()
            assert not dead.exists()
    assert list(tmp_path.glob(".writing/*")) == []
    assert bundles.digests() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_file_that_its_disk_has_no_room_for_is_named(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert whole(target, "before").read_text() == "before"
    Path(f"{target}.half").symlink_to("/dev/full")
    with pytest.raises(SetupError) as caught:
        whole(target, "after")
    assert str(target) in caught.value.refused
    assert caught.value.found == "the disk is full"
    assert target.read_text() == "before"


def test_a_url_of_a_folder_is_that_folder(tmp_path: Path) -> None:
    digest = Documents(f"file://{tmp_path}/docs").put(b"x", ".txt")
    assert Documents(tmp_path / "docs").get(digest) == b"x"


def test_a_new_folder_has_each_name_of_its_path_on_disk_from_the_top_down(tmp_path: Path) -> None:
    synced: list[tuple[Path, bool]] = []

    def sync(folder: Path) -> None:
        synced.append((folder, (tmp_path / "home" / "gateway" / "shop").is_dir()))

    make_folder(tmp_path / "home" / "gateway" / "shop", sync)
    wanted = [tmp_path, tmp_path / "home", tmp_path / "home" / "gateway"]
    assert synced == [(folder, True) for folder in wanted]


def test_a_folder_that_is_there_costs_no_sync_and_a_new_one_in_it_costs_one(tmp_path: Path) -> None:
    synced: list[Path] = []
    make_folder(tmp_path, synced.append)
    assert synced == []
    make_folder(tmp_path / "new", synced.append)
    assert synced == [tmp_path]


def test_a_copy_is_whole_and_on_disk_before_it_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    seen: list[tuple[str, list[str]]] = []

    def sync(path: Path) -> None:
        seen.append((path.name, sorted(each.name for each in (tmp_path / "kept").iterdir())))

    for _ in range(2):
        keep_copy(tmp_path / "file", tmp_path / "kept", sync)
        assert (tmp_path / "kept" / "file").read_bytes() == b"content"
    assert seen[-4:] == [
        ("file.half", ["file.half"]),
        ("kept", ["file"]),
        ("file.half", ["file", "file.half"]),
        ("kept", ["file"]),
    ]
