import numpy as np
import pytest

from mangaops.errors import InputError
from mangaops.simulation.grammar import Grammar
from mangaops.simulation.labels import LABELS
from mangaops.simulation.lexicon import INTENT_FILES, banks


def _texts(banks: dict[str, list[str]], count: int = 200, week: int = 0, **fill: str) -> set[str]:
    writer = Grammar(banks, ["title"]).writer(week, {"title": lambda: "Apple"}, np.random.default_rng(0))
    return {writer.write("top", fill) for _ in range(count)}


def test_a_template_expands_to_all_that_it_allows() -> None:
    assert _texts({"top": ["(a|b (c|d))[ x] {end}"], "end": ["!"]}) == {
        "a !", "a x !", "b c !", "b c x !", "b d !", "b d x !",
    }  # fmt: skip


def test_slots_and_fills_are_put_in_and_articles_fit() -> None:
    assert _texts({"top": ["a {title} for {title}"]}) == {"an Apple for Apple"}
    assert _texts({"top": ["a {title}"]}, title="pear") == {"a pear"}


@pytest.mark.parametrize("template", ["(a|b", "[a", "{a", "a)", "(a]"])
def test_unmatched_brackets_are_refused(template: str) -> None:
    with pytest.raises(InputError, match="brackets"):
        Grammar({"top": [template]}, [])


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere"):
        Grammar({"top": ["go {nowhere}"]}, [])


def test_wordings_go_out_of_fashion() -> None:
    entries = [f"word{at}" for at in range(40)]
    grammar = Grammar({"top": entries}, [])

    def counts(week: int) -> np.ndarray:
        writer = grammar.writer(week, {}, np.random.default_rng(1))
        said = [writer.write("top") for _ in range(3000)]
        return np.array([said.count(entry) for entry in entries]) / 3000

    assert np.abs(counts(0) - counts(6)).sum() > 2 * np.abs(counts(0) - counts(1)).sum()


def test_every_intent_has_its_banks() -> None:
    found = banks()
    assert INTENT_FILES == LABELS or set(INTENT_FILES) == set(LABELS)
    for label in LABELS:
        assert {f"{label}.vp", f"{label}.ask"} <= set(found)
        assert label == "chitchat" or f"{label}.follow_up" in found
