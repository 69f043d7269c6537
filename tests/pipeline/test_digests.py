"""A digest may be typed as far as a heading shows it, where one thing alone is meant."""

from __future__ import annotations

import pytest

from mangaops.errors import UsageError
from mangaops.pipeline.digests import chosen, looks_like_digest

KNOWN = {
    "logs-1": "sha256:" + "a1" * 32,
    "logs-2": "sha256:" + "a1" * 16 + "b2" * 16,
    "shop-1": "sha256:" + "c3" * 32,
    "again-1": "sha256:" + "c3" * 32,
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("logs-1", ["logs-1"]),
        (KNOWN["logs-2"], ["logs-2"]),
        ("a1" * 16 + "b2", ["logs-2"]),
        ("sha256:c3c3c3c3", ["shop-1", "again-1"]),
        ("c3c3c3c3", ["shop-1", "again-1"]),
        ("c3c3c3c", []),
        ("d4d4d4d4", []),
        ("logs", []),
        ("sha256:", []),
    ],
)
def test_a_name_or_a_digest_as_far_as_it_is_typed(name: str, meant: list[str]) -> None:
    assert chosen(name, KNOWN, what="dataset version") == meant


def test_a_beginning_of_several_digests_is_refused_with_all_of_them() -> None:
    with pytest.raises(UsageError, match="several digests begin so") as refused:
        chosen("a1a1a1a1", KNOWN, what="dataset version")
    assert "logs-1" in refused.value.found
    assert "logs-2" in refused.value.found


def test_what_looks_like_a_digest() -> None:
    assert looks_like_digest("sha256:c3c3c3c3c3c3")
    assert not looks_like_digest("intent-data-2026-04-20")
