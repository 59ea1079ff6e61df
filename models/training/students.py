"""What is trained: a network with its averaged copy, its optimiser and its loss, and how it is saved."""
import copy
import json
import os

import torch
import torch.nn.functional as F

import data
import deit
from poolformer import Block as PoolBlock
from poolformer import PoolFormer

POOLFORMER = {"layers": [2, 2, 6, 2], "embed_dims": [64, 128, 256, 320], "mlp_ratios": [3, 3, 3, 3],
              "downsamples": [True] * 4, "in_patch_size": 5, "in_stride": 2, "in_pad": 2,
              "down_patch_size": 3, "down_stride": 2, "down_pad": 1, "layer_scale_init_value": 0.5}
DEIT = {"img_size": 64, "patch_size": 4, "embed_dim": 128, "depth": 8, "num_heads": 4}
LAYER_NORM = "partial(LayerNorm, eps=1e-06)"
TEMPERATURE, TAUGHT = 2.0, 0.85  # of the teacher's softmax; share of its loss


def save(what, path):
    """Whole or not at all: a run that dies here leaves the old file."""
    torch.save(what, f"{path}.part")
    os.replace(f"{path}.part", path)


def halved(state):
    """Matrices and convolutions as float16, vectors and counters as they are."""
    return {k: v.detach().cpu().to(torch.float16 if v.ndim > 1 else v.dtype).contiguous().clone()
            for k, v in state.items()}


def taught_loss(logits, target, teacher):
    """KL to the teacher's softened answer and cross entropy to the (mixed) labels, float32."""
    t = TEMPERATURE
    logits, teacher = logits.float(), teacher.float()
    kl = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(teacher / t, 1),
                  log_target=True, reduction="batchmean") * t * t
    return TAUGHT * kl + (1 - TAUGHT) * F.cross_entropy(logits, target)


class Student:
    """kind: "pool", "ln", "prepbn" or "slab"."""

    def __init__(self, run, kind, lr, every=1):
        self.run, self.kind, self.lr, self.every = run, kind, lr, every
        self.classes, self.steps, self.losses, self.dead = len(run.names), 0, [], False
        if kind == "pool":
            self.net, block = PoolFormer(num_classes=self.classes, **POOLFORMER), PoolBlock
        else:
            self.net, block = deit.Deit(kind, num_classes=self.classes, **DEIT), deit.Block
        self.net.to(run.device)
        self.call = run.call(block, kind)
        self.ema = copy.deepcopy(self.net).eval()
        trained = [p for p in self.net.parameters() if p.requires_grad]
        decay = [p for p in trained if p.ndim == 2 or p.ndim == 4]
        plain = [p for p in trained if p.ndim not in (2, 4)]
        self.optimiser = torch.optim.AdamW(
            [{"params": decay, "weight_decay": run.args.weight_decay},
             {"params": plain, "weight_decay": 0.0}], lr=lr, fused=run.fused)
        self.pairs = self.floats(self.ema), self.floats(self.net)

    @staticmethod
    def floats(net):
        return [t.detach() for t in [*net.parameters(), *net.buffers()] if t.is_floating_point()]

    def step(self, x, target, teacher, progress):
        """One step on normalised pictures; returns nothing and waits for nothing."""
        if self.kind in ("prepbn", "slab"):
            self.net.set_lambda(max(0.0, 1 - progress / self.run.args.lambda_until))
        with self.run.autocast():
            loss = taught_loss(self.net(x, self.call), target, teacher)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.run.rate(self.lr, progress)
        self.optimiser.step()
        keep = min(self.run.args.ema, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(*self.pairs, 1 - keep)
        self.steps += 1
        self.losses.append(loss.detach())

    def mean_loss(self):
        """Mean since the last call; a student whose loss is no number any more is left behind."""
        if not self.losses:
            return float("nan")
        value = torch.stack(self.losses).mean().item()
        self.losses, self.dead = [], value != value
        return value

    def calibrate(self, pictures):
        """Folded norms need statistics of the averaged weights: take them on clean training pictures."""
        if self.kind in ("prepbn", "slab"):
            with torch.no_grad():
                self.ema.calibrate(pictures.split(500), lambda net, x: net(data.normalise(x.float() / 255)))

    def parameters(self):
        return sum(p.numel() for p in self.net.parameters())

    def save(self, out, note):
        save(halved(self.ema.state_dict()), out / f"{self.kind}.pth")
        norm = LAYER_NORM if self.kind == "ln" else f"partial(LinearNorm, norm1={LAYER_NORM}, norm2=RepBN, step=0)"
        vit = {**DEIT, "mlp_ratio": 4, "qkv_bias": True, "num_classes": self.classes, "norm_layer": norm}
        pool = {**POOLFORMER, "num_classes": self.classes}
        config = {
            "class": "PoolFormer" if self.kind == "pool" else "VisionTransformer",
            "constructor": pool if self.kind == "pool" else vit,
            "input": {"layout": "NCHW", "size": [1, 3, data.EDGE, data.EDGE]},
            "wf": {  # what a constructor can't say, under the names that convert reads
                "name": "poolformer-tiny64" if self.kind == "pool" else f"{self.kind}-tiny64",
                "license": "research only (trained on pictures under the ImageNet terms)",
                "image_size": data.EDGE, "crop_pct": 1.0, "resample": "bicubic",
                "mean": data.MEAN, "std": data.STD, "labels": self.run.names},
            "training": note}
        (out / f"{self.kind}.json").write_text(json.dumps(config, indent=1) + "\n")
