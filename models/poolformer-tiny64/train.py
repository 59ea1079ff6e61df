"""Trains the shipped PoolFormer for 64x64 pictures on two CPU cores; README.md beside this has the recipe.

    python train.py --data FOLDER --work FOLDER --epochs 40 [--deadline 23:35] [--pause-file FILE]

Writes to --work: last.pt (everything needed to go on; a second start resumes from it), best.pth +
best.json (averaged weights with official key names, and the config our converter reads), log.txt.
Training runs on the progress p in 0..1: each step moves p by (1 - p) / steps left, and the steps left
are those of the epochs or those that still fit before the deadline, whichever is less. So learning
rate, picture size and augmentation always reach their end, however busy the machine is.
Same seed and no deadline = same batches; with a deadline a run can't be repeated exactly.
"""
import argparse
import datetime
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
from model import PoolFormer, multiply_adds


def arguments():
    a = argparse.ArgumentParser(description="train poolformer-tiny64")
    a.add_argument("--data", required=True, help="folder with classes.tsv, train.tar.xz, val.tar.xz")
    a.add_argument("--work", required=True, help="folder for cache, checkpoints, export and log")
    a.add_argument("--layers", default="1,1,2,1")
    a.add_argument("--dims", default="32,64,128,256")
    a.add_argument("--mlp-ratios", default="2,4,4,4")
    a.add_argument("--stem", default="5,2,2", help="kernel, stride, padding of the first convolution")
    a.add_argument("--layer-scale", type=float, default=0.1)
    a.add_argument("--epochs", type=int, default=40)
    a.add_argument("--deadline", help="HH:MM of today (or tomorrow, if past): be done by then")
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--lr", type=float, default=1.5e-3)
    a.add_argument("--weight-decay", type=float, default=0.05)
    a.add_argument("--warmup", type=float, default=0.03, help="share of the training")
    a.add_argument("--ema", type=float, default=0.998)
    a.add_argument("--smoothing", type=float, default=0.1)
    a.add_argument("--mix", type=float, default=0.5, help="chance of CutMix or mixup for a batch")
    a.add_argument("--mix-until", type=float, default=0.85, help="progress at which mixing stops")
    a.add_argument("--min-area", type=float, default=0.35, help="smallest share that a crop keeps")
    a.add_argument("--sizes", default="32,48,64", help="edges of the training pictures, in turn")
    a.add_argument("--switch", default="0.35,0.75", help="progress at each change of size")
    a.add_argument("--eval-minutes", type=float, default=8, help="least time between evaluations")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--compile", action="store_true", help="torch.compile (needs a C++ compiler)")
    a.add_argument("--pause-file", help="sleep while this file exists")
    return a.parse_args()


def constructor(args, classes):
    """The arguments of the official class, as they go into best.json."""
    ints = lambda text: [int(v) for v in text.split(",")]
    kernel, stride, pad = ints(args.stem)
    ratios = [float(v) for v in args.mlp_ratios.split(",")]
    return {
        "layers": ints(args.layers), "embed_dims": ints(args.dims),
        "mlp_ratios": [int(r) if r == int(r) else r for r in ratios],
        "downsamples": [True] * 4, "num_classes": classes,
        "in_patch_size": kernel, "in_stride": stride, "in_pad": pad,
        "down_patch_size": 3, "down_stride": 2, "down_pad": 1,
        "layer_scale_init_value": args.layer_scale}


def recipe(args):
    """The arguments that shape the result; no paths, so that log and export can be published."""
    return {k: v for k, v in vars(args).items() if k not in ("data", "work", "pause_file")}


def wait_while_paused(path):
    """-> seconds slept."""
    start = time.time()
    while path and os.path.exists(path):
        time.sleep(2)
    return time.time() - start


def seconds_until(clock):
    now = datetime.datetime.now()
    hour, minute = clock.split(":")
    then = now.replace(hour=int(hour), minute=int(minute), second=0)
    if then < now - datetime.timedelta(hours=6):
        then += datetime.timedelta(days=1)
    return (then - now).total_seconds()


def save(what, path):
    """Whole or not at all: a run that dies here leaves the old file."""
    torch.save(what, f"{path}.part")
    os.replace(f"{path}.part", path)


@torch.no_grad()
def evaluate(net, x, y, pause_file, batch=100):
    """-> share of pictures with the right label first, and among the first five."""
    top1 = top5 = 0
    for i in range(0, len(x), batch):
        wait_while_paused(pause_file)
        rank = net(data.normalise(x[i:i + batch])).topk(5, dim=1).indices == y[i:i + batch, None]
        top1 += rank[:, 0].sum().item()
        top5 += rank.any(dim=1).sum().item()
    return top1 / len(x), top5 / len(x)


def export(net, args, names, work, note):
    save({k: v.detach().clone().contiguous() for k, v in net.state_dict().items()}, work / "best.pth")
    config = {
        "class": "PoolFormer", "constructor": constructor(args, len(names)),
        "input": {"layout": "NCHW", "size": [1, 3, 64, 64]},
        "wf": {  # what a constructor can't say, under the names that convert reads
            "name": "poolformer-tiny64",
            "license": "research only (trained on pictures under the ImageNet terms)",
            "image_size": 64, "crop_pct": 1.0, "resample": "bicubic",
            "mean": data.MEAN, "std": data.STD, "labels": names},
        "training": {**note, "recipe": recipe(args)}}
    (work / "best.json.part").write_text(json.dumps(config, indent=1) + "\n")
    os.replace(work / "best.json.part", work / "best.json")


class Training:
    def __init__(self, args):
        self.args, self.work = args, Path(args.work)
        self.work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        torch.set_num_threads(args.threads)
        self.sets = data.prepare(args.data, self.work / "cache")
        self.names = [name for _, name in data.read_classes(args.data)]
        build = constructor(args, len(self.names))
        self.net, self.ema = PoolFormer(**build), PoolFormer(**build)
        self.ema.load_state_dict(self.net.state_dict())
        self.fast = torch.compile(self.net, dynamic=False) if args.compile else self.net
        decay = [p for p in self.net.parameters() if p.ndim > 1]
        plain = [p for p in self.net.parameters() if p.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decay, "weight_decay": args.weight_decay},
             {"params": plain, "weight_decay": 0.0}], lr=args.lr, fused=True)
        self.g = torch.Generator().manual_seed(args.seed)
        self.augment = data.Augment(self.g, min_area=args.min_area, mix=args.mix)
        self.progress, self.step, self.epoch, self.best, self.seconds = 0.0, 0, 0, 0.0, 0.0
        self.step_time, self.evaluated = None, time.time()
        if (self.work / "last.pt").exists():
            self.resume()

    # -- checkpoints ---------------------------------------------------------------------------
    COUNTERS = ("progress", "step", "epoch", "best", "seconds", "step_time")

    def checkpoint(self):
        save({"net": self.net.state_dict(), "ema": self.ema.state_dict(),
              "optimiser": self.optimiser.state_dict(), "generator": self.g.get_state(),
              **{k: getattr(self, k) for k in self.COUNTERS}}, self.work / "last.pt")

    def resume(self):
        c = torch.load(self.work / "last.pt", weights_only=True)
        self.net.load_state_dict(c["net"])
        self.ema.load_state_dict(c["ema"])
        self.optimiser.load_state_dict(c["optimiser"])
        self.g.set_state(c["generator"])
        for k in self.COUNTERS:
            setattr(self, k, c[k])
        self.log(f"resumed after epoch {self.epoch}, progress {self.progress:.3f}")

    def log(self, line):
        line = f"{datetime.datetime.now():%H:%M:%S} {line}"
        print(line, flush=True)
        with open(self.work / "log.txt", "a") as f:
            f.write(line + "\n")

    # -- schedule ------------------------------------------------------------------------------
    def steps_left(self, per_epoch):
        left = max(1, self.args.epochs * per_epoch - self.step)
        if self.args.deadline and self.step_time:
            left = min(left, max(1, seconds_until(self.args.deadline) / self.step_time))
        return left

    def learning_rate(self):
        if self.progress < self.args.warmup:
            return self.args.lr * (self.progress / self.args.warmup + 0.01)
        t = (self.progress - self.args.warmup) / (1 - self.args.warmup)
        return self.args.lr * (0.5 * (1 + math.cos(math.pi * t)) * 0.995 + 0.005)

    def picture_size(self):
        sizes = [int(s) for s in self.args.sizes.split(",")]
        return sizes[sum(self.progress >= float(p) for p in self.args.switch.split(","))]

    # -- work ----------------------------------------------------------------------------------
    def train_batch(self, x, y):
        size, lr = self.picture_size(), self.learning_rate()
        self.augment.mix = self.args.mix if self.progress < self.args.mix_until else 0.0
        x, target = self.augment(x, y, size, len(self.names), self.args.smoothing)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        loss = F.cross_entropy(self.fast(x), target)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.args.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - keep)
        return loss.item()

    def train_epoch(self):
        """One pass over the pictures, or less where the deadline ends it."""
        x, y = self.sets["train"]
        order = torch.randperm(len(x), generator=self.g)
        per_epoch, losses, start = len(x) // self.args.batch, [], time.time()
        for i in range(per_epoch):
            wait_while_paused(self.args.pause_file)
            begin = time.time()
            rows = order[i * self.args.batch:(i + 1) * self.args.batch]
            losses.append(self.train_batch(x[rows], y[rows]))
            # A slow average, so that a busy minute or a compilation doesn't throw the schedule.
            spent = min(time.time() - begin, 4 * self.step_time if self.step_time else 1.0)
            self.seconds += time.time() - begin
            self.step_time = spent if not self.step_time else self.step_time * 0.99 + spent * 0.01
            left = self.steps_left(per_epoch)
            self.progress = min(1.0, self.progress + (1 - self.progress) / left)
            if left <= 1:
                self.progress = 1.0
                break
        self.epoch += 1
        rate = len(losses) * self.args.batch / (time.time() - start)
        return sum(losses) / len(losses), rate

    def report(self, loss, rate, ended):
        """Log line and checkpoint; now and then, and at the end, the accuracy and the export."""
        line = (f"epoch {self.epoch} progress {self.progress:.3f} lr {self.learning_rate():.2e} "
                f"size {self.picture_size()} loss {loss:.4f} {rate:.0f} img/s "
                f"{self.seconds / 60:.1f} min")
        if ended or time.time() - self.evaluated >= 60 * self.args.eval_minutes:
            top1, top5 = evaluate(self.ema, *self.sets["val"], self.args.pause_file)
            self.evaluated = time.time()
            line += f" ema_top1 {100 * top1:.2f} ema_top5 {100 * top5:.2f}"
            if top1 >= self.best:
                self.best = top1
                line += " best"
                export(self.ema, self.args, self.names, self.work, {
                    "epoch": self.epoch, "steps": self.step, "progress": round(self.progress, 4),
                    "hours": round(self.seconds / 3600, 3), "val_top1": top1, "val_top5": top5})
        self.checkpoint()
        self.log(line)

    def run(self):
        parameters = sum(p.numel() for p in self.net.parameters())
        self.log(f"parameters {parameters} multiply-adds {multiply_adds(self.net, 64)} "
                 f"arguments {json.dumps(recipe(self.args))}")
        while self.progress < 1 and self.epoch < self.args.epochs:
            loss, rate = self.train_epoch()
            ended = self.progress >= 1 or self.epoch >= self.args.epochs
            self.report(loss, rate, ended)
        self.log(f"done: best ema_top1 {100 * self.best:.2f}")


if __name__ == "__main__":
    Training(arguments()).run()
