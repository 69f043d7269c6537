"""The index is exact up to so many items, nearly so above, and serves only vectors of its own adapter."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_world import ADAPTER, CATALOGUE, OTHER, clustered, near, unit, vectors

from mangaops.errors import ArtifactTampered, SetupError, UsageError, VectorsMismatch
from mangaops.inference.foreign import imported
from mangaops.inference.index import INDEX, Allowed, Index, IndexParameters, build, open_index
from mangaops.inference.lists import LISTS
from mangaops.inference.manifest import seal
from mangaops.inference.nearest import NONE, nearest
from mangaops.inference.recall import recall, recall_of, sampled_recall
from mangaops.inference.vectors import HEAD, ROWS, Matrix

K = 50
LISTED = IndexParameters(exact_up_to=1000)
ITEMS = clustered(6000, 32)
ASKED = near(ITEMS, 100)


@pytest.fixture(scope="module")
def listed() -> Index:
    index = build(vectors(ITEMS), LISTED)
    assert index.lists is not None
    return index


def plainly(rows: Matrix, query: Matrix, k: int, allowed=None) -> tuple[list[int], list[float]]:
    """By score, then by position: one row at a time, and sorted whole."""
    scores = [float(np.float32(np.dot(row.astype(np.float64), query.astype(np.float64)))) for row in rows]
    order = sorted(range(len(rows)), key=lambda at: (-scores[at], at))
    kept = [at for at in order if allowed is None or allowed[at]][:k]
    return kept, [scores[at] for at in kept]


# ---- exact search


@given(seed=st.integers(0, 10**6), count=st.integers(1, 300), k=st.integers(1, 60), masked=st.booleans())
@settings(max_examples=60, deadline=None)
def test_exact_search_is_the_sorted_list_of_all_that_is_allowed(
    seed: int, count: int, k: int, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = clustered(count, 8, seed)[rng.integers(0, count, count)]  # many stand several times
    queries = near(rows, 5, seed)
    mask = rng.random(count) < rng.random() if masked else None
    found = nearest(rows, queries, k, mask)
    for at, query in enumerate(queries):
        positions, scores = plainly(rows, query, k, mask)
        filled = found.positions[at] != NONE
        assert found.positions[at][filled].tolist() == positions
        assert np.allclose(found.scores[at][filled], scores, rtol=0, atol=1e-7)
        assert (found.scores[at][~filled] == -np.inf).all()


def test_equal_items_are_ordered_by_position_however_many_there_are() -> None:
    rows = np.repeat(clustered(3, 24), 40_000, axis=0)
    for asked in (rows[:1], rows[[0, 40_000, 80_000]]):
        found = nearest(rows, asked, K)
        assert found.positions[0].tolist() == list(range(K))
        assert len(set(found.scores[0].tolist())) == 1


def test_a_query_is_answered_alike_alone_and_among_others(listed: Index) -> None:
    for index in (listed, listed.exact()):
        together = index.search(ASKED, K)
        for at in (0, 17, 99):
            alone = index.search(ASKED[at : at + 1], K)
            assert np.array_equal(alone.positions[0], together.positions[at])
            assert np.array_equal(alone.scores[0], together.scores[at])


def test_a_small_catalogue_is_searched_exactly_and_needs_no_lists(tmp_path: Path) -> None:
    index = build(vectors(ITEMS[:1000]), LISTED)
    assert index.lists is None
    index.save(tmp_path)
    assert not (tmp_path / LISTS).exists()
    opened = open_index(tmp_path, embedder=ADAPTER)
    assert np.array_equal(opened.search(ASKED, K).positions, index.search(ASKED, K).positions)
    assert build(vectors(ITEMS[:1000])).parameters.exact_up_to == 50_000


def test_fewer_items_than_asked_for_leave_places_empty() -> None:
    found = build(vectors(ITEMS[:3])).search(ASKED[:2], 5)
    assert (found.positions[:, 3:] == NONE).all()
    assert (found.positions[:, :3] != NONE).all()


@pytest.mark.parametrize(
    ("queries", "k"),
    [
        (ASKED[:, :16], 5),
        (ASKED[0], 5),
        (ASKED.astype(np.float64), 5),
        (ASKED, 0),
        (np.full_like(ASKED, np.nan), 5),
    ],
)
def test_a_question_that_fits_no_index_is_refused(listed: Index, queries, k: int) -> None:
    with pytest.raises(UsageError, match="a search was refused"):
        listed.search(queries, k)


# ---- the lists


def test_lists_find_what_exact_search_finds_with_the_same_scores(listed: Index) -> None:
    assert recall(listed, listed.exact(), ASKED, K).mean() > 0.98
    found, truth = listed.search(ASKED, K), listed.exact().search(ASKED, K)
    whole = (found.positions == truth.positions).all(axis=1)
    assert whole.sum() > 80
    assert np.array_equal(found.scores[whole], truth.scores[whole])


def test_equal_vectors_and_parameters_are_sealed_as_equal_files(listed: Index, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        digests.add(build(vectors(ITEMS), LISTED).save(tmp_path / name))
    assert len(digests) == 1


def test_progress_is_told_and_ends_at_the_number_of_items() -> None:
    told: list[tuple[str, int, int]] = []
    build(vectors(clustered(60_000, 4)), IndexParameters(lists=50), lambda *words: told.append(words))
    assert told == [("building the index", done, 60_000) for done in (0, 50_000, 60_000)]


def test_many_threads_get_the_answers_that_one_gets(listed: Index, tmp_path: Path) -> None:
    listed.save(tmp_path)
    opened = open_index(tmp_path, embedder=ADAPTER)
    alone = opened.search(ASKED, K).positions

    def ask(at: int) -> bool:
        return np.array_equal(opened.search(ASKED[at : at + 1], K).positions[0], alone[at])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, list(range(len(ASKED))) * 4))


def test_a_missing_library_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(SetupError, match="needs the package no_such_library") as caught:
        imported("no_such_library", "an index of so many items")
    assert "mangaops[serve]" in caught.value.next_step
    assert imported("json", "anything").loads("1") == 1


# ---- filters


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 1.0])
def test_recall_does_not_suffer_from_a_filter(listed: Index, share: float) -> None:
    mask = np.random.default_rng(3).random(len(ITEMS)) < share
    found = listed.search(ASKED, K, Allowed(mask))
    truth = listed.exact().search(ASKED, K, Allowed(mask))
    assert recall_of(found, truth).mean() > 0.98
    assert mask[found.positions[found.positions != NONE]].all()
    assert (found.positions != NONE).sum() == (truth.positions != NONE).sum()


def test_few_allowed_items_are_searched_exactly_and_many_in_lists() -> None:
    index = build(vectors(ITEMS), IndexParameters(exact_up_to=1000, lists=100, probe=5))
    assert index.lists is not None
    edge = len(ITEMS) * 5 // 100
    for count, exact in ((edge, True), (edge + 1, False)):
        allowed = Allowed(np.arange(len(ITEMS)) < count)
        assert index._few(index.lists, allowed) == exact
        found, truth = index.search(ASKED, K, allowed), index.exact().search(ASKED, K, allowed)
        assert np.array_equal(found.positions, truth.positions) or not exact
        assert recall_of(found, truth).mean() > 0.98


def test_a_filter_against_the_query_is_answered_in_full() -> None:
    """All that is allowed lies far from the query: in the lists that are near there is none of it."""
    index = build(vectors(ITEMS), IndexParameters(exact_up_to=1000, lists=100, probe=1, oversample=1))
    assert index.lists is not None
    allowed = Allowed(np.isin(np.arange(len(ITEMS)), np.argsort(ITEMS @ ASKED[0])[: len(ITEMS) // 2]))
    assert not index._few(index.lists, allowed)
    assert (index.lists.candidates(ASKED[:1], K, 2, allowed.bits) == NONE).any()
    found = index.search(ASKED[:1], K, allowed)
    assert np.array_equal(found.positions, index.exact().search(ASKED[:1], K, allowed).positions)


@pytest.mark.parametrize("mask", [np.ones(5999, bool), np.ones(6000, np.uint8), np.ones((6000, 1), bool)])
def test_a_filter_of_other_items_is_refused(listed: Index, mask) -> None:
    with pytest.raises(UsageError, match="a filter was refused"):
        listed.search(ASKED, K, Allowed(mask))


# ---- recall


def test_recall_is_one_for_itself_and_the_share_that_is_found_otherwise() -> None:
    index = build(vectors(ITEMS[:500]))
    assert (recall(index, index, ASKED, K) == 1).all()
    half = index.search(ASKED, K)
    half.scores[:, K // 2 :] = -np.inf
    assert (recall_of(half, index.search(ASKED, K)) == 0.5).all()


def test_any_of_equal_items_counts() -> None:
    rows = unit(np.ones((10, 4)))
    index = build(vectors(rows))
    first, last = index.search(rows[:1], 3), index.search(rows[:1], 3)
    last.positions[:] = [[9, 8, 7]]
    assert recall_of(last, first).tolist() == [1.0]


def test_fewer_items_than_k_are_the_whole_and_none_is_complete() -> None:
    index = build(vectors(ITEMS[:3]))
    assert (recall(index, index, ASKED, K) == 1).all()
    nobody = Allowed(np.zeros(3, bool))
    found = index.search(ASKED, K, nobody)
    assert (recall_of(found, found) == 1).all()


def test_a_sample_is_that_of_its_generator(listed: Index) -> None:
    drawn = [sampled_recall(listed, ASKED, K, rng=np.random.default_rng(5), sample=30) for _ in range(2)]
    assert drawn[0].shape == (30,)
    assert np.array_equal(drawn[0], drawn[1])
    assert sampled_recall(listed, ASKED, K, rng=np.random.default_rng(5)).shape == (100,)


# ---- opening


@pytest.fixture
def folder(listed: Index, tmp_path: Path) -> Path:
    listed.save(tmp_path)
    return tmp_path


def test_a_sealed_index_opens_for_its_adapter_and_answers_as_before(listed: Index, folder: Path) -> None:
    opened = open_index(folder, embedder=ADAPTER, dimension=32, catalogue=CATALOGUE)
    assert opened.parameters == LISTED
    assert opened.ids == listed.ids
    assert len(opened) == 6000
    assert np.array_equal(opened.search(ASKED, K).positions, listed.search(ASKED, K).positions)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"embedder": OTHER}, "another adapter made them"),
        ({"embedder": ADAPTER, "dimension": 384}, "another dimension"),
        ({"embedder": ADAPTER, "catalogue": OTHER}, "another catalogue"),
    ],
)
def test_vectors_of_something_else_are_refused(folder: Path, asked, named: str) -> None:
    with pytest.raises(VectorsMismatch, match=named) as caught:
        open_index(folder, **asked)
    assert caught.value.found != caught.value.accepted


@pytest.mark.parametrize("file", [LISTS, INDEX, ROWS, HEAD])
def test_one_changed_byte_is_refused(folder: Path, file: str) -> None:
    body = bytearray((folder / file).read_bytes())
    body[len(body) // 2] ^= 1
    (folder / file).write_bytes(bytes(body))
    with pytest.raises(ArtifactTampered, match=f"{file} is changed"):
        open_index(folder, embedder=ADAPTER)


@pytest.mark.parametrize("file", [LISTS, INDEX])
@pytest.mark.parametrize("junk", [b"", b"\x00\xff junk" * 100, b"[1, 2]", b'{"format": 1}'])
def test_junk_that_somebody_sealed_is_one_error_that_names_the_file(
    folder: Path, file: str, junk: bytes
) -> None:
    (folder / file).write_bytes(junk)
    seal(folder)
    with pytest.raises(ArtifactTampered) as caught:
        open_index(folder, embedder=ADAPTER)
    assert file in caught.value.refused


def test_an_index_without_its_lists_or_with_another_is_refused(folder: Path, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    build(vectors(ITEMS[:5000]), LISTED).save(other)
    (folder / LISTS).write_bytes((other / LISTS).read_bytes())
    seal(folder)
    with pytest.raises(VectorsMismatch, match="of other vectors"):
        open_index(folder, embedder=ADAPTER)
    (folder / LISTS).unlink()
    seal(folder)
    with pytest.raises(ArtifactTampered, match=LISTS):
        open_index(folder, embedder=ADAPTER)


def test_a_format_of_a_newer_version_is_told_apart_from_damage(folder: Path) -> None:
    said = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**said, "format": 7}))
    seal(folder)
    with pytest.raises(SetupError, match="newer version of mangaops"):
        open_index(folder, embedder=ADAPTER)


@pytest.mark.parametrize("wrong", [{"lists": 0}, {"exact_up_to": 0}, {"oversample": 0.5}, {"walk": 3}])
def test_parameters_are_strict(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        IndexParameters(**wrong)


def test_lists_are_four_times_the_root_unless_asked_for_and_never_more_than_items() -> None:
    assert [IndexParameters().lists_of(items) for items in (1, 10_000, 1_000_000)] == [1, 400, 4000]
    assert [IndexParameters(lists=700).lists_of(items) for items in (10_000, 300)] == [700, 300]
