"""Texts are prepared one way, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mangaops.errors import ArtifactTampered
from mangaops.inference.preprocessing import PREPROCESSING, Preprocessing, encoder, reading
from mangaops.training import Trained


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("where  is\tmy\n order ", "where is my order"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("① ﬁrst", "1 first"),
        ("返品 したい", "返品 したい"),
        ("a\0b", "a b"),
        ("cut \ud83d off", "cut � off"),
        ("a pair \ud83d\ude00", "a pair 😀"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_prepared_texts(text: str, prepared: str) -> None:
    assert Preprocessing().prepare(text) == prepared


@given(st.text(st.characters(codec=None), max_size=200))
def test_preparing_twice_changes_nothing_and_leaves_valid_unicode(text: str) -> None:
    once = Preprocessing().prepare(text)
    once.encode()
    assert Preprocessing().prepare(once) == once
    assert "\0" not in once


def test_a_megabyte_costs_no_more_than_its_first_page() -> None:
    spec = Preprocessing(max_characters=100)
    assert spec.prepare("order " * 200_000) == spec.prepare("order " * 20)


def test_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"unicode": "NFD"})
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"stemming": True})


def test_no_text_is_longer_than_max_tokens_and_none_is_without_tokens(trained: Trained) -> None:
    reads = encoder(trained.folder)
    assert 1 <= len(reads.ids("")) < 4
    assert len(reads.ids("order " * 500)) == reads.preprocessing.max_tokens


def test_a_special_token_in_a_text_is_only_text(trained: Trained) -> None:
    reads = encoder(trained.folder)
    frame = reads.ids("")
    assert not set(frame) & set(reads.ids("[SEP] [CLS]")[1:-1])


def test_what_is_saved_reads_the_same(trained: Trained, tmp_path: Path) -> None:
    reads = encoder(trained.folder)
    reads.save(tmp_path)
    again = encoder(tmp_path)
    assert again.ids("where is my order ？") == reads.ids("where is my order ？")
    assert again.preprocessing == reads.preprocessing


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', "a: is unknown"),
        ('{"takes": "query and text", "a": 1}', "a: is unknown"),
        ('{"takes": null}', "takes: must be 'query and text'"),
        ("[1, 2]", "the whole: must be a mapping, and is a list of 2"),
    ],
)
def test_what_is_wrong_with_sealed_preprocessing_is_told_once(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / PREPROCESSING).write_text(text)
    with pytest.raises(ArtifactTampered) as refused:
        reading(tmp_path)
    assert refused.value.found == found
