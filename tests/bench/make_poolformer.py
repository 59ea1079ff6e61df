#!/usr/bin/env python3
"""Writes one PoolFormer with random weights twice: OUT/NAME.safetensors with the official key names (for our converter) and
OUT/NAME.onnx (for onnxruntime), so that a bench compares runtimes on the same function.

usage: make_poolformer.py OUT [NAME …]      NAME: s12 (default), s24, s36, m36, m48
needs torch, onnx and safetensors. Weights are drawn so that activations stay of order one through all blocks."""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn

SIZES = {
    "s12": ((2, 2, 6, 2), (64, 128, 320, 512)),
    "s24": ((4, 4, 12, 4), (64, 128, 320, 512)),
    "s36": ((6, 6, 18, 6), (64, 128, 320, 512)),
    "m36": ((6, 6, 18, 6), (96, 192, 384, 768)),
    "m48": ((8, 8, 24, 8), (96, 192, 384, 768)),
}


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Conv2d(width, 4 * width, 1)
        self.fc2 = nn.Conv2d(4 * width, width, 1)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, width)
        self.norm2 = nn.GroupNorm(1, width)
        self.mlp = Mlp(width)
        self.layer_scale_1 = nn.Parameter(torch.empty(width).uniform_(0.2, 0.6))
        self.layer_scale_2 = nn.Parameter(torch.empty(width).uniform_(0.2, 0.6))
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.layer_scale_1[:, None, None] * (self.pool(y) - y)
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


class Embed(nn.Module):
    def __init__(self, before, after, kernel, stride, pad):
        super().__init__()
        self.proj = nn.Conv2d(before, after, kernel, stride, pad)

    def forward(self, x):
        return self.proj(x)


class PoolFormer(nn.Module):
    def __init__(self, depths, widths, classes=1000):
        super().__init__()
        self.patch_embed = Embed(3, widths[0], 7, 4, 2)
        entries = []
        for i, (depth, width) in enumerate(zip(depths, widths)):
            entries.append(nn.Sequential(*[Block(width) for _ in range(depth)]))
            if i + 1 < len(widths):
                entries.append(Embed(width, widths[i + 1], 3, 2, 1))
        self.network = nn.ModuleList(entries)
        self.norm = nn.GroupNorm(1, widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = self.patch_embed(x)
        for entry in self.network:
            x = entry(x)
        return self.head(self.norm(x).mean([-2, -1]))


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or ["s12"]:
        torch.manual_seed(0)
        model = PoolFormer(*SIZES[name]).eval()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.GroupNorm):
                    module.weight.uniform_(0.7, 1.3)
                    module.bias.uniform_(-0.2, 0.2)
        save_file(model.state_dict(), out / f"{name}.safetensors")
        torch.onnx.export(model, torch.zeros(1, 3, 224, 224), str(out / f"{name}.onnx"), input_names=["x"], output_names=["y"],
                          opset_version=17, dynamo=False)
        print(name, sum(p.numel() for p in model.parameters()), "parameters")


main()
