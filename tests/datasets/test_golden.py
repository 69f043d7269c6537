"""The golden set: enough of each critical label, the rest by traffic, and weights that give the mix back."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.datasets.golden import allocate, choose, golden_digest, weighted
from mangaops.stack import GoldenSpec

COUNTS = {"faq": 6000, "chitchat": 3000, "promotion": 700, "escalation": 300}
TRAFFIC = {label: count / 10_000 for label, count in COUNTS.items()}
SPEC = GoldenSpec(rows=2000, per_critical_label=250)


def pool(counts: dict[str, int] = COUNTS) -> pl.DataFrame:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return pl.DataFrame({"row_id": [f"r{i}" for i in range(len(labels))], "label": labels})


def test_critical_labels_are_topped_up_and_the_rest_follows_traffic() -> None:
    found = allocate(TRAFFIC, {}, COUNTS, ["escalation"], SPEC)
    assert sum(found.values()) == 2000
    assert found["escalation"] == 250
    assert abs(found["faq"] / found["chitchat"] - 2) < 0.02


def test_what_the_logs_lack_is_not_invented() -> None:
    found = allocate(TRAFFIC, {}, {**COUNTS, "escalation": 40}, ["escalation"], SPEC)
    assert found["escalation"] == 40
    assert allocate(TRAFFIC, {}, {"faq": 5}, [], SPEC) == {"faq": 5}


def test_weights_have_mean_one_and_give_the_traffic_mix_back() -> None:
    chosen = choose(pool(), pool().clear(), TRAFFIC, ["escalation"], SPEC, "key").join(pool(), on="row_id")
    assert abs(chosen["weight"].mean() - 1) < 1e-9
    shares = chosen.group_by("label").agg(pl.col("weight").sum() / chosen.height)
    assert all(abs(share - TRAFFIC[label]) < 1e-9 for label, share in shares.iter_rows())


def test_growing_keeps_every_row_and_adds_only_what_lacks() -> None:
    small = choose(
        pool(), pool().clear(), TRAFFIC, ["escalation"], GoldenSpec(rows=500, per_critical_label=50), "key"
    )
    kept = pool().join(small, on="row_id", how="semi")
    rest = pool().join(small, on="row_id", how="anti")
    grown = choose(rest, kept, TRAFFIC, ["escalation"], SPEC, "key")
    assert set(small["row_id"]) < set(grown["row_id"])
    assert grown.height == 2000


def test_the_choice_is_by_keyed_hash_and_not_by_order() -> None:
    first = choose(pool(), pool().clear(), TRAFFIC, [], SPEC, "key")
    again = choose(pool().reverse(), pool().clear(), TRAFFIC, [], SPEC, "key")
    other = choose(pool(), pool().clear(), TRAFFIC, [], SPEC, "another key")
    assert set(first["row_id"]) == set(again["row_id"]) != set(other["row_id"])


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 400), min_size=1),
    st.integers(1, 900),
    st.integers(0, 300),
)
@settings(max_examples=200, deadline=None)
def test_targets_stay_within_room_and_reach_the_size_where_they_can(
    room: dict[str, int], rows: int, floor: int
) -> None:
    total = sum(room.values())
    traffic = {label: count / total for label, count in room.items()}
    found = allocate(traffic, {}, room, ["a"], GoldenSpec(rows=rows, per_critical_label=floor))
    assert all(1 <= found[label] <= room[label] for label in room)
    floors = sum(min(most, max(1, floor) if label == "a" else 1) for label, most in room.items())
    assert sum(found.values()) == max(min(rows, total), floors)


def test_a_label_without_traffic_weighs_nothing_and_the_digest_follows_the_weights() -> None:
    rows = pl.DataFrame({"row_id": ["1", "2"], "text": ["x", "y"], "label": ["a", "b"]})
    assert weighted(rows, {"a": 1.0})["weight"].to_list() == [2.0, 0.0]
    one, two = weighted(rows, {"a": 0.5, "b": 0.5}), weighted(rows, {"a": 0.6, "b": 0.4})
    assert golden_digest(one) == golden_digest(one.reverse()) != golden_digest(two)
