"""Near-duplicate search across a split: rows a second, against brute force and against datasketch.

`python bench/near_duplicates.py`. Each method finds, for every text of one side, whether the other side has
one of Jaccard similarity 0.8 or more over word 3-shingles. Methods are interleaved and medians are shown;
the ratio is to the named baseline in the same run. Found pairs of all methods must agree.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from mangaops.datasets.near import jaccard, nearest, shingles

AT = 0.8
ROUNDS = 3
Method = Callable[[Sequence[str], Sequence[str]], set[str]]


def texts(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Two sides of `count` texts of 6 to 30 words; three in a hundred of the left are edited copies."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(5000)])
    share = 1 / np.arange(1, 5001)
    draw = rng.choice(words, size=(2 * count, 30), p=share / share.sum())
    lengths = rng.integers(6, 31, 2 * count)
    made = [" ".join(row[:length]) for row, length in zip(draw, lengths, strict=True)]
    right = made[count:]
    left = [f"{right[i]} too" if i % 33 == 0 else text for i, text in enumerate(made[:count])]
    return sorted(set(left)), sorted(set(right))


def ours(left: Sequence[str], right: Sequence[str]) -> set[str]:
    """`mangaops.datasets`: rensa proposes, exact Jaccard decides."""
    return set(nearest(left, right, AT)["left"])


def brute(left: Sequence[str], right: Sequence[str]) -> set[str]:
    """Exact Jaccard of every pair."""
    others = [shingles(text) for text in right]
    return {text for text in left if any(jaccard(shingles(text), other) >= AT for other in others)}


def datasketch(left: Sequence[str], right: Sequence[str]) -> set[str]:
    """datasketch's MinHashLSH proposes with the same bands, exact Jaccard decides."""
    from datasketch import MinHash, MinHashLSH

    def sketches(sets: Sequence[frozenset[str]]) -> list[MinHash]:
        return list(MinHash.generator([[w.encode() for w in each] for each in sets], num_perm=128))

    sets_left, sets_right = [shingles(text) for text in left], [shingles(text) for text in right]
    index = MinHashLSH(num_perm=128, params=(32, 4))
    for j, sketch in enumerate(sketches(sets_right)):
        index.insert(j, sketch)
    return {
        left[i]
        for i, sketch in enumerate(sketches(sets_left))
        if any(jaccard(sets_left[i], sets_right[j]) >= AT for j in index.query(sketch))
    }


def measure(methods: dict[str, Method], count: int, baseline: str) -> None:
    """Print a line a method for sides of `count` texts."""
    left, right = texts(count, seed=count)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, set[str]] = {}
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = time.perf_counter()
            found[name] = method(left, right)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    truth = found[baseline]
    for name, median in medians.items():
        rows = (len(left) + len(right)) / median
        missed, extra = len(truth - found[name]), len(found[name] - truth)
        print(
            f"{count:>8,}  {name:<12} {median:>9.3f} s {rows:>12,.0f} rows/s "
            f"{medians[baseline] / median:>8.1f} x {baseline:<11} missed {missed}, extra {extra}"
        )


def main() -> None:
    """Print the host and both tables."""
    print(f"host: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    measure({"mangaops": ours, "brute force": brute}, 800, "brute force")
    try:
        import datasketch as _  # noqa: F401
    except ImportError:
        print("datasketch is not installed: pip install datasketch to compare with it")
        measure({"mangaops": ours}, 50_000, "mangaops")
        return
    measure({"mangaops": ours, "datasketch": datasketch}, 10_000, "datasketch")


if __name__ == "__main__":
    main()
