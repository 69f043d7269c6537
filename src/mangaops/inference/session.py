"""ONNX Runtime, set up the same way wherever a model runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.foreign import translated

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL: Final = "model.onnx"
TEXT: Final = ("input_ids", "attention_mask")
SIMILARITY: Final = "similarity"
PAIR: Final = (*TEXT, "token_type_ids", SIMILARITY)
_FATAL_ONLY: Final = 4
_SLOWER: Final = ["SkipLayerNormFusion"]
"""Its kernel takes longer on a CPU than the addition and the normalisation that it joins: see ADR 0079."""


class Session:
    """Token ids in, a row of numbers out. Safe to share between threads."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    def alone(self, ids: list[int]) -> NDArray[np.float32]:
        """The graph's row for one text, in a batch of one."""
        return self._row(_text(ids))

    def pair(self, ids: list[int], types: list[int], similarity: float) -> NDArray[np.float32]:
        """The graph's row for one pair, in a batch of one."""
        types_of = np.asarray([types], dtype=np.int64)
        near = np.asarray([[similarity]], dtype=np.float32)
        return self._row(_text(ids) | {"token_type_ids": types_of, SIMILARITY: near})

    def batch(self, texts: Sequence[list[int]]) -> NDArray[np.float32]:
        """A row a text, computed together; shorter texts are padded and masked.

        Activations of an int8 graph are scaled over the whole batch: a row may differ a little from the one
        that `alone` gives.
        """
        longest = max(map(len, texts))
        tokens = np.zeros((len(texts), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(texts):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        rows: NDArray[np.float32] = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
        return rows

    def _row(self, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self._session.run(None, feed)[0][0]
        return row


def _text(ids: list[int]) -> dict[str, NDArray[Any]]:
    tokens = np.asarray([ids], dtype=np.int64)
    return {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}


def session(folder: Path, threads: int = 1, file: str = MODEL, inputs: Sequence[str] = TEXT) -> Session:
    """The sealed graph, ready to run on `threads` threads of this machine's CPU.

    Raises:
        ArtifactTampered: the file is missing, is not ONNX, or takes anything but `inputs`.
        SetupError: onnxruntime is not installed.
    """
    with translated(folder, f"opening {file}"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # the arena hands a thread's buffers to the next, whose core has to fetch them from the other's cache
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        opened = onnxruntime.InferenceSession(
            str(folder / file), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
        names = [node.name for node in opened.get_inputs()]
        if names != list(inputs):
            raise ValueError(f"the graph takes {names}, not {list(inputs)}")
        return Session(opened)
