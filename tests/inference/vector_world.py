"""Small clustered catalogues of unit vectors."""

from __future__ import annotations

import numpy as np

from mangaops.inference.vectors import Matrix, Vectors

ADAPTER, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CATALOGUE = "sha256:" + "c" * 64


def unit(rows: np.ndarray) -> Matrix:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, dimension: int = 16, seed: int = 1) -> Matrix:
    """Unit vectors around centres of which a few have most of them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(4, count // 100), dimension))
    of = (len(centres) * rng.random(count) ** 2).astype(int)
    return unit(centres[of] + 0.4 * rng.standard_normal((count, dimension)))


def vectors(rows: Matrix, embedder: str = ADAPTER) -> Vectors:
    return Vectors(tuple(f"item-{number}" for number in range(len(rows))), rows, embedder, CATALOGUE)


def near(rows: Matrix, count: int, seed: int = 2) -> Matrix:
    """Queries beside some of the rows."""
    rng = np.random.default_rng(seed)
    picked = rows[rng.choice(len(rows), count)]
    return unit(picked + 0.2 * unit(rng.standard_normal(picked.shape)))
