"""What logs keep of a text and of ids."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mangaops.datasets.logged import kept
from mangaops.stack import LogSpec

SAID = "write to mei@example.com about volume 12"


def row(unit: str, **changes: Any) -> dict[str, Any]:
    return {"unit": unit, "text": SAID, "conversation_id": "c1", "user_id": None, "seq": 1} | changes


def test_each_unit_is_logged_as_it_says() -> None:
    logs = {
        "plain": LogSpec(text="keep"),
        "router": LogSpec(text="mask"),
        "secret": LogSpec(text="hash"),
    }
    rows = [row(unit) for unit in ("plain", "router", "secret", "unlisted")]
    plain, masked, hashed, unlisted = kept(logs)(rows)
    assert plain == row("plain")
    assert masked == row("router", text="write to [e-mail] about volume 12")
    assert unlisted["text"] == masked["text"]
    told = hashlib.sha256(SAID.encode()).hexdigest()
    conversation = hashlib.sha256(b"c1").hexdigest()
    assert hashed == row("secret", text=f"sha256:{told}", conversation_id=f"sha256:{conversation}")
    assert rows[2]["text"] == SAID, "the rows that were given stay as they are"


def test_words_of_filters_are_kept_like_the_text_and_the_rest_of_them_as_it_is() -> None:
    options = {"k": 3, "filters": {"genres": ["of mei@example.com", "drama"], "in_stock": True}}
    rows = [row(unit, options=json.dumps(options)) for unit in ("plain", "router", "secret")]
    logs = {"plain": LogSpec(text="keep"), "secret": LogSpec(text="hash")}
    plain, masked, hashed = (json.loads(each["options"]) for each in kept(logs)(rows))
    assert plain == options
    assert masked == {"k": 3, "filters": {"genres": ["of [e-mail]", "drama"], "in_stock": True}}
    assert hashed["filters"]["genres"][1] == "sha256:" + hashlib.sha256(b"drama").hexdigest()
    assert (hashed["k"], hashed["filters"]["in_stock"]) == (3, True)
    assert kept(logs)([row("secret", options=None)])[0]["options"] is None


def test_a_text_that_is_absent_or_malformed_is_logged_all_the_same() -> None:
    hashing, masking = kept({"router": LogSpec(text="hash")}), kept({})
    assert masking([row("router", text=None)])[0]["text"] is None
    assert hashing([row("router", text=None)])[0]["text"] is None
    assert hashing([row("router", text="\ud800")])[0]["text"].startswith("sha256:")
