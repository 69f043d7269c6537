"""The sealed classifier with tokenizer, ONNX Runtime and numpy alone, as each peer serves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Model:
    """Answers one text at a time on one thread."""

    def __init__(self, folder: str) -> None:
        place = Path(folder)
        self.tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(place / "model.onnx"), options, ["CPUExecutionProvider"]
        )
        means = json.loads((place / "labels.json").read_text())
        self.labels, self.temperature = means["labels"], means["temperature"]

    def answer(self, text: str) -> dict[str, object]:
        """The most probable label and its probability."""
        ids = np.array([self.tokenizer.encode(text).ids])
        asked = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits = self.session.run(None, asked)[0][0] / self.temperature
        shares = np.exp(logits - logits.max())
        best = int(shares.argmax())
        return {"intent": self.labels[best], "confidence": float(shares[best] / shares.sum())}
