"""Torch to ONNX, and ONNX to dynamic int8 per channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from mangaops.inference.session import SIMILARITY, TEXT

if TYPE_CHECKING:
    import onnx


def to_onnx(network: nn.Module, path: Path, inputs: Sequence[str] = TEXT, output: str = "logits") -> None:
    """`path` holds the network in float32 with free batch and length, and nothing about this machine.

    `inputs` are what its `forward` takes, by name: all of shape (batch, tokens), but the similarity, which is
    (batch, 1). The network is left in evaluation mode, and attends plainly: torch's fused kernel exports as
    more nodes, among them guards for rows without a token, of which there are none. Source paths and stack
    traces that the exporter notes are removed, so that the same weights give the same bytes.
    """
    import onnx

    network.eval()
    _attend_plainly(network)
    tokens, number = torch.ones((2, 7), dtype=torch.int64), torch.ones((2, 1))
    rows, both = {0: torch.export.Dim.DYNAMIC}, dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    program = torch.onnx.export(
        network,
        tuple((number if name == SIMILARITY else tokens).clone() for name in inputs),
        dynamo=True,
        dynamic_shapes={name: rows if name == SIMILARITY else both for name in inputs},
        input_names=list(inputs),
        output_names=[output],
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    _forget_origin(proto)
    onnx.save(proto, str(path))
    network.eval()


def _attend_plainly(network: nn.Module) -> None:
    from transformers import PreTrainedModel

    for part in network.modules():
        if isinstance(part, PreTrainedModel):
            part.set_attn_implementation("eager")


def _forget_origin(proto: object) -> None:
    from onnx import ModelProto

    assert isinstance(proto, ModelProto)
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


LADDER: Final = (
    frozenset[str](),
    frozenset({"narrowing"}),
    frozenset({"narrowing", "widening"}),
    frozenset({"narrowing", "widening", "square"}),
)
"""Which products keep float32 weights, from the smallest artifact to the one that answers most alike.

`narrowing` products (the second of a feed-forward block, the head) read the activations with the largest
outliers, and lose most in int8; `widening` is the first product of a block, `square` one of attention. On
the last rung the embeddings alone are int8.
"""


def to_int8(source: Path, path: Path, keep: frozenset[str] = LADDER[0]) -> None:
    """`path` holds the graph of `source` with int8 weights per channel; activations follow as it runs.

    Products of a shape in `keep` (`narrowing`, `widening`, `square`) stay in float32, and so do lists of
    numbers that tokens are looked up in.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    proto = onnx.load(str(source))
    del proto.graph.value_info[:]
    left_out = _products(proto, keep) + _lists(proto)
    quantize_dynamic(
        proto, str(path), weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=left_out
    )


def _lists(proto: onnx.ModelProto) -> list[str]:
    """The names of the look-ups in a list of numbers; embeddings are tables."""
    lists = {each.name for each in proto.graph.initializer if len(each.dims) == 1}
    return [node.name for node in proto.graph.node if node.op_type == "Gather" and node.input[0] in lists]


def _products(proto: onnx.ModelProto, shapes: frozenset[str]) -> list[str]:
    """The names of the matrix products whose weights have one of these shapes.

    The quantiser turns a `Gemm` into a `MatMul` of another name before it looks whom to leave out.
    """
    weights = {each.name: tuple(each.dims) for each in proto.graph.initializer}
    found = []
    for node in proto.graph.node:
        sizes = [weights[name] for name in node.input if len(weights.get(name, ())) == 2]
        if node.op_type not in ("MatMul", "Gemm") or not sizes:
            continue
        turned = any(item.name == "transB" and item.i for item in node.attribute)
        into, out = reversed(sizes[0]) if turned else sizes[0]
        shape = "narrowing" if into > out else "widening" if into < out else "square"
        if shape in shapes:
            found += [node.name, f"{node.name}_MatMul"]
    return found
