from __future__ import annotations

import ast
from pathlib import Path

import pytest

import histories as h
import mangaops
from mangaops.errors import Untracked
from mangaops.registry import Draft, Permit, UnitState, fold, measuring, permit, record, untrained
from mangaops.vocabulary import EvidenceKind, Family, Part, Purpose

FIRST = [h.model(1), h.release(1)]
LIVES: dict[str, list[Draft]] = {
    "candidate": FIRST,
    "challenger": [*FIRST, h.passed(1)],
    "shadow": [*FIRST, h.passed(1), h.shadowed(1)],
    "champion": h.weeks(1),
    "pointer": h.weeks(2),
    "retired": [*h.weeks(3), h.rolled_back(3, h.FALLBACK, 4)],
    "rejected": [*FIRST, h.rejected(1)],
    "withdrawn": [*FIRST, h.withdrawn(1)],
    "rolled_back": [*h.weeks(1), h.rolled_back(1, h.FALLBACK, 2)],
}
MAY: dict[Purpose, set[str]] = {
    Purpose.MEASURE: {"candidate", "challenger", "shadow", "champion", "pointer", "retired", "rolled_back"},
    Purpose.SHADOW: {"challenger", "shadow", "champion", "pointer"},
    Purpose.SERVE: {"champion", "pointer"},
}


def state(life: str) -> UnitState:
    return fold(h.sealed(LIVES[life]))


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("purpose", Purpose)
def test_a_permit_is_given_in_the_states_that_the_purpose_allows(life: str, purpose: Purpose) -> None:
    if life in MAY[purpose]:
        assert permit(state(life), "router-1", purpose) == {
            "intent-classifier": Permit(
                "intent-classifier",
                "v1",
                h.digest("artifact 1"),
                "fingerprint-1",
                Family.INTENT_CLASSIFIER,
            )
        }
    else:
        with pytest.raises(Untracked, match=f"to {purpose} was refused: it is"):
            permit(state(life), "router-1", purpose)


def test_what_the_ledger_does_not_list_gets_no_permit() -> None:
    with pytest.raises(Untracked, match="no such release"):
        permit(state("champion"), "router-9", "serve")
    with pytest.raises(Untracked, match="no release is registered"):
        permit(UnitState("router"), "router-1", "serve")


def test_nothing_but_the_registry_makes_permits() -> None:
    """A guard over the whole tree: a permit made by hand would load what the ledger does not list."""
    makers = []
    for path in Path(mangaops.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Permit"
            ):
                makers.append(path.name)
    assert set(makers) == {"permit.py"}


def test_a_record_has_exactly_its_six_fields() -> None:
    late = h.evidence(1, EvidenceKind.LATENCY, metrics={"intent-classifier": {"p95_latency_ms": 9.5}})
    found = record(fold(h.sealed([*FIRST, h.evidence(1), late])), "intent-classifier@v1")
    assert found == {
        "model_name": "intent-classifier",
        "version": "v1",
        "dataset_version": "intent-data-2026-04-20",
        "training_code_sha": "abc123",
        "metrics": {"accuracy": 0.92, "p95_latency_ms": 9.5, "parity": 0.997, "rare_accuracy": 0.88},
        "status": "candidate",
    }
    assert list(found["metrics"]) == sorted(found["metrics"])


@pytest.mark.parametrize(
    ("life", "status"), [(life, "retired" if life == "pointer" else life) for life in LIVES]
)
def test_the_status_is_that_of_the_newest_release_that_holds_the_model(life: str, status: str) -> None:
    assert record(state(life), "intent-classifier@v1")["status"] == status


def test_a_model_that_no_release_holds_is_registered() -> None:
    assert record(fold(h.sealed([h.model(1)])), "intent-classifier@v1")["status"] == "registered"


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"best_step": 0.0}, "m@v1 is its untrained base"),
        ({"best_step": 60.0}, ""),
        ({"epochs": 0.0, "weighed_ndcg": 0.7, "drawn_ndcg": 0.7}, "m@v1 leaves the order of retrieval alone"),
        ({"epochs": 0.0, "weighed_ndcg": 0.8, "drawn_ndcg": 0.7}, ""),
        ({"epochs": 1.0, "weighed_ndcg": 0.7, "drawn_ndcg": 0.7}, ""),
        ({"accuracy": 0.9}, ""),
    ],
)
def test_a_model_that_answers_as_before_it_learnt_is_told(metrics: dict[str, float], says: str) -> None:
    told = untrained("m@v1", metrics)
    assert told.startswith(says)
    assert bool(told) == bool(says)


def test_a_model_that_the_ledger_does_not_list_has_no_record() -> None:
    with pytest.raises(Untracked, match="intent-classifier@v9"):
        record(state("champion"), "intent-classifier@v9")
    with pytest.raises(Untracked, match="no model is registered"):
        record(UnitState("router"), "intent-classifier@v1")


def test_a_model_version_is_measured_by_itself_where_the_ledger_lists_it() -> None:
    found = measuring(state("candidate"), "intent-classifier@v1")
    assert (found.artifact, found.family) == (h.digest("artifact 1"), Family.INTENT_CLASSIFIER)
    with pytest.raises(Untracked, match="does not list it"):
        measuring(state("candidate"), "intent-classifier@v9")


def test_a_part_of_a_release_has_a_permit_beside_its_models() -> None:
    told = [h.model(1), h.release(1, parts={Part.INDEX: h.digest("index")})]
    found = permit(fold(h.sealed(told)), "router-1", Purpose.MEASURE)
    assert list(found) == ["intent-classifier", "index"]
    assert (found["index"].artifact, found["index"].family) == (h.digest("index"), None)
