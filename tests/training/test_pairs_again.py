"""A pair's models trained again from their records, and the candidates that an adapter draws."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mangaops.errors import UsageError
from mangaops.inference import load_embedder
from mangaops.inference.index import build
from mangaops.inference.manifest import seal
from mangaops.inference.search import Search
from mangaops.inference.session import MODEL
from mangaops.inference.shelf import IndexShelf
from mangaops.inference.vectors import Vectors
from mangaops.registry.permit import Permit
from mangaops.registry.state import ModelRecord
from mangaops.training import RECIPES, Drawn, PairRequest, Trained, draw_candidates, reproduce
from tiny_pairs import adapter_request, reranker_request, tiny_items

pytestmark = pytest.mark.xdist_group("pairs")


def record_of(made: Trained) -> ModelRecord:
    return ModelRecord(
        model=made.config["model"],
        version="v3",
        family=made.config["family"],
        artifact=made.digest,
        fingerprint=made.fingerprint,
        dataset_version="search-data-2026-04-20",
        dataset="sha256:" + "0" * 64,
        training_code_sha="0" * 40,
        config=made.config,
        metrics=made.metrics,
        at="2026-04-20T00:00:00Z",
        revision=1,
    )


def moved_on(request: PairRequest, **training: object) -> PairRequest:
    """The request as the stack would make it today: other parameters, seed and code."""
    options = request.spec.training.model_copy(update=training)
    return replace(
        request,
        spec=request.spec.model_copy(update={"training": options}),
        seed=99,
        code_sha="1" * 40,
    )


def test_an_adapter_trained_again_from_its_record_is_identical(adapter: Trained, tmp_path: Path) -> None:
    today = moved_on(adapter_request("minilm-l6"), steps=3, hidden=8)
    recipe = RECIPES[today.spec.family]
    found = reproduce(recipe, today, record_of(adapter), adapter.folder, "1" * 40, scratch=tmp_path)
    assert found.identical, found.text()
    assert (found.answers, found.differing) == ({}, {})


def test_a_reranker_trained_again_from_its_record_is_identical(reranker: Trained, tmp_path: Path) -> None:
    today = moved_on(reranker_request("minilm-l6"), epochs=1, layers=1)
    recipe = RECIPES[today.spec.family]
    found = reproduce(recipe, today, record_of(reranker), reranker.folder, "1" * 40, scratch=tmp_path)
    assert found.identical, found.text()


@pytest.mark.parametrize(
    ("kind", "figures", "words"),
    [
        ("adapter", {"least_cosine", "mean_cosine"}, "have cosine"),
        ("reranker", {"correlation", "same_top"}, "have correlation"),
    ],
)
def test_another_artifact_of_a_pair_is_told_by_its_answers(
    kind: str, figures: set[str], words: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: Trained = request.getfixturevalue(kind)
    asked = adapter_request("minilm-l6") if kind == "adapter" else reranker_request("minilm-l6")

    def spoilt(_: PairRequest, folder: Path, __: object) -> Trained:
        import onnx
        from onnx import numpy_helper

        shutil.copytree(made.folder, folder)
        graph = onnx.load(str(folder / MODEL))
        largest = max(graph.graph.initializer, key=lambda each: len(each.raw_data))
        turned = np.roll(numpy_helper.to_array(largest), 1, axis=0)
        largest.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), largest.name))
        onnx.save(graph, str(folder / MODEL))
        return replace(made, folder=folder, digest=seal(folder))

    found = reproduce(spoilt, asked, record_of(made), made.folder, "0" * 40, scratch=tmp_path)
    assert not found.identical
    assert set(found.differing) == {"MANIFEST.json", MODEL}
    assert set(found.answers) == figures
    assert all(value < 0.9 for value in found.answers.values())
    assert words in found.text()
    assert found.as_dict()["rows"] == found.rows > 0


def test_candidates_of_another_adapter_than_the_records_are_refused(
    reranker: Trained, tmp_path: Path
) -> None:
    other = replace(reranker_request("minilm-l6"), candidates_from=Drawn("embedding-adapter@v4", "sha256:b"))
    with pytest.raises(UsageError, match="candidates are of another adapter") as caught:
        reproduce(
            RECIPES[other.spec.family], other, record_of(reranker), reranker.folder, "1", scratch=tmp_path
        )
    assert "embedding-adapter@v3" in caught.value.accepted
    assert not list(tmp_path.iterdir())


def test_candidates_are_what_a_search_retrieves(adapter: Trained) -> None:
    embedder = load_embedder(
        adapter.folder, Permit("embedding-adapter", "v3", adapter.digest, adapter.fingerprint)
    )
    items = tiny_items()
    texts = dict(items.iter_rows())
    rows = embedder.vectors(list(texts.values()))
    index = build(Vectors(tuple(texts), rows, adapter.digest, "sha256:" + "c" * 64))
    asked = adapter_request("minilm-l6").validation.unique("query_id", maintain_order=True)
    drawn = draw_candidates(index.vectors, embedder, asked, 5)
    shelf = IndexShelf.of(index, {each: {"title": text} for each, text in texts.items()})
    search = Search("pair", embedder, lambda: shelf, None, depth=5)
    for query_id, query in asked.select("query_id", "query").iter_rows():
        found = [(hit.item_id, hit.retrieved, hit.score) for hit in search.retrieve(query, 5)]
        of_query = drawn.filter(query_id=query_id).select("item_id", "rank", "similarity")
        assert list(of_query.iter_rows()) == found
    assert draw_candidates(index.vectors, embedder, asked.head(1), 500).height == items.height
