import numpy as np
import polars as pl
import pytest

from mangaops.errors import InputError, UsageError
from mangaops.simulation import INCIDENTS, LABELS, World, answer_review, spoil

ROWS = 4000


def _items(**columns: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    ids = [f"r{at}" for at in range(ROWS)]
    truth = pl.DataFrame({"request_id": ids, "label": [LABELS[at % 10] for at in range(ROWS)]})
    return pl.DataFrame({"item_id": [f"i{at}" for at in range(ROWS)], "request_id": ids, **columns}), truth


def _answer(
    items: pl.DataFrame, truth: pl.DataFrame, error: float = 0.0, unclear: float = 0.0
) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return answer_review(items, truth, error_rate=error, unclear_rate=unclear, rng=rng)


def test_a_careful_reviewer_tells_the_truth() -> None:
    items, truth = _items()
    answers = _answer(items, truth.sample(fraction=1.0, shuffle=True, seed=1))
    assert answers.columns == ["item_id", "answer"]
    assert answers["item_id"].to_list() == items["item_id"].to_list()
    assert answers["answer"].to_list() == truth["label"].to_list()


def test_errors_and_unclear_come_at_the_stated_rates() -> None:
    items, truth = _items()
    answers = _answer(items, truth, error=0.1, unclear=0.2)["answer"]
    assert (answers == "unclear").mean() == pytest.approx(0.2, abs=0.03)
    clear = answers != "unclear"
    assert (answers.filter(clear) != truth["label"].filter(clear)).mean() == pytest.approx(0.1, abs=0.025)


def test_an_item_whose_options_lack_the_truth_is_neither() -> None:
    items, truth = _items(option_a=["faq"] * ROWS, option_b=["promotion"] * ROWS)
    answers = _answer(items, truth)["answer"]
    offered = truth["label"].is_in(["faq", "promotion"])
    assert answers.filter(offered).to_list() == truth["label"].filter(offered).to_list()
    assert set(answers.filter(~offered)) == {"neither"}
    assert set(_answer(items, truth, error=1.0)["answer"].filter(~offered)) == {"faq", "promotion"}


def test_items_are_found_by_seq_too_and_none_give_none() -> None:
    items, truth = _items()
    by_seq = _answer(
        items.select("item_id").with_row_index("seq"), truth.select("label").with_row_index("seq")
    )
    assert by_seq["answer"].to_list() == truth["label"].to_list()
    assert _answer(items.head(0), truth).height == 0


def test_an_item_without_truth_is_refused() -> None:
    items, truth = _items()
    with pytest.raises(InputError, match="no true label"):
        _answer(items, truth.head(10))
    with pytest.raises(InputError, match="do not fit"):
        _answer(items.drop("request_id"), truth)


def test_a_rate_outside_its_range_is_refused() -> None:
    items, truth = _items()
    with pytest.raises(UsageError, match="error_rate"):
        _answer(items, truth, error=1.2)


def test_the_incident_hides_requests_for_a_human_and_nothing_else() -> None:
    logs = World(1).week(0, 800).logs
    spoiled = spoil(logs, np.random.default_rng(0), 0.7)
    assert spoiled.drop("label").equals(logs.drop("label"))
    changed = spoiled["label"] != logs["label"]
    assert set(logs["label"].filter(changed)) == {"escalation"}
    assert set(spoiled["label"].filter(changed)) == {"chitchat"}
    assert changed.sum() / (logs["label"] == "escalation").sum() == pytest.approx(0.7, abs=0.15)


def test_share_zero_changes_nothing_and_one_changes_all() -> None:
    logs = World(1).week(0, 100).logs
    assert spoil(logs, np.random.default_rng(0), 0.0).equals(logs)
    assert "escalation" not in set(spoil(logs, np.random.default_rng(0), 1.0)["label"])


@pytest.mark.parametrize("incident", sorted(INCIDENTS))
def test_every_incident_changes_labels_to_known_ones(incident: str) -> None:
    logs = World(1).week(0, 200).logs
    spoiled = spoil(logs, np.random.default_rng(0), 0.9, incident=incident)
    assert (spoiled["label"] != logs["label"]).any()
    assert set(spoiled["label"]) <= set(LABELS)


def test_an_unknown_incident_and_logs_without_labels_are_refused() -> None:
    logs = World(1).week(0, 20).logs
    with pytest.raises(UsageError, match="incident was refused"):
        spoil(logs, np.random.default_rng(0), 0.5, incident="flood")
    with pytest.raises(InputError, match="no labels"):
        spoil(logs.drop("label"), np.random.default_rng(0), 0.5)
