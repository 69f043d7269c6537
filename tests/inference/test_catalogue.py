"""catalogue.json: what a release seals of its items, and of the log that they were taken from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mangaops.inference.catalogue import CATALOGUE, Catalogue, read_catalogue

ITEMS = {"a": {"title": "a title", "price": None}}


@pytest.mark.parametrize("held", [None, "sha256:7"])
def test_a_catalogue_is_read_as_it_was_written(tmp_path: Path, held: str | None) -> None:
    Catalogue("shop", "sha256:1", 7, ITEMS, held).write(tmp_path)
    read = read_catalogue(tmp_path)
    assert (read.name, read.digest, read.generation, read.hash) == ("shop", "sha256:1", 7, held)
    assert read.items == ITEMS


def test_a_catalogue_of_before_hashes_has_none(tmp_path: Path) -> None:
    Catalogue("shop", "sha256:1", 7, ITEMS, "sha256:7").write(tmp_path)
    said = json.loads((tmp_path / CATALOGUE).read_text(encoding="utf-8"))
    del said["hash"]
    (tmp_path / CATALOGUE).write_text(json.dumps(said), encoding="utf-8")
    assert (read_catalogue(tmp_path).generation, read_catalogue(tmp_path).hash) == (7, None)
