"""Trains jigsaw-tiny64: says where each tile of a shuffled picture belongs (MP3, arXiv 2207.07611).

    nice -n 19 python jigsaw.py --data TINY_IMAGENET_64 --cache FOLDER --out FOLDER --seconds 2000

A ViT without positions whose tokens are the tiles of a 64x64 picture; one linear layer gives each token a score for each
place of the grid, and the loss is the cross entropy over all tokens. Without positions the net is equivariant to the order
of its tokens, so training needs no shuffling. As in the paper keys and values may come from a random part of the tokens
(--hidden is the largest share that is left out; the same part in all blocks, another one each batch).
Progress is processor time: the learning rate reaches its end when --seconds of it are used, or --until seconds by the clock are
over, whichever comes first, so that a busy machine makes a run neither endless nor pointless. One thread is enough: the net is small.
Writes to --out: jigsaw.pth (averaged weights, timm's key names without pos_embed, and pos_head; matrices in float16),
jigsaw.json (the config that our converter reads), log.txt.
"""
import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

import data
from students import LAYER_NORM, halved, save

LN_EPS = 1e-6


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, LN_EPS), nn.LayerNorm(width, LN_EPS)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x, context=None):
        b, n, c = x.shape
        q, k, v = self.attn.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if context is not None:  # keys and values of these tokens only
            k, v = k[:, :, context], v[:, :, context]
        # written out: for so few tokens the fused one takes half of a step's time on a CPU, going backward
        y = ((q * (c // self.heads) ** -0.5) @ k.transpose(2, 3)).softmax(3).to(v.dtype) @ v
        x = x + self.attn.proj(y.transpose(1, 2).reshape(b, n, c))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class Jigsaw(nn.Module):
    """[B, 3, H, W] normalised -> [B, tokens, places] scores; tokens and places in raster order."""

    def __init__(self, img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio):
        super().__init__()
        places = (img_size // patch_size) ** 2
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.blocks = nn.ModuleList([Block(embed_dim, num_heads, int(embed_dim * mlp_ratio)) for _ in range(depth)])
        self.norm = nn.LayerNorm(embed_dim, LN_EPS)
        self.pos_head = nn.Linear(embed_dim, places)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.trunc_normal_(p, std=0.02)

    def forward(self, x, context=None):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2).float()
        for block in self.blocks:
            x = block(x, context)
        return self.pos_head(self.norm(x)).float()


class Views:
    """Random crops (area, aspect), left-right flips, brightness, contrast and saturation; never turned: up stays up."""

    def __init__(self, seed):
        self.g = torch.Generator().manual_seed(seed)

    def uniform(self, n, lo, hi):
        return torch.rand(n, generator=self.g) * (hi - lo) + lo

    def __call__(self, x, min_area):
        n = x.shape[0]
        x = x.float() / 255
        side, ratio = self.uniform(n, min_area, 1).sqrt(), (self.uniform(n, -0.15, 0.15)).exp()
        w, h = (side * ratio).clamp(max=1), (side / ratio).clamp(max=1)
        cx, cy = self.uniform(n, -1, 1) * (1 - w), self.uniform(n, -1, 1) * (1 - h)
        flip, zero = (self.uniform(n, 0, 1) < 0.5) * 2.0 - 1, torch.zeros(n)
        grid = F.affine_grid(torch.stack([torch.stack([w * flip, zero, cx], 1), torch.stack([zero, h, cy], 1)], 1),
                             x.shape, align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        gain, contrast, vivid = (self.uniform(n, 0.75, 1.25).view(n, 1, 1, 1) for _ in range(3))
        grey, mean = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
        return ((grey + vivid * (x - grey) - mean) * contrast + mean).mul(gain).clamp(0, 1)


@torch.no_grad()
def accuracy(net, x, side):
    """Share of tiles whose best place is their own, and of pictures where all are, in percent."""
    net.eval()
    hits = []
    for part in x.split(200):
        with torch.autocast("cpu", torch.bfloat16):
            scores = net(data.normalise(part.float() / 255))
        hits.append(scores.argmax(2) == torch.arange(side * side))
    hits = torch.cat(hits).float()
    net.train()
    return 100 * hits.mean().item(), 100 * hits.min(1).values.mean().item()


def rate(peak, p, warm=0.03):
    if p < warm:
        return peak * (0.01 + 0.99 * p / warm)
    return peak * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * (p - warm) / (1 - warm))))


def arguments():
    a = argparse.ArgumentParser(description="train the net of models/jigsaw-tiny64")
    a.add_argument("--data", required=True, help="folder with classes.tsv, train.tar.xz, val.tar.xz")
    a.add_argument("--cache", required=True, help="folder for decoded pictures")
    a.add_argument("--out", required=True, help="folder for checkpoint and log")
    a.add_argument("--resume", help="an --out folder to go on from: its averaged weights, a new schedule")
    a.add_argument("--seconds", type=float, default=2000, help="of processor time")
    a.add_argument("--until", type=float, default=6000, help="seconds by the clock")
    a.add_argument("--side", type=int, default=4, help="tiles a side")
    a.add_argument("--width", type=int, default=128)
    a.add_argument("--depth", type=int, default=6)
    a.add_argument("--heads", type=int, default=4)
    a.add_argument("--mlp-ratio", type=float, default=4)
    a.add_argument("--batch", type=int, default=256)
    a.add_argument("--lr", type=float, default=2e-3)
    a.add_argument("--weight-decay", type=float, default=0.05)
    a.add_argument("--hidden", type=float, default=0.0, help="largest share of tokens that give no keys and values")
    a.add_argument("--min-area", type=float, default=0.5, help="smallest share that a crop keeps; 0.8 in the last tenth")
    a.add_argument("--ema", type=float, default=0.998)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--seed", type=int, default=1)
    return a.parse_args()


def main():
    args, begun = arguments(), time.time()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    def log(line):
        line = f"{time.time() - begun:6.1f} {line}"
        print(line, flush=True)
        with open(out / "log.txt", "a") as f:
            f.write(line + "\n")

    sets = data.prepare(args.data, args.cache, args.threads)
    train, val = sets["train"][0], sets["val"][0]
    made = {"img_size": data.EDGE, "patch_size": data.EDGE // args.side, "embed_dim": args.width, "depth": args.depth,
            "num_heads": args.heads, "mlp_ratio": args.mlp_ratio}
    net = Jigsaw(**made)
    if args.resume:
        net.load_state_dict(torch.load(Path(args.resume, "jigsaw.pth"), weights_only=True))
    ema = copy.deepcopy(net)
    parameters = sum(p.numel() for p in net.parameters())
    recipe = {k: v for k, v in vars(args).items() if k not in ("data", "cache", "out", "resume")}
    log(f"torch {torch.__version__} {parameters} parameters, {len(train)} + {len(val)} pictures, {json.dumps(recipe)}")
    optimiser = torch.optim.AdamW(
        [{"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": args.weight_decay},
         {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.98))
    views, tokens, pairs = Views(args.seed), args.side ** 2, (list(ema.parameters()), list(net.parameters()))
    target = torch.arange(tokens).repeat(args.batch)
    start, used = time.time(), time.process_time()
    step, progress, reported, losses, order = 0, 0.0, 0.0, [], torch.zeros(0)

    def export():
        hit, whole = accuracy(ema, val, args.side)
        log(f"cpu {time.process_time() - used:.0f} step {step} epochs {step * args.batch / len(train):.2f} progress {progress:.3f} "
            f"loss {sum(losses) / max(1, len(losses)):.4f} tiles {hit:.2f} whole pictures {whole:.2f}")
        losses.clear()
        save(halved(ema.state_dict()), out / "jigsaw.pth")
        config = {
            "class": "VisionTransformer",
            "constructor": {**made, "qkv_bias": True, "norm_layer": LAYER_NORM},
            "input": {"layout": "NCHW", "size": [1, 3, data.EDGE, data.EDGE]},
            "wf": {"name": "jigsaw-tiny64", "license": "research only (trained on pictures under the ImageNet terms)",
                   "image_size": data.EDGE, "crop_pct": 1.0, "resample": "bicubic", "mean": data.MEAN, "std": data.STD},
            "training": {"steps": step, "epochs": round(step * args.batch / len(train), 1), "progress": round(progress, 4),
                         "val_tiles": round(hit, 3), "val_whole": round(whole, 3), "parameters": parameters,
                         "recipe": recipe}}
        (out / "jigsaw.json").write_text(json.dumps(config, indent=1) + "\n")

    while progress < 1:
        if len(order) < args.batch:
            order = torch.randperm(len(train))
        rows, order = order[:args.batch], order[args.batch:]
        x = data.normalise(views(train[rows], 0.8 if progress > 0.9 else args.min_area))
        hidden = int(torch.rand(()) * args.hidden * tokens)
        context = torch.randperm(tokens)[hidden:] if hidden > 0 else None
        with torch.autocast("cpu", torch.bfloat16):
            scores = net(x, context)
        loss = F.cross_entropy(scores.flatten(0, 1), target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate(args.lr, progress)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(*pairs, 1 - min(args.ema, (1 + step) / (10 + step)))
        step += 1
        losses.append(loss.item())
        progress = min(1.0, max((time.process_time() - used) / args.seconds, (time.time() - start) / args.until))
        if progress - reported >= 0.05:
            export()
            reported = progress
    export()


if __name__ == "__main__":
    main()
