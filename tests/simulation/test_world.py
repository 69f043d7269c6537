import hashlib
from collections import Counter
from datetime import UTC
from itertools import pairwise

import polars as pl
import pytest

from mangaops.errors import UsageError
from mangaops.simulation import LABELS, SHARES, Rates, Week, World
from mangaops.simulation.catalogue import catalogue, catalogue_frame


@pytest.fixture(scope="module")
def week() -> Week:
    return World(11).week(3, 2500)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = text.lower().split()
    return frozenset(tuple(words[at : at + 3]) for at in range(len(words) - 2))


def _near_duplicates(texts: list[str]) -> int:
    """Texts whose shingles overlap another's at 0.8 or more: candidates by the rarest fifth of shingles."""
    sets = [_shingles(text) for text in texts]
    count = Counter(each for some in sets for each in some)
    holders: dict[tuple[str, ...], list[int]] = {}
    near: set[int] = set()
    for at, some in enumerate(sets):
        rarest = sorted(some, key=lambda each: (count[each], each))[: len(some) // 5 + 1]
        for other in {each for shingle in rarest for each in holders.get(shingle, [])}:
            both = len(some & sets[other])
            if both >= 0.8 * (len(some) + len(sets[other]) - both):
                near |= {at, other}
        for shingle in rarest:
            holders.setdefault(shingle, []).append(at)
    return len(near)


def _share(rows: pl.Series, value: str) -> float:
    return float((rows == value).mean() or 0.0)


def test_labels_have_the_stated_shares(week: Week) -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    for label, stated in SHARES.items():
        spread = 4.5 * (stated * (1 - stated) / week.truth.height) ** 0.5  # turns of a thread are alike
        assert _share(week.truth["label"], label) == pytest.approx(stated, abs=spread), label


def test_kinds_and_languages_have_the_stated_shares(week: Week) -> None:
    kind = week.truth["kind"]
    assert _share(kind, "multi_intent") == pytest.approx(0.18, abs=0.02)
    assert _share(kind, "out_of_scope") == pytest.approx(0.05, abs=0.012)
    assert _share(week.logs["language"], "ja-en") == pytest.approx(0.09, abs=0.02)


def test_out_of_scope_is_labelled_by_the_guideline(week: Week) -> None:
    outside = week.truth.filter(pl.col("kind") == "out_of_scope")
    assert set(outside["label"]) == {"chitchat", "faq"}


def test_annotators_err_at_the_stated_rate_and_say_that_they_are_simulated(week: Week) -> None:
    wrong = (week.logs["label"] != week.truth["label"]).mean()
    assert wrong == pytest.approx(0.035, abs=0.01)
    assert set(week.logs["label_source"]) == {"simulated-annotator"}
    assert set(week.logs["label"]) == set(LABELS)


def test_logs_and_truth_are_row_by_row_the_same_requests(week: Week) -> None:
    assert week.logs["request_id"].to_list() == week.truth["request_id"].to_list()
    assert week.logs["request_id"].n_unique() == week.logs.height


def test_same_seed_gives_the_same_week_whatever_was_generated_before() -> None:
    world = World(5)
    world.week(0, 50)
    again = World(5).week(2, 120)
    assert world.week(2, 120).logs.equals(again.logs)
    assert not World(6).week(2, 120).logs["text"].equals(again.logs["text"])


def test_the_rows_are_those_that_the_documented_figures_were_measured_on() -> None:
    def digest(frame: pl.DataFrame) -> str:
        rows = frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    made = World(7).week(3, 200)
    digests = [digest(frame) for frame in (made.logs, made.truth, catalogue_frame(7))]
    assert digests == ["57164397cba5a1ae", "8724022e5265f777", "b0a0760c32d5b7b7"]


def test_longer_texts_are_distinct_and_seldom_near_duplicates() -> None:
    world = World(2)
    texts = [text for at in range(3) for text in world.week(at, 900).logs["text"] if len(text.split()) >= 6]
    assert len(set(texts)) / len(texts) >= 0.95
    assert _near_duplicates(texts) / len(texts) < 0.05


def test_some_users_paste_the_same_text_and_stock_phrases_repeat(week: Week) -> None:
    pasted = week.truth.filter(pl.col("kind") == "pasted").join(week.logs, on="request_id")
    assert 0.004 < pasted.height / week.logs.height < 0.03
    phrase = (
        pl.col("text").str.to_lowercase().str.strip_chars(" !.,").is_in(["ok", "yes", "thank you", "thanks"])
    )
    assert week.logs.filter(phrase)["conversation_id"].n_unique() > 10


def test_a_user_repeats_an_earlier_message_of_the_conversation_with_its_label() -> None:
    made = World(3, Rates(pasted=0.5)).week(0, 60)
    rows = made.logs.join(made.truth.rename({"label": "true"}), on="request_id")
    repeated = rows.filter(pl.len().over("conversation_id", "text") > 1)
    assert repeated.height > 20
    assert repeated.group_by("conversation_id", "text").agg(pl.col("true").n_unique())["true"].max() == 1


def test_conversations_have_one_to_eight_turns_of_one_user_in_order_within_the_week(week: Week) -> None:
    talks = week.logs.group_by("conversation_id", maintain_order=True).agg(
        pl.len(), pl.col("user_id").n_unique().alias("users"), "turn", "at"
    )
    assert talks["len"].min() == 1
    assert talks["len"].max() == 8
    assert talks["users"].max() == 1
    assert all(turns == list(range(1, len(turns) + 1)) for turns in talks["turn"].to_list())
    assert all(all(a < b for a, b in pairwise(at)) for at in talks["at"].to_list())
    times = week.logs["at"]
    assert times.min().replace(tzinfo=UTC) >= week.begins
    assert times.max().replace(tzinfo=UTC) < week.ends
    assert times.is_sorted()


def test_users_persist_with_churn() -> None:
    world = World(4)
    first, next_, later = (set(world.week(at, 600).logs["user_id"]) for at in (0, 1, 12))
    assert len(first & next_) / len(first) > 0.25
    assert not first & later


def test_titles_and_wordings_drift() -> None:
    world = World(4)

    def mentioned(number: int) -> Counter[str]:
        text = " | ".join(world.week(number, 1200).logs["text"]).lower()
        return Counter({each.title: text.count(each.title.lower()) for each in catalogue(4)})

    def overlap(left: Counter[str], right: Counter[str]) -> float:
        return sum((left & right).values()) / max(1, min(left.total(), right.total()))

    now, soon, far = mentioned(0), mentioned(1), mentioned(20)
    assert overlap(now, soon) > overlap(now, far) + 0.15
    unreleased = [each.title for each in catalogue(4) if each.released > 6]
    assert sum(now[title] for title in unreleased) == 0
    assert sum(far[title] for title in unreleased) > 0


@pytest.mark.parametrize(("number", "conversations"), [(-1, 10), (0, 0)])
def test_a_week_that_cannot_be_is_refused(number: int, conversations: int) -> None:
    with pytest.raises(UsageError, match="simulated week was refused"):
        World(1).week(number, conversations)


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    World(1).week(0, 1000, lambda what, done, total: told.append((what, done, total)))
    assert told[-1] == ("simulating week 0", 1000, 1000)
