"""A real adapter and reranker that are trained for a moment, and variants of them that say who answered.

For benches and tests of serving: the embedded base through the real recipes, on a simulated shop. A variant
has adapter, index and reranker of its own. Its adapter gives the same vectors with their numbers in another
order, which fit no other variant's index; its items have ids of their own (`sim-item-0007.2`); and its
reranker's scores are shifted by its number. So an answer tells which three gave it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.inference.catalogue import Catalogue, Item, reading
from mangaops.inference.embedder import Embedder, assemble_embedder
from mangaops.inference.families import serving
from mangaops.inference.fingerprint import fingerprint
from mangaops.inference.index import build
from mangaops.inference.manifest import MANIFEST, seal
from mangaops.inference.probes import PROBES_FILE, SealedProbes, seal_probes
from mangaops.inference.reranker import assemble_reranker
from mangaops.inference.retrieval import Query, Retrieval
from mangaops.inference.session import MODEL
from mangaops.inference.vectors import Vectors
from mangaops.pipeline.workshop import Progress
from mangaops.simulation.outcome import marked
from mangaops.simulation.queries import queries
from mangaops.simulation.shop import shop
from mangaops.stack import ModelSpec
from mangaops.training import RECIPES, AdapterTraining, Drawn, PairRequest, RerankerTraining
from mangaops.vocabulary import Digest, Family

ADAPTER: Final = "adapter"
RERANKER: Final = "reranker"
INDEX: Final = "index"
FAMILIES: Final = {ADAPTER: Family.EMBEDDING_ADAPTER, RERANKER: Family.CROSS_ENCODER_RERANKER}
DATA: Final = "bench"

_SEED: Final = 3
_TITLES: Final = 200
_QUERIES: Final = 60
_SIDES: Final = {"train": (0, 40), "validation": (40, 60)}
_POOL: Final = 8
ASKED: Final = 40
"""Questions that users of a scratch world ask, over and over."""

_MARKS: Final = "marks.json"
_STEP: Final = 17


@dataclass(frozen=True)
class PairVariant:
    """A sealed adapter, reranker and index in `folder`; `depth` items are reranked."""

    folder: Path
    number: int
    fingerprints: Mapping[str, str]

    @property
    def marks(self) -> tuple[str, ...]:
        """What tells this variant's answer to each question, as `marked` does."""
        return tuple(json.loads((self.folder / _MARKS).read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def titles() -> dict[str, Item]:
    """The simulated shop: columns of each item by its id."""
    wanted = ("title", "synopsis", "tags", "genres", "price", "stock", "language", "age_rating")
    rows = shop(_SEED, _TITLES).rename({"price_yen": "price"}, strict=False)
    held = rows.select("item_id", *(name for name in wanted if name in rows.columns))
    return {str(row.pop("item_id")): row for row in held.iter_rows(named=True)}


@lru_cache(maxsize=1)
def _asked() -> tuple[pl.DataFrame, pl.DataFrame]:
    return queries(_SEED, _QUERIES, shop(_SEED, _TITLES))


def questions() -> tuple[str, ...]:
    """What is searched for, each once."""
    return tuple(_asked()[0]["query"].unique(maintain_order=True).head(ASKED))


def scratch_pair(folder: Path, progress: Progress | None = None) -> Path:
    """`folder` holds a sealed `adapter` and a sealed `reranker`, int8 as the recipes make them."""
    options: dict[str, AdapterTraining | RerankerTraining] = {
        ADAPTER: AdapterTraining(hidden=32, steps=10, batch=16, checks=1, mined_to=50, max_tokens=64),
        RERANKER: RerankerTraining(layers=2, depth=20, epochs=1, network="always", int8_correlation=0.9),
    }
    for name, training in options.items():
        RECIPES[FAMILIES[name]](_request(name, training), folder / name, progress)
    return folder


def _request(name: str, training: AdapterTraining | RerankerTraining) -> PairRequest:
    asked, judged = _asked()
    order = {query: number for number, query in enumerate(asked["query_id"])}
    numbered = judged.with_columns(number=pl.col("query_id").replace_strict(order, return_dtype=pl.Int64))
    train, validation = (
        numbered.filter(pl.col("number").is_between(low, high, closed="left")).drop("number")
        for low, high in _SIDES.values()
    )
    ranked = judged.select("query_id", "item_id", rank=pl.int_range(1, pl.len() + 1).over("query_id"))
    drawn = ranked.filter(pl.col("rank") <= _POOL).with_columns(similarity=1 / pl.col("rank"))
    return PairRequest(
        model=name,
        version_hint=DATA,
        spec=ModelSpec(family=FAMILIES[name], base="minilm-l6", data=DATA, training=training),
        snapshot_digest="sha256:" + "0" * 64,
        snapshot_name=DATA,
        items=pl.DataFrame(
            {"item_id": list(titles()), "text": [reading(each) for each in titles().values()]}
        ),
        train=train,
        validation=validation,
        seed=1,
        code_sha="0" * 40,
        candidates=drawn if name == RERANKER else None,
        candidates_from=Drawn(f"{ADAPTER}@v1", "sha256:" + "0" * 64) if name == RERANKER else None,
    )


def pair_variant(pair: Path, folder: Path, number: int) -> PairVariant:
    """`folder` holds variant `number` of the pair, which is made where it is not there yet."""
    if not (folder / _MARKS).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        digest = _copied(pair, folder, ADAPTER, number)
        _copied(pair, folder, RERANKER, number)
        made = _indexed(folder, number, digest)
        says = serving(Family.EMBEDDING_ADAPTER).says
        marks = [marked(says(made.answer(Query(each)))["items"]) for each in questions()]
        (folder / _MARKS).write_text(json.dumps(marks), encoding="utf-8")
    return PairVariant(folder, number, {name: fingerprint(folder / name) for name in FAMILIES})


def _copied(pair: Path, folder: Path, name: str, number: int) -> Digest:
    """The sealed model is there with another end of its graph, sealed anew."""
    to = folder / name
    shutil.copytree(pair / name, to, ignore=shutil.ignore_patterns(MANIFEST, PROBES_FILE))
    for path in [to, *to.iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # what lies in a store may not be written
    _end_otherwise(to / MODEL, name, number)
    sealed = SealedProbes.model_validate_json((pair / name / PROBES_FILE).read_bytes())
    seal_probes(to, sealed.tolerance)
    return seal(to)


def _end_otherwise(path: Path, name: str, number: int) -> None:
    """An adapter's numbers are rolled by some places; to a reranker's score `number` is added."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    output = graph.output[0].name
    for node in graph.node:
        for place, given in enumerate(node.output):
            if given == output:
                node.output[place] = "plain"
    own: NDArray[Any]
    if name == ADAPTER:
        width = graph.output[0].type.tensor_type.shape.dim[1].dim_value
        own = np.roll(np.arange(width, dtype=np.int64), _STEP * number)
        end = helper.make_node("Gather", ["plain", "own"], [output], axis=1)
    else:
        own = np.asarray(number, dtype=np.float32)
        end = helper.make_node("Add", ["plain", "own"], [output])
    graph.initializer.append(numpy_helper.from_array(own, "own"))
    graph.node.append(end)
    onnx.save(model, str(path))


def _indexed(folder: Path, number: int, adapter: Digest) -> Retrieval:
    """The variant's index stands in `folder`, of vectors that its adapter made; gives the whole of it."""
    items: dict[str, Any] = {f"{each}.{number}": item for each, item in titles().items()}
    catalogue = Catalogue(DATA, "sha256:" + f"{number:064x}", 0, items)
    embedder: Embedder = assemble_embedder(folder / ADAPTER, ADAPTER)
    rows = embedder.vectors([reading(item) for item in items.values()])
    index = build(Vectors(tuple(items), rows, adapter, catalogue.digest))
    place = folder / INDEX
    place.mkdir()
    catalogue.write(place)
    index.save(place)
    return Retrieval(
        embedder, assemble_reranker(folder / RERANKER, RERANKER), index, catalogue, depth_of(folder)
    )


def depth_of(folder: Path) -> int:
    """How many items the variant's reranker reads."""
    import yaml

    from mangaops.inference.assembling import CONFIG

    said = yaml.safe_load((folder / RERANKER / CONFIG).read_bytes())
    return int(said["training"]["depth"])
