"""Near-duplicate texts: MinHash proposes (rensa), the exact Jaccard similarity of word 3-shingles decides.

The number of rows in a band is chosen so that a pair that is exactly at the threshold is missed with
probability under 1e-6. Source: Broder 1997 (resemblance); Leskovec, Rajaraman, Ullman, Mining of Massive
Datasets, section 3.4.2 (the S-curve 1 - (1 - s^r)^b).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from mangaops.datasets.source import Progress

PERMUTATIONS = 128
_SEED = 42
_MISSED = 1e-6
_SLACK = 0.22  # 128 permutations estimate a similarity with a standard deviation of at most 0.044

Signatures = npt.NDArray[np.uint32]


def shingles(norm: str) -> frozenset[str]:
    """The sets of three consecutive words of a normalised text; a shorter text is one shingle."""
    words = norm.split(" ")
    if len(words) < 3:
        return frozenset((norm,))
    return frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared over all shingles, in [0, 1]."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def nearest(
    left: Sequence[str], right: Sequence[str], at: float, progress: Progress | None = None
) -> pl.DataFrame:
    """For each text of `left` that has one in `right` of similarity `at` or more: columns `left, right`.

    Both are normalised texts without repeats. Where several are near, the first one proposed is given. Equal
    texts are near.
    """
    found: dict[int, int] = {}
    if not left or not right:
        return _pairs(found, left, right)
    sets_left, sets_right = [shingles(text) for text in left], [shingles(text) for text in right]
    marks_left, marks_right = _signatures(sets_left), _signatures(sets_right)
    width = band_rows(at)
    bands = PERMUTATIONS // width
    for band in range(bands):
        if progress is not None:
            progress("looking for near-duplicates", band, bands)
        cut = slice(band * width, (band + 1) * width)
        a, b = _candidates(marks_left[:, cut], marks_right[:, cut], found)
        close = _estimate(marks_left, marks_right, a, b) >= at - _SLACK
        for i, j in zip(a[close].tolist(), b[close].tolist(), strict=True):
            if i not in found and jaccard(sets_left[i], sets_right[j]) >= at:
                found[i] = j
    return _pairs(found, left, right)


def band_rows(at: float) -> int:
    """The most rows a band with which a pair of similarity `at` is missed with probability under 1e-6."""
    fitting = [r for r in range(1, 17) if (1 - at**r) ** (PERMUTATIONS // r) < _MISSED]
    return max(fitting, default=1)


def _signatures(sets: Sequence[frozenset[str]]) -> Signatures:
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_token_sets([list(each) for each in sets], PERMUTATIONS, _SEED)
    return np.asarray(matrix.to_rows(), dtype=np.uint32)


def _candidates(
    left: Signatures, right: Signatures, found: dict[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    open_left = np.setdiff1d(np.arange(len(left)), np.fromiter(found, dtype=np.int64, count=len(found)))
    names = [f"m{i}" for i in range(left.shape[1])]
    a = pl.DataFrame(left[open_left], schema=names).with_columns(left=pl.Series(open_left))
    b = pl.DataFrame(right, schema=names).with_row_index("right")
    pairs = a.join(b, on=names, how="inner").select("left", pl.col("right").cast(pl.Int64))
    return pairs.get_column("left").to_numpy(), pairs.get_column("right").to_numpy()


def _estimate(
    left: Signatures, right: Signatures, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    chunks = [
        (left[a[i : i + 100_000]] == right[b[i : i + 100_000]]).mean(axis=1)
        for i in range(0, len(a), 100_000)
    ]
    return np.concatenate(chunks) if chunks else np.zeros(0)


def _pairs(found: dict[int, int], left: Sequence[str], right: Sequence[str]) -> pl.DataFrame:
    ordered = sorted(found.items())
    return pl.DataFrame(
        {"left": [left[i] for i, _ in ordered], "right": [right[j] for _, j in ordered]},
        schema={"left": pl.String, "right": pl.String},
    )
