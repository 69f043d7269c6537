"""Near-duplicates: what is proposed by hashing is what exact comparison finds."""

from __future__ import annotations

import numpy as np
import pytest

from mangaops.datasets.near import PERMUTATIONS, band_rows, jaccard, nearest, shingles
from mangaops.datasets.text import normalised, tokens, word_count

WORDS = [f"w{i}" for i in range(400)]


def varied(rng: np.random.Generator, count: int) -> tuple[list[str], list[str]]:
    """Texts, and copies with none to three words changed."""
    left, right = [], []
    for _ in range(count):
        words = [str(word) for word in rng.choice(WORDS, int(rng.integers(6, 30)))]
        left.append(" ".join(words))
        for at in rng.integers(0, len(words), int(rng.integers(0, 4))):
            words[at] = str(rng.choice(WORDS))
        right.append(" ".join(words))
    return sorted(set(left)), sorted(set(right))


@pytest.mark.parametrize("at", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_exactly_the_texts_that_brute_force_finds(at: float) -> None:
    left, right = varied(np.random.default_rng(5), 300)
    sets = [shingles(text) for text in right]
    truth = {text for text in left if any(jaccard(shingles(text), other) >= at for other in sets)}
    found = nearest(left, right, at)
    assert set(found["left"]) == truth
    assert 0 < len(truth) < len(left)
    assert all(jaccard(shingles(a), shingles(b)) >= at for a, b in found.iter_rows())


def test_empty_sides_and_equal_short_texts() -> None:
    assert nearest([], ["a b c"], 0.8).height == 0
    assert nearest(["a b c"], [], 0.8).height == 0
    assert nearest(["yes", "no"], ["yes"], 0.8)["left"].to_list() == ["yes"]


@pytest.mark.parametrize("at", [0.3, 0.5, 0.8, 0.95])
def test_a_pair_at_the_threshold_is_missed_less_than_once_in_a_million(at: float) -> None:
    rows = band_rows(at)
    assert (1 - at**rows) ** (PERMUTATIONS // rows) < 1e-6


def test_case_width_spaces_and_punctuation_do_not_matter() -> None:
    assert normalised("  Where's my ORDER??") == normalised("where s my order")
    assert normalised("ＯＮＥ piece") == "one piece"
    assert normalised(" 👍 ") == "👍"


def test_japanese_is_counted_in_words_of_two_characters() -> None:
    assert word_count(tokens("進撃の巨人ありますか vol 3")) == 7
    assert word_count(tokens("where is my order")) == 4
