"""One tiny artifact for the whole session: the export alone takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mangaops.training import Trained
from mangaops.vocabulary import Family
from tiny import shared_artifact
from tiny_pairs import place, shared


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed artifact, shared by all workers; its base is beside it in `artifact-base`. Never change it."""
    mine = tmp_path_factory.getbasetemp()
    return shared_artifact((mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "tiny")


@pytest.fixture
def base(trained: Trained) -> Path:
    """The tiny base that `trained` was trained on."""
    return trained.folder.parent / "artifact-base"


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed embedding adapter on the embedded base, shared by all workers. Never change it."""
    return shared(place(tmp_path_factory), Family.EMBEDDING_ADAPTER)


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed reranker of two layers of the embedded base, shared by all workers. Never change it."""
    return shared(place(tmp_path_factory), Family.CROSS_ENCODER_RERANKER)
