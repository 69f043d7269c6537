"""A version of search data to adapter, candidates, reranker and index: what a pair of models is made from.

snapshot ─▶ adapter ─▶ vectors of the catalogue ─┬─▶ candidates ─▶ reranker
                                                 └─▶ index
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from mangaops.datasets.search_data import item_text, items_by_id
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.inference import Embedder, load_embedder
from mangaops.inference.catalogue import Catalogue, Item
from mangaops.inference.index import build
from mangaops.inference.vectors import Vectors
from mangaops.pipeline.embedding_run import embed_catalogue
from mangaops.pipeline.steps import code_sha
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import Permit
from mangaops.stack import IndexParameters, ModelSpec
from mangaops.store import CatalogueLog, EmbeddedChunks
from mangaops.training import Drawn, PairRequest, RerankerTraining, draw_candidates
from mangaops.vocabulary import Digest, Split


def pair_request(model: str, spec: ModelSpec, snapshot: SearchSnapshot, cache: Path) -> PairRequest:
    """What the recipe of a model of a pair is asked to train, without candidates; vectors of the base are
    kept in `cache`."""
    return PairRequest(
        model=model,
        version_hint=snapshot.name,
        spec=spec,
        snapshot_digest=snapshot.digest,
        snapshot_name=snapshot.name,
        items=read_items(snapshot),
        train=_known(snapshot, Split.TRAIN),
        validation=_known(snapshot, Split.VALIDATION),
        seed=int(getattr(spec.training, "seed", 0)),
        code_sha=code_sha(),
        cache=cache,
    )


def with_candidates(
    request: PairRequest, items: Vectors, embedder: Embedder, by: Drawn, progress: Progress
) -> PairRequest:
    """The same request of a reranker, with what this adapter draws from its vectors of the items."""
    options = request.spec.training
    assert isinstance(options, RerankerTraining)
    asked = pl.concat([request.train, request.validation]).unique("query_id", maintain_order=True)
    drawn = draw_candidates(items, embedder, asked, options.depth, progress)
    return replace(request, candidates=drawn, candidates_from=by)


def embed_items(
    snapshot: SearchSnapshot, embedder: Embedder, adapter: Digest, chunks: EmbeddedChunks, progress: Progress
) -> Vectors:
    """The vectors of the snapshot's items by the adapter of that digest; what was made before is found."""
    return embed_catalogue(
        list(read_items(snapshot).iter_rows()),
        embedder.vectors,
        embedder=adapter,
        catalogue=catalogue_digest(snapshot),
        chunks=chunks,
        progress=progress,
    )


def read_items(snapshot: SearchSnapshot) -> pl.DataFrame:
    """What models read of each item: `item_id, text`."""
    return snapshot.items.select("item_id", text=item_text(snapshot.items))


def adapter_request(shop: Workshop, model: str, snapshot: SearchSnapshot) -> PairRequest:
    """What the adapter's recipe is asked to train."""
    return pair_request(model, shop.desk.stack.models[model], snapshot, shop.kept / "base")


def reranker_request(
    shop: Workshop, model: str, snapshot: SearchSnapshot, adapter: Permit, progress: Progress
) -> PairRequest:
    """What the reranker's recipe is asked to train: on candidates that this version of the adapter drew."""
    request, by = (
        adapter_request(shop, model, snapshot),
        Drawn(f"{adapter.model}@{adapter.version}", adapter.artifact),
    )
    items = embedded(shop, adapter, snapshot, progress)
    return with_candidates(request, items, _embedder(shop, adapter), by, progress)


def embedded(shop: Workshop, adapter: Permit, snapshot: SearchSnapshot, progress: Progress) -> Vectors:
    """The vectors of the snapshot's items by this version of the adapter; what was made before is found."""
    return embed_items(snapshot, _embedder(shop, adapter), adapter.artifact, shop.chunks, progress)


def build_index(
    shop: Workshop,
    adapter: Permit,
    snapshot: SearchSnapshot,
    parameters: IndexParameters,
    progress: Progress,
) -> Digest:
    """The index of the snapshot's items by this adapter is a stored artifact, its catalogue beside it."""
    data = shop.desk.stack.models[adapter.model].data
    catalogue = catalogue_of(shop, data, snapshot)
    index = build(embedded(shop, adapter, snapshot, progress), parameters, progress)
    with shop.making() as folder:
        place = folder / "index"
        place.mkdir()
        catalogue.write(place)
        index.save(place)
        return shop.desk.artifacts.put(place)


def catalogue_of(shop: Workshop, data: str, snapshot: SearchSnapshot) -> Catalogue:
    """The snapshot's items, and number and hash of the last delta that is among them."""
    items, log = items_by_id(snapshot.items), CatalogueLog(shop.desk.ledger, data)
    held = last_held(log, items)
    return Catalogue(data, catalogue_digest(snapshot), held, items, log.hash_of(held))


def last_held(log: CatalogueLog, items: Mapping[str, Item]) -> int:
    """The number of the last delta that the items hold, as they hold all before it; 0 where there is none.

    The log has the last word on what it names: an item that it added last is there just as it says, and one
    that it removed last is not. From the first delta on whose last word the items do not hold, slots apply
    the deltas again.
    """
    deltas = log.read()
    newest: dict[str, tuple[int, Item | None]] = {}
    for delta in deltas:
        newest |= {each: (delta.number, item) for each, item in delta.added.items()}
        newest |= dict.fromkeys(delta.removed, (delta.number, None))
    missing = [number for each, (number, said) in newest.items() if items.get(each) != said]
    return min(missing) - 1 if missing else (deltas[-1].number if deltas else 0)


def last_delta(shop: Workshop, data: str) -> int:
    """The number of the newest delta of the data's catalogue; 0 where there is none."""
    return CatalogueLog(shop.desk.ledger, data).last()


def catalogue_digest(snapshot: SearchSnapshot) -> Digest:
    """The digest of the snapshot's items."""
    return str(snapshot.manifest["tables"]["items"])


def _known(snapshot: SearchSnapshot, split: Split) -> pl.DataFrame:
    """What was judged of the split's queries, of items that the catalogue has."""
    return snapshot.judged(split).join(snapshot.items.select("item_id"), on="item_id", how="semi")


def _embedder(shop: Workshop, adapter: Permit) -> Embedder:
    return load_embedder(shop.desk.artifacts.open(adapter.artifact), adapter)
