"""Which products of a graph become int8, and which stay in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def graph(path: Path, kind: str = "MatMul") -> Path:
    """A widening product (8 to 16), a narrowing one (16 to 8), a square one (8 to 8)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    sizes = {"wide": (8, 16), "narrow": (16, 8), "square": (8, 8)}
    weights = [
        numpy_helper.from_array(
            rng.normal(size=size if kind == "MatMul" else size[::-1]).astype(np.float32), f"{name}.weight"
        )
        for name, size in sizes.items()
    ]
    flow = ["x", "a", "b", "y"]
    nodes = [
        helper.make_node(
            kind,
            [flow[i], f"{name}.weight"],
            [flow[i + 1]],
            name,
            **({} if kind == "MatMul" else {"transB": 1}),
        )
        for i, name in enumerate(sizes)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 8]) for name in ("x", "y")]
    made = helper.make_graph(nodes, "products", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]), str(path))
    return path


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
@pytest.mark.parametrize(
    ("rung", "in_float32"),
    [(0, set()), (1, {"narrow"}), (2, {"narrow", "wide"}), (3, {"narrow", "wide", "square"})],
)
def test_each_rung_keeps_more_products_in_float32(
    rung: int, in_float32: set[str], kind: str, tmp_path: Path
) -> None:
    import onnx

    from mangaops.training.steps import export

    export.to_int8(graph(tmp_path / "fp32.onnx", kind), tmp_path / "int8.onnx", export.LADDER[rung])
    nodes = onnx.load(str(tmp_path / "int8.onnx")).graph.node
    kept = {node.name.removesuffix("_MatMul") for node in nodes if node.op_type in ("MatMul", "Gemm")}
    assert kept == in_float32
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 3 - len(in_float32)
