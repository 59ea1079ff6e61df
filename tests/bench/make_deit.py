#!/usr/bin/env python3
"""Writes DeiT-tiny (timm's deit_tiny_patch16_224, random weights) three times, so that a bench compares runtimes on the same function:
OUT/deit_tiny.safetensors under timm's key names (for our converter), OUT/deit_tiny.onnx, and OUT/deit_tiny-int8.onnx, in which every
product with a constant matrix has weights of int8 with a step per column and quantizes its input at run time (DynamicQuantizeLinear
and MatMulInteger: what onnxruntime's quantize_dynamic writes with per_channel).

usage: make_deit.py OUT         needs torch, timm, onnx, numpy and safetensors"""
import pathlib
import sys

import numpy as np
import onnx
import timm
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file


def quantize(model):
    """MatMul and Gemm over a constant matrix → integers; everything else stays."""
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes, dynamic, gone = [], {}, set()
    for node in graph.node:
        w = constants.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        if w is None or w.ndim != 2:
            nodes.append(node)
            continue
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        assert not attributes.get("transA") and attributes.get("alpha", 1) == 1 and attributes.get("beta", 1) == 1
        if attributes.get("transB"):
            w = w.T
        x, name, y = node.input[0], node.input[1] + "." + node.output[0], node.output[0]
        if x not in dynamic:
            dynamic[x] = [f"{x}.u8", f"{x}.step", f"{x}.zero"]
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], dynamic[x]))
        u8, step, zero = dynamic[x]
        steps = (np.abs(w).max(axis=0) / 127).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(np.rint(w / steps).astype(np.int8), f"{name}.i8"))
        graph.initializer.append(numpy_helper.from_array(steps, f"{name}.steps"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(w.shape[1], np.int8), f"{name}.zeros"))
        nodes.append(helper.make_node("MatMulInteger", [u8, f"{name}.i8", zero, f"{name}.zeros"], [f"{y}.i32"]))
        nodes.append(helper.make_node("Cast", [f"{y}.i32"], [f"{y}.sum"], to=onnx.TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [step, f"{name}.steps"], [f"{y}.scale"]))
        bias = node.input[2] if len(node.input) > 2 else None
        nodes.append(helper.make_node("Mul", [f"{y}.sum", f"{y}.scale"], [f"{y}.product" if bias else y]))
        if bias:
            nodes.append(helper.make_node("Add", [f"{y}.product", bias], [y]))
        gone.add(node.input[1])
    kept = [t for t in graph.initializer if t.name not in gone]
    for field, values in ((graph.node, nodes), (graph.initializer, kept)):
        del field[:]
        field.extend(values)
    onnx.checker.check_model(model)
    return model


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    timm.layers.set_fused_attn(False)
    model = timm.create_model("deit_tiny_patch16_224", pretrained=False).eval()
    with torch.no_grad():  # trained networks are not as tame as timm's first weights
        for name, p in model.named_parameters():
            if name.endswith("weight") and p.ndim == 2:
                p.normal_(0, 1.2 / p.shape[1] ** 0.5)
            elif "norm" in name:
                p.uniform_(0.7, 1.3) if name.endswith("weight") else p.uniform_(-0.2, 0.2)
    save_file(model.state_dict(), out / "deit_tiny.safetensors")
    path = out / "deit_tiny.onnx"
    torch.onnx.export(model, torch.zeros(1, 3, 224, 224), str(path), input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)
    onnx.save(quantize(onnx.load(path)), out / "deit_tiny-int8.onnx")
    print(sum(p.numel() for p in model.parameters()), "parameters")


main()
