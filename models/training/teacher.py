"""The teacher: ViT-Ti/16 with the keys of timm, its ImageNet head cut down to our classes.

Pictures of 64x64 are enlarged to 192x192 (12x12 patches); the position table is resized to match.
Fine-tuning runs for a given number of seconds on the same augmentation as the students' training.
"""
import json
import struct
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import data

EDGE, PATCH, WIDTH, DEPTH, HEADS, EPS = 192, 16, 192, 12, 3, 1e-6


def read_safetensors(path):
    """-> {name: float tensor}; F32 and F16 only."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        body = f.read()
    kinds, out = {"F32": np.float32, "F16": np.float16}, {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(body[begin:end], kinds[entry["dtype"]]).astype(np.float32)
            out[name] = torch.from_numpy(values.reshape(entry["shape"]))
    return out


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, 4 * width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x)).to(x.dtype)
        return x + self.mlp(self.norm2(x)).to(x.dtype)


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)

    def forward(self, x):  # [B, 3, EDGE, EDGE] -> [B, tokens, WIDTH]
        b, _, h, w = x.shape
        x = x.view(b, 3, h // PATCH, PATCH, w // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5)
        return F.linear(x.reshape(b, -1, 3 * PATCH * PATCH), self.proj.weight.flatten(1), self.proj.bias)


class Teacher(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.patch_embed = Patches()
        # Bicubic enlargement is linear along each axis; as matrix products it keeps a GPU busy.
        rows = F.interpolate(torch.eye(data.EDGE)[None, None], size=(EDGE, data.EDGE), mode="bicubic", align_corners=False)
        self.register_buffer("enlarge", rows[0, 0], persistent=False)  # [192, 64]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (EDGE // PATCH) ** 2, WIDTH))
        self.blocks = nn.ModuleList([Block(WIDTH, HEADS) for _ in range(DEPTH)])
        self.norm = nn.LayerNorm(WIDTH, EPS)
        self.head = nn.Linear(WIDTH, classes)

    def load(self, path, imagenet_indices):
        """Weights of the 1000-class model: resize the position table, keep our classes of the head."""
        w = read_safetensors(path)
        cls, grid = w["pos_embed"][:, :1], w["pos_embed"][:, 1:]
        old, new = round(grid.shape[1] ** 0.5), EDGE // PATCH
        grid = grid.view(1, old, old, WIDTH).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
        w["pos_embed"] = torch.cat([cls, grid.flatten(2).transpose(1, 2)], 1)
        for k in ("head.weight", "head.bias"):
            w[k] = w[k][imagenet_indices]
        self.load_state_dict(w)

    def forward(self, x, call=Block.forward):
        """[B, 3, 64, 64] in 0..1 -> logits; `call` runs one block (compiled or not)."""
        x = self.patch_embed(self.enlarge @ (x * 2 - 1) @ self.enlarge.T)
        x = torch.cat([self.cls_token.to(x.dtype).expand(x.shape[0], -1, -1), x], 1)
        x = x + self.pos_embed.to(x.dtype)
        for block in self.blocks:
            x = call(block, x)
        return self.head(self.norm(x[:, 0]).to(x.dtype))


def tune(run, teacher, seconds, lr=2e-4, decay=0.995):
    """Fine-tune for `seconds`; the teacher ends with its averaged weights. run: see train.Run."""
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=lr, weight_decay=0.05, fused=run.fused)
    mean = [p.detach().clone() for p in teacher.parameters()]
    start, step, p = time.time(), 0, 0.0
    while p < 1:
        if step == 3:  # what was compiled until here doesn't count
            run.wait()
            start = time.time()
        x, y = run.batch()
        x, target = run.augment(x, y, min_area=0.35, mix=0.6)
        with run.autocast():
            loss = F.cross_entropy(teacher(x, run.call(Block)).float(), target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = run.rate(lr, p)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(mean, list(teacher.parameters()), 1 - min(decay, (1 + step) / (10 + step)))
        step += 1
        if step % 10 == 0:
            value = loss.item()
            p = min(1.0, (time.time() - start) / seconds)
            if step % 200 == 0 or step == 10:
                run.log(f"teacher step {step} progress {p:.2f} loss {value:.3f} {time.time() - start:.1f} s")
    with torch.no_grad():
        for to, value in zip(teacher.parameters(), mean):
            to.copy_(value)
    run.log(f"teacher: {step} steps, {step * run.batch_size / len(run.train[0]):.1f} epochs")
