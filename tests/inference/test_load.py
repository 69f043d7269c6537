"""A predictor exists only for what was sealed, is listed, and answers here as it did when sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mangaops.errors import ArtifactTampered, FingerprintMismatch, Untracked
from mangaops.inference import fingerprint, load, probe
from mangaops.inference.predictor import assemble
from mangaops.inference.preprocessing import PREPROCESSING, TOKENIZER
from mangaops.inference.probes import PROBES_FILE
from mangaops.inference.session import MODEL
from mangaops.registry.permit import Permit
from mangaops.training import Trained
from tiny import LABELS, tiny_base


def _edit(path: Path, **changes: object) -> None:
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, **changes}))


def test_a_sealed_and_listed_artifact_loads_and_says_who_it_is(trained: Trained, permit: Permit) -> None:
    predictor = load(trained.folder, permit)
    assert predictor.name == "intent-classifier@v1"
    assert predictor.labels == LABELS
    assert predictor.answer("where is my parcel").label == "order_tracking"


def test_one_changed_byte_is_refused(copy: Path, permit: Permit) -> None:
    body = bytearray((copy / MODEL).read_bytes())
    body[len(body) // 2] ^= 1
    (copy / MODEL).write_bytes(bytes(body))
    with pytest.raises(ArtifactTampered, match=r"model\.onnx is changed"):
        load(copy, permit)


def test_an_artifact_that_the_ledger_does_not_list_is_untracked(copy: Path, permit: Permit, resealed) -> None:
    _edit(copy / "labels.json", temperature=1.5)
    assert resealed(copy).artifact != permit.artifact
    with pytest.raises(Untracked, match="lists no such artifact"):
        load(copy, permit)


def test_another_tokenizer_is_refused(copy: Path, resealed, tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", ("order_tracking", "promotion", "escalation", "faq"))
    (copy / TOKENIZER).write_bytes((other / TOKENIZER).read_bytes())
    told = probe(copy)
    assert (told.expected == told.found, told.gap, told.holds) == (False, float("inf"), False)
    with pytest.raises(FingerprintMismatch, match="read texts as it did in training"):
        load(copy, resealed(copy))


def test_probes_of_another_reading_are_refused(copy: Path, resealed) -> None:
    _edit(copy / PROBES_FILE, fingerprint="sha256:" + "0" * 64)
    with pytest.raises(FingerprintMismatch, match="sealed for another reading"):
        load(copy, resealed(copy))


def test_other_preprocessing_is_refused(copy: Path, resealed) -> None:
    _edit(copy / PREPROCESSING, max_tokens=16)
    with pytest.raises(FingerprintMismatch):
        load(copy, resealed(copy))


def test_labels_in_another_order_are_refused(copy: Path, resealed) -> None:
    _edit(copy / "labels.json", labels=list(reversed(LABELS)))
    with pytest.raises(FingerprintMismatch):
        load(copy, resealed(copy))


def test_an_artifact_that_answers_otherwise_than_when_sealed_is_refused(copy: Path, resealed) -> None:
    body = json.loads((copy / PROBES_FILE).read_text())
    first = body["answers"][0]
    body["answers"][0] = [first[-1], *first[:-1]]
    (copy / PROBES_FILE).write_text(json.dumps(body))
    assert not probe(copy).holds
    with pytest.raises(FingerprintMismatch, match="on this host"):
        load(copy, resealed(copy))


def test_probes_within_the_sealed_tolerance_are_let_through(copy: Path, resealed) -> None:
    body = json.loads((copy / PROBES_FILE).read_text())
    body["answers"][0] = [share + 0.5 * body["tolerance"] for share in body["answers"][0]]
    (copy / PROBES_FILE).write_text(json.dumps(body))
    assert load(copy, resealed(copy)).answer("coupon code").label == "promotion"


@pytest.mark.parametrize("file", [MODEL, TOKENIZER, PREPROCESSING, "labels.json", PROBES_FILE])
@pytest.mark.parametrize("junk", [b"", b"\x00\xff junk", b"[1, 2]"])
def test_junk_in_any_file_is_one_error_that_names_the_file(
    copy: Path, resealed, file: str, junk: bytes
) -> None:
    (copy / file).write_bytes(junk)
    with pytest.raises(ArtifactTampered) as caught:
        load(copy, resealed(copy))
    assert file in caught.value.refused


def test_a_graph_with_other_columns_than_labels_is_refused(copy: Path) -> None:
    _edit(copy / "labels.json", labels=[*LABELS, "faq"])
    with pytest.raises(ArtifactTampered, match="3 columns for 4 labels"):
        assemble(copy, "intent-classifier@v1")


def test_a_missing_folder_is_one_error(tmp_path: Path, permit: Permit) -> None:
    with pytest.raises(ArtifactTampered, match=r"MANIFEST\.json is missing"):
        load(tmp_path / "nowhere", permit)


def test_the_fingerprint_is_that_of_reading_and_not_of_weights(trained: Trained, copy: Path) -> None:
    (copy / MODEL).write_bytes(b"other weights")
    _edit(copy / "labels.json", temperature=3.0, clarify_below=0.9)
    assert fingerprint(copy) == trained.fingerprint
