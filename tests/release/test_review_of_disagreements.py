"""A review from queue to evidence: sampling, blindness, CSV in and out, who may answer."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from desk_world import LABELS, WHY, Rigged, World, make_world, truth_of

from mangaops.errors import InputError, NotReviewable, UsageError
from mangaops.pipeline import verbs
from mangaops.release import answer_forms, evaluate, judge, review, review_queue, review_sheet, shadow
from mangaops.release.desk import state
from mangaops.stack import ReviewSpec
from mangaops.vocabulary import Action, Outcome

OTHER = evaluate.Pair(Rigged("champion", 0.1), Rigged("other", 0.1, "other"))


def answers(requests: int, differing: int, acting: int = 0) -> pl.DataFrame:
    """A shadow table in which the first `differing` get another label, the last `acting` another action."""
    return pl.DataFrame(
        {
            "seq": list(range(requests)),
            "request_id": [f"q{n}" for n in range(requests)],
            "group": [f"g{n // 2}" for n in range(requests)],
            "text": [f"text {n}" for n in range(requests)],
            "baseline_label": ["faq"] * requests,
            "release_label": ["promotion" if n < differing else "faq" for n in range(requests)],
            "baseline_action": ["route"] * requests,
            "release_action": ["route" if n < requests - acting else "clarify" for n in range(requests)],
            "disagrees": [n < differing or n >= requests - acting for n in range(requests)],
        }
    )


def outcomes(rows: int = 40) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row_id": [f"r{n}" for n in range(rows)],
            "group": [f"x{n}" for n in range(rows)],
            "text": [f"golden {n}" for n in range(rows)],
            "truth": ["faq" if n % 2 else "promotion" for n in range(rows)],
            "baseline_label": ["faq"] * rows,
            "release_label": ["faq" if n % 3 else "promotion" for n in range(rows)],
        }
    )


def queue(
    requests: int, differing: int, budget: int, planted: int = 5, seed: int = 0, acting: int = 0
) -> pl.DataFrame:
    spec = ReviewSpec(budget=budget, planted=planted)
    rng = np.random.default_rng(seed)
    table, plant = (
        answers(requests, differing, acting),
        partial(answer_forms.LABELS.plant, {"outcomes": outcomes()}),
    )
    return review_queue.build(table, plant, spec, review="review-1", rng=rng)


def test_all_disagreements_are_asked_where_they_fit_the_budget() -> None:
    asked = queue(100, 20, budget=20).filter(~pl.col("planted"))
    assert sorted(asked["seq"]) == list(range(20))
    assert set(asked["probability"]) == {1.0}


def test_over_the_budget_each_is_drawn_with_the_stored_probability() -> None:
    drawn = np.zeros(20)
    for seed in range(400):
        asked = queue(100, 20, budget=8, seed=seed).filter(~pl.col("planted"))
        assert asked.height == 8
        assert set(asked["probability"]) == {0.4}
        drawn[asked["seq"].to_numpy()] += 1
    assert np.abs(drawn / 400 - 0.4).max() < 0.1


def test_a_tenth_of_the_budget_asks_about_other_actions() -> None:
    asked = queue(200, 60, budget=40, acting=80).filter(~pl.col("planted"))
    acted, labelled = asked.filter("by_action"), asked.filter(~pl.col("by_action"))
    assert (acted.height, set(acted["probability"])) == (4, {4 / 80})
    assert (labelled.height, set(labelled["probability"])) == (36, {36 / 60})
    assert set(acted["baseline_label"]) == {"faq (route)"}
    assert set(acted["release_label"]) == {"faq (clarify)"}
    assert queue(200, 60, budget=40).filter("by_action").is_empty()


def test_planted_items_offer_the_truth_and_one_other_label() -> None:
    planted = queue(100, 20, budget=20, planted=12).filter("planted")
    assert planted.height == 12
    for row in planted.iter_rows(named=True):
        assert row["known"] in (row["baseline_label"], row["release_label"])
        assert row["baseline_label"] != row["release_label"]


def test_nothing_to_ask_gives_an_empty_queue() -> None:
    assert queue(50, 0, budget=10).is_empty()


def test_the_order_of_the_two_labels_tells_nothing() -> None:
    asked = pl.concat([queue(200, 150, budget=150, seed=seed) for seed in range(4)])
    assert 0.4 < asked["release_is_a"].mean() < 0.6


def test_the_export_tells_neither_sides_nor_planted_items(served: World) -> None:
    name = opened(served)
    lines = rows_of(review.export_review(served.desk, "router", name))
    assert list(lines[0]) == list(review_sheet.COLUMNS)
    assert all(line["A"] != line["B"] and line["answer"] == "" for line in lines)
    assert b"golden" not in review.export_review(served.desk, "router", name)


def opened(world: World) -> str:
    release = world.candidate()
    world.measure_offline(release, OTHER)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    shadow.replay(world.desk, "router", release, OTHER, world.traffic, reason=WHY)
    return review.open_review(world.desk, "router", release, seed=1, reason=WHY)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def filled(content: bytes, answer=lambda row: row["text"].split()[0]) -> list[dict[str, str]]:
    return [{**row, "answer": answer(row)} for row in rows_of(content)]


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, review_sheet.COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_answers_of_people_become_evidence(served: World, delimiter: str) -> None:
    name = opened(served)
    rows = filled(review.export_review(served.desk, "router", name, bom=True))
    people = replace(served.desk, actor="aiko")
    found = review.import_answers(people, "router", name, as_csv(rows, delimiter), reason="looked at all")
    assert found.facts["reviewer"] == "aiko"
    assert found.facts["unanswered"] == 0
    planted = found.tables["items"].filter("planted")
    assert (planted["answer"] == planted["known"]).all()
    assert review.find(state(served.desk, "router"), name)[1].answer == found.digest


def test_letters_stand_for_the_labels_of_their_columns(served: World) -> None:
    name = opened(served)
    exported = rows_of(review.export_review(served.desk, "router", name))
    rows = [{**row, "answer": "a" if n % 2 else "B"} for n, row in enumerate(exported)]
    found = review.import_answers(served.desk, "router", name, as_csv(rows), reason="done")
    given = dict(found.tables["items"].select("item_id", "answer").iter_rows())
    assert all(given[row["item_id"]] == row["A" if n % 2 else "B"] for n, row in enumerate(exported))


def test_a_partial_import_waits_and_can_be_gone_on_with(served: World) -> None:
    name = opened(served)
    rows = filled(review.export_review(served.desk, "router", name))
    rows[0]["answer"] = ""
    half = review.import_answers(served.desk, "router", name, as_csv(rows), reason="half")
    assert half.facts["unanswered"] == 1
    release = review.find(state(served.desk, "router"), name)[0]
    assert served.judged(release).outcome == Outcome.HOLD
    again = filled(review.export_review(served.desk, "router", name))
    whole = review.import_answers(served.desk, "router", name, as_csv(again), reason="the rest")
    assert whole.facts["unanswered"] == 0


def test_an_export_holds_the_answers_that_were_imported(served: World) -> None:
    name = opened(served)
    rows = filled(review.export_review(served.desk, "router", name))
    rows[0]["answer"] = ""
    review.import_answers(served.desk, "router", name, as_csv(rows), reason="half")
    assert rows_of(review.export_review(served.desk, "router", name)) == rows


def test_an_export_is_written_where_a_folder_is(served: World, tmp_path) -> None:
    shop, out = SimpleNamespace(desk=served.desk), tmp_path / "queue.csv"
    name = opened(served)
    release = review.find(state(served.desk, "router"), name)[0]
    assert verbs.export_review(shop, release, out, bom=False)["wrote"] == str(out)
    assert out.read_bytes() == review.export_review(served.desk, "router", name)
    assert [each.name for each in tmp_path.glob("queue*")] == ["queue.csv"]


def test_each_window_has_its_review_and_the_one_that_waits_is_asked_first(served: World, tmp_path) -> None:
    shop = SimpleNamespace(desk=served.desk)
    first = opened(served)
    release = review.find(state(served.desk, "router"), first)[0]
    window = shadow.Traffic(served.traffic.rows.head(served.traffic.rows.height // 2))
    later = shadow.replay(served.desk, "router", release, OTHER, window, reason=WHY)
    second = review.open_review(served.desk, "router", release, shadow=later.digest, seed=1, reason=WHY)
    assert second != first

    def exported(**named: str) -> str:
        return verbs.export_review(shop, release, tmp_path / "queue.csv", bom=False, **named)["review"]

    assert (exported(), exported(wanted=first)) == (second, first)
    answered = tmp_path / "answered.csv"
    answered.write_bytes(as_csv(filled(review.export_review(served.desk, "router", second))))
    with pytest.raises(InputError, match="--review"):
        verbs.import_answers(shop, release, answered, reason=WHY, wanted=first)
    assert verbs.import_answers(shop, release, answered, reason=WHY)["review"] == second
    assert exported() == first
    with pytest.raises(UsageError) as caught:
        exported(wanted="review-9")
    assert first in caught.value.accepted


@pytest.mark.parametrize(
    ("place", "found", "remedy"),
    [("no/such/x.csv", "no folder", "make the folder"), ("", "a folder of that name", "queue.csv")],
)
def test_an_export_to_no_file_names_the_folder(tmp_path, place: str, found: str, remedy: str) -> None:
    out = tmp_path / place
    with pytest.raises(UsageError) as caught:
        verbs.export_review(SimpleNamespace(), "router-1", out, bom=False)
    assert found in caught.value.found
    assert remedy in caught.value.next_step
    assert str(out.parent if place else out) in caught.value.message
    assert list(tmp_path.iterdir()) == []


def broken(kind: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    if kind == "unknown item":
        return [*rows, {**rows[0], "item_id": "ffffffffffff"}]
    if kind == "twice":
        return [*rows, rows[0]]
    if kind == "missing":
        return rows[1:]
    if kind == "edited":
        return [{**rows[0], "text": "something else"}, *rows[1:]]
    return [{**rows[0], "answer": "refund_please"}, *rows[1:]]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("unknown item", "an item of this review"),
        ("twice", "stands twice"),
        ("missing", "1 items of the review are missing"),
        ("edited", "column text was edited"),
        ("no label", "refund_please"),
    ],
)
def test_a_file_that_is_not_this_export_is_refused_as_a_whole(served: World, kind: str, says: str) -> None:
    name = opened(served)
    rows = broken(kind, filled(review.export_review(served.desk, "router", name)))
    before = state(served.desk, "router").revision
    with pytest.raises(InputError) as caught:
        review.import_answers(served.desk, "router", name, as_csv(rows), reason="done")
    assert says in caught.value.message
    assert kind == "missing" or "row" in caught.value.refused
    assert state(served.desk, "router").revision == before


LIKE_NUMBERS = ("3-4", "007", "1/2", " 7 ", "8\r\n9", "12345e678901", "true")
SAVED = {
    "3-4": "04-Mar",
    "007": "7",
    "1/2": "01-Feb",
    "12345e678901": "1.23E+11",
    "8\r\n9": "8\n9",
    "true": "TRUE",
}


def sheet() -> pl.DataFrame:
    """A queue with texts that a spreadsheet would rewrite."""
    items = queue(20, 12, budget=12, planted=0)
    texts = [*LIKE_NUMBERS, *items["text"][len(LIKE_NUMBERS) :]]
    return items.with_columns(text=pl.Series(texts))


def saved(rows: list[dict[str, str]], *, apostrophes: bool) -> list[dict[str, str]]:
    """The rows as a spreadsheet saves them, which keeps the apostrophe or, opened twice, has lost it."""
    bare = [{name: cell.removeprefix("'") for name, cell in row.items()} for row in rows]
    lost = [{**row, "text": SAVED.get(row["text"], row["text"].strip())} for row in bare]
    return [{**row, "answer": "A"} for row in (rows if apostrophes else lost)]


@pytest.mark.parametrize("apostrophes", [True, False])
def test_texts_that_a_spreadsheet_rewrites_come_back(*, apostrophes: bool) -> None:
    items = sheet()
    rows = saved(rows_of(review_sheet.to_csv(items)), apostrophes=apostrophes)
    taken = review_sheet.from_csv(items, as_csv(rows), LABELS, source="queue.csv")
    assert taken["answer"].null_count() == 0


def test_a_text_like_a_number_is_not_taken_for_words() -> None:
    items = sheet()
    rows = saved(rows_of(review_sheet.to_csv(items)), apostrophes=True)
    rows[1]["text"] = "where is it"
    with pytest.raises(InputError, match="column text was edited"):
        review_sheet.from_csv(items, as_csv(rows), LABELS, source="queue.csv")


def test_a_label_like_a_number_is_exported_as_text_and_its_column_stays_checked() -> None:
    items = queue(20, 12, budget=12, planted=0).with_columns(baseline_label=pl.lit("007"))
    rows = rows_of(review_sheet.to_csv(items))
    assert all("'007" in (row["A"], row["B"]) for row in rows)
    column = "A" if rows[0]["A"] == "'007" else "B"
    rows[0][column] = "7"
    with pytest.raises(InputError, match=f"column {column} was edited"):
        review_sheet.from_csv(items, as_csv(rows), LABELS, source="queue.csv")


def test_no_item_id_is_read_as_a_number() -> None:
    ids = queue(400, 300, budget=300)["item_id"]
    assert all(re.fullmatch("item-[0-9a-f]{12}", each) for each in ids)


def test_a_review_with_ids_of_bare_digits_still_comes_back() -> None:
    items = sheet().with_columns(item_id=pl.Series([f"{n:012d}" for n in range(12)]))
    rows = saved(rows_of(review_sheet.to_csv(items)), apostrophes=True)
    assert review_sheet.from_csv(items, as_csv(rows), LABELS, source="queue.csv")["answer"].null_count() == 0


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00binary", b"a,b\n1,2\n", b'item_id,text,A,B,answer\n"x']
)
def test_junk_is_refused_without_a_traceback(served: World, content: bytes) -> None:
    name = opened(served)
    with pytest.raises(InputError):
        review.import_answers(served.desk, "router", name, content, reason="done")


def test_an_import_without_any_answer_is_refused(served: World) -> None:
    name = opened(served)
    rows = filled(review.export_review(served.desk, "router", name), answer=lambda _row: "")
    with pytest.raises(NotReviewable):
        review.import_answers(served.desk, "router", name, as_csv(rows), reason="done")


def test_hidden_labels_answer_only_in_a_simulated_stack(tmp_path) -> None:
    world = make_world(tmp_path, simulated=False)
    world.bootstrapped()
    name = opened(world)
    with pytest.raises(NotReviewable):
        review.answer_by_truth(world.desk, "router", name, truth_of(world.traffic), reason=WHY)


def test_hidden_labels_are_named_as_actor_in_the_ledger(served: World) -> None:
    name = opened(served)
    found = review.answer_by_truth(served.desk, "router", name, truth_of(served.traffic), reason=WHY)
    assert found.facts["simulated"] is True
    assert served.desk.ledger.read("router")[-2].actor == review.HIDDEN_LABELS


def test_a_careless_reviewer_makes_the_review_an_error(served: World) -> None:
    name = opened(served)
    wrong = filled(
        review.export_review(served.desk, "router", name),
        answer=lambda row: next(label for label in LABELS if label != row["text"].split()[0]),
    )
    review.import_answers(served.desk, "router", name, as_csv(wrong), reason="careless")
    release = review.find(state(served.desk, "router"), name)[0]
    judged = served.judged(release)
    assert judged.outcome == Outcome.HOLD
    assert any("planted items" in finding.says for finding in judged.decision.findings)


def test_the_same_shadow_and_seed_are_one_review(served: World) -> None:
    name = opened(served)
    release = review.find(state(served.desk, "router"), name)[0]
    assert review.open_review(served.desk, "router", release, seed=1, reason=WHY) == name
    assert review.open_review(served.desk, "router", release, seed=2, reason=WHY) != name


def test_a_review_that_is_not_there_is_named_with_those_that_are(served: World) -> None:
    name = opened(served)
    with pytest.raises(UsageError) as caught:
        review.export_review(served.desk, "router", "review-99")
    assert name in caught.value.accepted


class Shy(Rigged):
    """Answers the same labels and asks back where the champion routes."""

    def answer(self, text: str):
        return replace(super().answer(text), action=Action.CLARIFY)


SHY = evaluate.Pair(Rigged("champion", 0.1), Shy("shy", 0.1))


def shadowed_shy(world: World) -> str:
    release = world.candidate()
    world.measure_offline(release, SHY)
    judge.judge_offline(world.desk, "router", release, dataset=world.dataset, reason=WHY)
    shadow.replay(world.desk, "router", release, SHY, world.traffic, reason=WHY)
    return release


def test_a_release_that_asks_back_everywhere_waits_for_people_and_is_held(served: World) -> None:
    release = shadowed_shy(served)
    assert served.judged(release).outcome == Outcome.HOLD
    name = review.open_review(served.desk, "router", release, seed=1, reason=WHY)
    rows = rows_of(review.export_review(served.desk, "router", name))
    assert any("(clarify)" in row["A"] + row["B"] for row in rows)
    champions = [{**row, "answer": preferred(row, clarify=False)} for row in rows]
    review.import_answers(served.desk, "router", name, as_csv(champions), reason="asking back is worse")
    held = served.judged(release)
    assert held.outcome == Outcome.HOLD
    assert any("prefer the baseline's action" in finding.says for finding in held.decision.findings)


def test_a_release_whose_asking_back_people_prefer_is_promoted(served: World) -> None:
    release = shadowed_shy(served)
    name = review.open_review(served.desk, "router", release, seed=1, reason=WHY)
    rows = rows_of(review.export_review(served.desk, "router", name))
    wanted = [{**row, "answer": preferred(row, clarify=True)} for row in rows]
    review.import_answers(served.desk, "router", name, as_csv(wanted), reason="asking back is better")
    assert served.judged(release).outcome == Outcome.PROMOTE


def preferred(row: dict[str, str], *, clarify: bool) -> str:
    """The letter of the side that asks back, or of the other; the true label where no action is shown."""
    acts = (letter for letter in "AB" if "(" in row[letter] and ("(clarify)" in row[letter]) == clarify)
    return next(acts, row["text"].split()[0])


def test_hidden_labels_prefer_asking_back_where_the_label_is_wrong(served: World) -> None:
    name = review.open_review(served.desk, "router", shadowed_shy(served), seed=1, reason=WHY)
    truth = truth_of(served.traffic)
    found = review.answer_by_truth(served.desk, "router", name, truth, reason=WHY)
    for row in found.tables["items"].filter("by_action").iter_rows(named=True):
        right = row["baseline_label"].startswith(truth[row["request_id"]])
        assert row["answer"].endswith(f"({row['baseline_action'] if right else 'clarify'})")


def test_where_no_answer_differs_the_review_is_answered_as_it_opens(served: World) -> None:
    pair = evaluate.Pair(Rigged("champion", 0.1), Rigged("equal", 0.1))
    release = served.candidate()
    served.measure_offline(release, pair)
    judge.judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY)
    shadow.replay(served.desk, "router", release, pair, served.traffic, reason=WHY)
    review.open_review(served.desk, "router", release, seed=1, reason=WHY)
    ref = state(served.desk, "router").releases[release].reviews[-1]
    assert ref.actor == review.NOBODY
    assert served.judged(release).outcome == Outcome.PROMOTE
