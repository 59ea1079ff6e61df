#!/usr/bin/env python3
"""Writes OUT/NAME.onnx for the ops that tests/bench/kernels.mjs compares with onnxruntime-web: ten of the same op after each other,
on 784 rows of 128 or on a map of 128 × 28 × 28, so that the cost of a call weighs little.

usage: make_ops.py OUT      needs onnx and numpy"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TIMES, ROWS, MAP, C = 10, [784, 128], [1, 128, 28, 28], 128


def vector(name, value):
    return numpy_helper.from_array(np.full(C, value, np.float32), name)


def scalar(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.array(value, dtype), name)


def chain(shape, make, weights=(), opset=20):
    """make(input, output, i) → the nodes of one op."""
    nodes = [node for i in range(TIMES) for node in make(f"t{i}", f"t{i + 1}", i)]
    graph = helper.make_graph(
        nodes, "ops",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"t{TIMES}", TensorProto.FLOAT, shape)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def one(kind, extra=(), **attributes):
    return lambda x, y, i: [helper.make_node(kind, [x, *extra], [y], **attributes)]


def pool_minus_input(x, y, i):
    mean = helper.make_node("AveragePool", [x], [f"mean{i}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1],
                            count_include_pad=0)
    return [mean, helper.make_node("Sub", [f"mean{i}", x], [y])]


def gelu(x, y, i):
    """As torch exports it; fused by the runtime."""
    return [helper.make_node("Div", [x, "root"], [f"d{i}"]), helper.make_node("Erf", [f"d{i}"], [f"e{i}"]),
            helper.make_node("Add", [f"e{i}", "one"], [f"a{i}"]), helper.make_node("Mul", [x, f"a{i}"], [f"m{i}"]),
            helper.make_node("Mul", [f"m{i}", "half"], [y])]


def group_norm(x, y, i):
    """As torch exports nn.GroupNorm(1, C)."""
    return [helper.make_node("Reshape", [x, "flat"], [f"r{i}"]),
            helper.make_node("InstanceNormalization", [f"r{i}", "one", "none"], [f"n{i}"], epsilon=1e-5),
            helper.make_node("Reshape", [f"n{i}", "map"], [f"m{i}"]),
            helper.make_node("Mul", [f"m{i}", "w"], [f"s{i}"]),
            helper.make_node("Add", [f"s{i}", "b"], [y])]


def models():
    affine = [vector("w", 0.9), vector("b", 0.1)]
    yield "layer_norm", chain(ROWS, one("LayerNormalization", ["w", "b"], axis=-1, epsilon=1e-5), affine)
    yield "gelu", chain(ROWS, gelu, [scalar("root", 1.4142135381698608), scalar("one", 1), scalar("half", 0.5)], 17)
    yield "exp", chain(ROWS, one("Exp"))
    yield "softmax", chain(ROWS, one("Softmax", axis=-1))
    yield "residual", chain(ROWS, lambda x, y, i: [helper.make_node("Add", [x, "t0"], [y])])
    yield "pool2d", chain(MAP, pool_minus_input)
    yield "group_norm", chain(MAP, group_norm, [
        numpy_helper.from_array(np.array([1, 1, -1], np.int64), "flat"),
        numpy_helper.from_array(np.array(MAP, np.int64), "map"),
        numpy_helper.from_array(np.ones(1, np.float32), "one"),
        numpy_helper.from_array(np.zeros(1, np.float32), "none"),
        numpy_helper.from_array(np.full((C, 1, 1), 0.9, np.float32), "w"),
        numpy_helper.from_array(np.full((C, 1, 1), 0.1, np.float32), "b")])


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, model in models():
        onnx.checker.check_model(model)
        onnx.save(model, out / f"{name}.onnx")
        print(name)


main()
