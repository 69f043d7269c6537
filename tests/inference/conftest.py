"""The tiny artifact, and a copy of it that a test may spoil."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mangaops.inference.manifest import seal
from mangaops.registry.permit import Permit
from mangaops.training import Trained
from mangaops.vocabulary import Family
from tiny import shared_artifact
from tiny_pairs import place, shared


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed artifact, shared by all workers. Never change it."""
    mine = tmp_path_factory.getbasetemp()
    return shared_artifact((mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "tiny")


@pytest.fixture
def permit(trained: Trained) -> Permit:
    """Leave to load exactly the tiny artifact."""
    return Permit("intent-classifier", "v1", trained.digest, trained.fingerprint)


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the tiny artifact that a test may spoil."""
    return Path(shutil.copytree(trained.folder, tmp_path / "artifact"))


@pytest.fixture
def resealed(trained: Trained):
    """Seals a spoiled copy anew and gives a permit for it that still names the registered fingerprint."""
    return lambda folder: Permit("intent-classifier", "v1", seal(folder), trained.fingerprint)


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed embedding adapter on the embedded base, shared by all workers. Never change it."""
    return shared(place(tmp_path_factory), Family.EMBEDDING_ADAPTER)


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A sealed reranker of two layers of the embedded base, shared by all workers. Never change it."""
    return shared(place(tmp_path_factory), Family.CROSS_ENCODER_RERANKER)
