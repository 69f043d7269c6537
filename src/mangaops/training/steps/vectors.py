"""Embeddings of the frozen base: computed once for each text, and kept by what they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from mangaops.inference.answer import side_by_side
from mangaops.inference.embedder import Embedder
from mangaops.inference.preprocessing import Encoder
from mangaops.inference.session import session
from mangaops.training.steps.bases import Base, files
from mangaops.training.steps.embedding import Embedding
from mangaops.training.steps.export import to_onnx
from mangaops.training.steps.sealing import libraries

_TOGETHER: Final = 512
_KEY_BYTES: Final = 32

Embed = Callable[[str], NDArray[np.float32]]
Told = Callable[[str, int, int], None]


class Source:
    """The frozen base of one training; `cache` has a place for exactly its files, reading and libraries."""

    def __init__(
        self, base: Base, reads: Encoder, network: Embedding, cache: Path | None, scratch: Path, told: Told
    ) -> None:
        self._reads, self._network, self._scratch, self._told = reads, network, scratch, told
        depends_on = {
            "files": files(base.name),
            "pooling": network.pooling,
            "preprocessing": reads.preprocessing.model_dump(),
            "libraries": libraries(),
        }
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        self._kept = cache / key if cache is not None else None

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The base's vector of each text; its graph is exported only where one is not kept yet."""
        return kept_vectors(texts, self._opened, self._kept, self._told)

    def _opened(self) -> Embed:
        self._told("exporting the base to ONNX", 0, 1)
        to_onnx(self._network, self._scratch / "base.onnx", output="vector")
        return Embedder("base", self._reads, session(self._scratch, file="base.onnx")).vector


def kept_vectors(
    texts: Sequence[str],
    opened: Callable[[], Embed],
    kept: Path | None,
    told: Told,
) -> NDArray[np.float32]:
    """The vector of each text, in order; `opened` is called only if a text's is not in the folder `kept`.

    Each text is embedded alone, so that its vector hangs on nothing beside it. Vectors are kept in files of
    a few hundred, each named by its digest and written to a temporary name, synced and renamed: a kill costs
    at most one of them, and one that does not add up is passed over and computed anew.
    """
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    known = _read(kept)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        embed, wanted = opened(), list(missing.items())
        for start in range(0, len(wanted), _TOGETHER):
            told("embedding with the base", start, len(wanted))
            part = wanted[start : start + _TOGETHER]
            rows = side_by_side(embed, [text for _, text in part])
            known |= {key: row for (key, _), row in zip(part, rows, strict=True)}
            if kept is not None:
                _keep(kept, [key for key, _ in part], np.stack(rows))
    return np.stack([known[key] for key in keys])


def _read(kept: Path | None) -> dict[bytes, NDArray[np.float32]]:
    known: dict[bytes, NDArray[np.float32]] = {}
    for path in sorted(kept.glob("*.safetensors")) if kept is not None else ():
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != path.stem:
            continue
        held = load(body)
        for key, row in zip(held["keys"], held["vectors"], strict=True):
            known[key.tobytes()] = row
    return known


def _keep(kept: Path, keys: list[bytes], rows: NDArray[np.float32]) -> None:
    held = {"keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES), "vectors": rows}
    body = save(held)
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=kept, suffix=".tmp", delete=False) as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())
    Path(out.name).replace(kept / f"{hashlib.sha256(body).hexdigest()}.safetensors")
