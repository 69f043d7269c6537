"""Torch to ONNX, and ONNX to dynamic int8 per channel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn


def to_onnx(network: nn.Module, path: Path) -> None:
    """`path` holds the network in float32 with free batch and length, and nothing about this machine.

    Inputs `input_ids` and `attention_mask` of shape (batch, tokens), output `logits`. The network is left in
    evaluation mode. Source paths and stack traces that the exporter notes are removed, so that the same
    weights give the same bytes.
    """
    import onnx

    network.eval()
    ids = torch.ones((2, 7), dtype=torch.int64)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network,
        (ids, torch.ones_like(ids)),
        dynamo=True,
        dynamic_shapes={"input_ids": free, "attention_mask": free},
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    _forget_origin(proto)
    onnx.save(proto, str(path))
    network.eval()


def _forget_origin(proto: object) -> None:
    from onnx import ModelProto

    assert isinstance(proto, ModelProto)
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


def to_int8(source: Path, path: Path) -> None:
    """`path` holds the graph of `source` with int8 weights per channel; activations follow as it runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    proto = onnx.load(str(source))
    del proto.graph.value_info[:]
    quantize_dynamic(proto, str(path), weight_type=QuantType.QInt8, per_channel=True)
