"""The words of the simulated world, read from the YAML files under `words/`."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

INTENT_FILES = (
    "product_discovery",
    "recommendation",
    "product_question",
    "order_tracking",
    "faq",
    "return_request",
    "chitchat",
    "promotion",
    "checkout_help",
    "escalation",
)


@lru_cache(maxsize=32)
def words(name: str) -> dict[str, Any]:
    """The banks of one file, by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("mangaops.simulation").joinpath("words", f"{name}.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=loader)
    return found


@lru_cache(maxsize=1)
def banks() -> dict[str, list[str]]:
    """All banks of templates; those of an intent are named `<intent>.<bank>`."""
    found = {name: text.splitlines() for name, text in {**words("common"), **words("frames")}.items()}
    for intent in INTENT_FILES:
        shared = ("role_bit", "plot_bit", "mood", "oddity", "relation", "goods")
        for bank, text in words(intent).items():
            found[bank if bank in shared else f"{intent}.{bank}"] = text.splitlines()
    return found
