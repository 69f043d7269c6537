"""A catalogue is embedded once: a killed run goes on, and only changed texts are embedded anew."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mangaops.errors import VectorsMismatch
from mangaops.inference.manifest import verify
from mangaops.inference.vectors import Matrix, Vectors, read_vectors
from mangaops.pipeline.embedding_run import embed_catalogue
from mangaops.store import EmbeddedChunks

ADAPTER, OTHER, CATALOGUE = ("sha256:" + letter * 64 for letter in "abc")
ITEMS = [(f"item-{number}", f"manga number {number}") for number in range(230)]


def embedded(texts: list[str]) -> Matrix:
    """A unit vector of each text: noise from its digest."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    rows = np.stack([np.random.default_rng(seed).standard_normal(24) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Counting:
    """Embeds, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Matrix:
        self.asked.append(texts)
        return embedded(texts)


def run(root: Path, items=ITEMS, embed=embedded, embedder: str = ADAPTER, progress=None) -> Vectors:
    return embed_catalogue(
        items,
        embed,
        embedder=embedder,
        catalogue=CATALOGUE,
        chunks=EmbeddedChunks(root),
        together=20,
        progress=progress,
    )


def test_every_item_gets_the_vector_of_its_text_with_progress(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = run(tmp_path, progress=lambda *words: told.append(words))
    assert made.ids == tuple(item for item, _ in ITEMS)
    assert (made.embedder, made.catalogue) == (ADAPTER, CATALOGUE)
    assert np.array_equal(made.rows, embedded([text for _, text in ITEMS]))
    assert [done for _, done, _ in told] == [*range(20, 221, 20), 230]
    assert {(what, total) for what, _, total in told} == {("embedding the catalogue", 230)}


def test_a_second_run_embeds_nothing_and_another_adapter_everything(tmp_path: Path) -> None:
    first = run(tmp_path)
    again, other = Counting(), Counting()
    assert np.array_equal(run(tmp_path, embed=again).rows, first.rows)
    run(tmp_path, embed=other, embedder=OTHER)
    assert (len(again.asked), len(other.asked)) == (0, 12)


def test_only_chunks_with_changed_texts_are_embedded_anew(tmp_path: Path) -> None:
    run(tmp_path)
    items = list(ITEMS)
    items[45] = ("item-45", "a new edition")
    items[229] = ("item-229", "another one")
    items[100] = ("renamed", items[100][1])
    counting = Counting()
    made = run(tmp_path, items, counting)
    assert [len(texts) for texts in counting.asked] == [20, 10]
    assert ["a new edition" in texts for texts in counting.asked] == [True, False]
    assert np.array_equal(made.rows, embedded([text for _, text in items]))


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_embedding_run as t
def telling(texts):
    print("embedding", flush=True)
    return t.embedded(texts)
folder = Path(sys.argv[3])
folder.mkdir()
t.run(Path(sys.argv[2]), embed=telling).save(folder)
"""


def start(root: Path, saved: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(Path(__file__).parent), str(root), str(saved)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def chunks_of(root: Path) -> int:
    return len(list(root.glob("[0-9a-f][0-9a-f]/*")))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_was_killed_goes_on_and_ends_with_equal_bytes(tmp_path: Path, seed: int) -> None:
    rng, kept = random.Random(seed), 0
    for number in range(2):
        with start(tmp_path / "chunks", tmp_path / f"killed-{number}") as killed:
            assert killed.stdout is not None
            for _ in range(rng.randrange(1, 5)):
                assert killed.stdout.readline() == "embedding\n"
            killed.send_signal(signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        assert kept <= chunks_of(tmp_path / "chunks") < 12
        kept = chunks_of(tmp_path / "chunks")
    with start(tmp_path / "chunks", tmp_path / "resumed") as resumed:
        assert resumed.stdout is not None
        asked = len(resumed.stdout.readlines())
    assert (resumed.returncode, asked) == (0, 12 - kept)
    (tmp_path / "whole").mkdir()
    digest = run(tmp_path / "elsewhere").save(tmp_path / "whole")
    assert verify(tmp_path / "resumed") == digest
    assert np.array_equal(read_vectors(tmp_path / "resumed").rows, read_vectors(tmp_path / "whole").rows)
    assert list((tmp_path / "chunks").glob(".writing/*")) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda texts: embedded(texts) * np.float32(2),
        lambda texts: embedded(texts)[:-1],
        lambda texts: embedded(texts).astype(np.float64),
        lambda texts: np.full((len(texts), 24), np.nan, np.float32),
    ],
)
def test_what_a_broken_adapter_gives_is_refused_at_the_first_chunk_and_not_kept(
    tmp_path: Path, broken
) -> None:
    with pytest.raises(VectorsMismatch):
        run(tmp_path, embed=broken)
    assert chunks_of(tmp_path) == 0


def test_vectors_of_two_dimensions_and_no_items_are_refused(tmp_path: Path) -> None:
    def changing(texts: list[str]) -> Matrix:
        wide = np.zeros((len(texts), 25), np.float32)
        wide[:, 0] = 1
        return wide if "manga number 20" in texts else embedded(texts)

    with pytest.raises(VectorsMismatch, match="dimension 25"):
        run(tmp_path, embed=changing)
    with pytest.raises(VectorsMismatch, match="no items"):
        run(tmp_path, items=[])
