"""A sealed folder verifies wherever it lies, and any change to it is found and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mangaops.errors import ArtifactTampered
from mangaops.inference.manifest import MANIFEST, seal, verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "artifact"
    (made / "inner").mkdir(parents=True)
    (made / "model.onnx").write_bytes(b"weights")
    (made / "inner" / "labels.json").write_text("[]")
    return made


def test_what_was_sealed_verifies_to_the_same_digest(folder: Path) -> None:
    digest = seal(folder)
    assert verify(folder) == digest
    assert seal(folder) == digest


def test_equal_files_have_an_equal_digest_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    digest = seal(folder)
    folder.rename(tmp_path / "elsewhere")
    assert verify(tmp_path / "elsewhere") == digest


def _change(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"wEights")


def _add(folder: Path) -> None:
    (folder / "model2.onnx").write_bytes(b"weights")


def _remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _swap_name(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model.onnx.old")


def _link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "m")
    (folder / "model.onnx").symlink_to(folder.parent / "m")


def _pickle(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(b"cos\nsystem\n")


def _edit_manifest(folder: Path) -> None:
    body = json.loads((folder / MANIFEST).read_text())
    body["files"]["model.onnx"] = "sha256:" + "0" * 64
    (folder / MANIFEST).write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_change, "model.onnx is changed"),
        (_add, "model2.onnx is not in the manifest"),
        (_remove, "model.onnx is missing"),
        (_swap_name, "model.onnx is missing"),
        (_link, "model.onnx is not a plain file"),
        (_pickle, "weights.pkl may hold a pickle"),
        (_edit_manifest, "MANIFEST.json is changed"),
        (lambda folder: (folder / MANIFEST).unlink(), "MANIFEST.json is missing"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\x00{"), "MANIFEST.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "MANIFEST.json cannot be read"),
    ],
)
def test_every_kind_of_change_is_found_and_named(folder: Path, spoil, named: str) -> None:
    seal(folder)
    spoil(folder)
    with pytest.raises(ArtifactTampered) as caught:
        verify(folder)
    assert named in caught.value.found


def test_a_folder_with_a_pickle_or_nothing_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(ArtifactTampered, match="no files"):
        seal(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ArtifactTampered, match="pickle"):
        seal(tmp_path)


def test_a_seal_that_was_cut_short_is_sealed_over(folder: Path) -> None:
    digest = seal(folder)
    (folder / f"{MANIFEST}.tmp").write_text("{")
    assert seal(folder) == digest
    assert verify(folder) == digest
