"""Groups and their split: joined by conversation and user, the same every week."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.datasets.groups import grouped, hashed_split
from mangaops.vocabulary import Split

SHARES = {Split.TRAIN: 0.7, Split.VALIDATION: 0.1, Split.GOLDEN: 0.2}


def frame(*pairs: tuple[str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row_id": [f"r{i}" for i in range(len(pairs))],
            "conversation_id": [pair[0] for pair in pairs],
            "user_id": [pair[1] for pair in pairs],
        },
        schema={"row_id": pl.String, "conversation_id": pl.String, "user_id": pl.String},
    )


def test_rows_join_through_conversations_and_users_and_lone_rows_stay_alone() -> None:
    rows = frame(
        ("c1", "u1"), ("c2", "u1"), ("c2", "u2"), ("c3", None), (None, "u3"), (None, None), (None, None)
    )
    groups = grouped(rows, "key")["group"].to_list()
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 5


def test_the_key_stays_as_a_user_gains_conversations_and_depends_on_the_secret() -> None:
    before = grouped(frame(("c1", "u1")), "key")["group"][0]
    after = grouped(frame(("c1", "u1"), ("c2", "u1"), ("c3", "u1")), "key")["group"].unique().to_list()
    assert after == [before]
    assert grouped(frame(("c1", "u1")), "another key")["group"][0] != before


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from(["x", "y", "z", None])), max_size=12
    )
)
@settings(max_examples=200, deadline=None)
def test_groups_are_the_connected_components(pairs: list[tuple[str | None, str | None]]) -> None:
    groups = grouped(frame(*pairs), "key")["group"].to_list()
    parent = list(range(len(pairs)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, a in enumerate(pairs):
        for j, b in enumerate(pairs):
            if any(x is not None and x == y for x, y in zip(a, b, strict=True)):
                parent[root(i)] = root(j)
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            assert (groups[i] == groups[j]) == (root(i) == root(j))


def test_shares_are_met_and_a_larger_training_share_moves_no_golden_group() -> None:
    rows = frame(*((f"c{i}", f"u{i}") for i in range(20_000)))
    groups = grouped(rows, "key")["group"]
    split = hashed_split(groups, SHARES, "key")
    found = dict(split.value_counts(normalize=True).iter_rows())
    assert all(abs(found[name.value] - share) < 0.015 for name, share in SHARES.items())
    wider = hashed_split(groups, {Split.TRAIN: 0.75, Split.VALIDATION: 0.05, Split.GOLDEN: 0.2}, "key")
    assert ((split == "golden") == (wider == "golden")).all()
