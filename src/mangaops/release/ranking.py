"""The lists of both pairs and both crosses, recorded as evidence of the release that they are of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import UsageError
from mangaops.evidence import Evidence
from mangaops.inference.retrieval import Retrieval
from mangaops.metrics import METRICS, Ranked
from mangaops.registry import Permit, Release, UnitState
from mangaops.release.desk import Desk, Progress, binding, record_evidence, release_of, state
from mangaops.release.evaluate import golden_judgements
from mangaops.release.pairs import NO_RERANKER, Finds, PairModels, compare_pairs
from mangaops.vocabulary import Digest, EvidenceKind, Family, Side, Stage, Unjudged

REGISTERED: Final = {
    Family.EMBEDDING_ADAPTER: (Stage.ADAPTER, ("recall@3", "ndcg@10")),
    Family.CROSS_ENCODER_RERANKER: (Stage.SEARCH, ("mrr@10", "ndcg@10")),
}
"""What the registry record of each model of a pair shows: the adapter its own lists, the reranker what users
get. Unjudged items count as irrelevant there."""


def rank_pair(
    desk: Desk,
    unit: str,
    release: str,
    baseline: PairModels | Finds,
    ours: PairModels,
    golden: SearchSnapshot,
    *,
    reason: str,
    against: Digest | None = None,
    new: Iterable[str] = (),
    progress: Progress = None,
) -> Evidence:
    """Ranking evidence is recorded: the lists of the golden queries by both sides and both crosses.

    `baseline` is the champion's pair, or the plain baseline in its place; `against` the digest of what it
    searches for, None: whatever stands there when measuring begins. `new`: items that are new in the
    catalogue (`new_titles`).

    Raises:
        UsageError: the models are not those of the release, or not those of the champion.
        InputError, IntegrityError: as `compare_pairs`.
        RevisionConflict: the champion changed meanwhile.
    """
    bound = binding(desk, unit, release, golden.digest, against=against)
    current = state(desk, unit)
    _require_own(current, release_of(current, release), ours, Side.RELEASE)
    champion = next((each for each in current.releases.values() if each.digest == bound.baseline), None)
    _require_own(current, champion, baseline, Side.BASELINE)
    lists = compare_pairs(baseline, ours, golden, new=new, progress=progress)
    facts = {**lists.facts, "golden_judgements": golden_judgements(desk, unit, release, golden.digest)}
    evidence = Evidence(EvidenceKind.RANKING, bound, facts, lists.tables)
    metrics = registered_metrics(desk, current, release, Ranked.of(evidence))
    return record_evidence(desk, unit, release, evidence, reason=reason, metrics=metrics)


def pair_models(retrieval: Retrieval, permits: Mapping[str, Permit]) -> PairModels:
    """The models of a loaded release as they are compared; its permits say which artifacts they are."""
    digests = {each.family: each.artifact for each in permits.values() if each.family is not None}
    return PairModels(
        digests[Family.EMBEDDING_ADAPTER],
        retrieval.embedder,
        retrieval.shelf,
        digests.get(Family.CROSS_ENCODER_RERANKER, NO_RERANKER),
        retrieval.reranker,
        retrieval.search.depth,
    )


def new_titles(golden: SearchSnapshot, before: SearchSnapshot) -> list[str]:
    """The items of the catalogue that the version which the baseline learnt from does not hold."""
    items = golden.items.join(before.items.select("item_id"), on="item_id", how="anti")
    found: list[str] = items.get_column("item_id").sort().to_list()
    return found


def registered_metrics(
    desk: Desk, current: UnitState, release: str, ranked: Ranked
) -> dict[str, dict[str, float]]:
    """What the registry record shows of each model of the release; what is not defined here is left out."""
    found: dict[str, dict[str, float]] = {}
    for model in release_of(current, release).models:
        stage, names = REGISTERED.get(desk.stack.models[model].family, (Stage.SEARCH, ()))
        lists = replace(ranked, stage=stage, unjudged=Unjudged.IRRELEVANT)
        values = {name: METRICS[name].rows(lists, None).value(Side.RELEASE) for name in names}
        found[model] = {name: value for name, value in values.items() if math.isfinite(value)}
    return found


def _require_own(current: UnitState, subject: Release | None, given: PairModels | Finds, side: Side) -> None:
    """Nothing happens where the models are those of the release that they are said to be of.

    Raises:
        UsageError: they are not.
    """
    wanted = _artifacts(current, subject) if subject is not None else ()
    found = (given.adapter, given.reranker) if isinstance(given, PairModels) else ()
    if found == wanted:
        return
    named = subject.name if subject is not None else "the plain baseline"
    raise UsageError(
        f"measuring the lists of {named} as {side} was refused: these are not its models",
        found=" and ".join(each[:19] for each in found) or "a search that is no pair of models",
        accepted=" and ".join(each[:19] for each in wanted) or "a search that is no pair, such as BM25",
        next_step="load the release by its permits: mangaops.release.ranking.pair_models",
    )


def _artifacts(current: UnitState, subject: Release) -> tuple[Digest, ...]:
    """Adapter and reranker of a release."""
    records = [current.models[f"{model}@{version}"] for model, version in subject.models.items()]
    families = {record.family: record.artifact for record in records}
    adapter = families.get(Family.EMBEDDING_ADAPTER, NO_RERANKER)
    return adapter, families.get(Family.CROSS_ENCODER_RERANKER, NO_RERANKER)
