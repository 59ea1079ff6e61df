"""Trains the shipped small networks on 64x64 pictures: one teacher, and several students at once.

    python train.py --data FOLDER --vit vit_tiny_patch16_224.safetensors --cache FOLDER --out FOLDER \
        --tune 35 --seconds 400

The teacher (teacher.py) is fine-tuned for --tune seconds. Then every batch is augmented once, the
teacher answers once, and each student learns from that answer on the very same pictures. Progress is
time: learning rates, augmentation and norms reach their end when --seconds are over, however fast the
machine is; so a run can't be repeated bit for bit. Writes to --out: KIND.pth (averaged weights,
official key names, matrices in float16), KIND.json (the config that our converter reads), log.txt.
"""
import argparse
import json
import math
import time
import types
from pathlib import Path

import torch

import data
import teacher as teaching
from augment import Augment
from students import Student, halved, save

WARM = 4  # first steps of the students, before the clock starts


def arguments():
    a = argparse.ArgumentParser(description="train the networks of models/")
    a.add_argument("--data", required=True, help="folder with classes.tsv, train.tar.xz, val.tar.xz")
    a.add_argument("--vit", help="ViT-Ti/16 of timm as safetensors; without it the teacher is noise")
    a.add_argument("--cache", required=True, help="folder for decoded pictures")
    a.add_argument("--out", required=True, help="folder for checkpoints and log")
    a.add_argument("--resume", help="an --out folder to go on from: its weights, a new schedule")
    a.add_argument("--students", default="pool,ln,prepbn,slab")
    a.add_argument("--every", type=int, default=2, help="the DeiTs take every n-th batch")
    a.add_argument("--tune", type=float, default=35, help="seconds for the teacher")
    a.add_argument("--seconds", type=float, default=400, help="seconds for the students")
    a.add_argument("--until", type=float, help="seconds after the start of the process to be done by")
    a.add_argument("--batch", type=int, default=512)
    a.add_argument("--lr", type=float, default=2e-3, help="of the PoolFormer")
    a.add_argument("--lr-deit", type=float, default=1.5e-3)
    a.add_argument("--weight-decay", type=float, default=0.05)
    a.add_argument("--warmup", type=float, default=0.03, help="share of the training")
    a.add_argument("--ema", type=float, default=0.998)
    a.add_argument("--lambda-until", type=float, default=0.6, help="progress at which LayerNorm is gone")
    a.add_argument("--mix-until", type=float, default=0.9, help="progress at which mixing stops")
    a.add_argument("--min-area", type=float, default=0.3, help="smallest share that a crop keeps")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--compile", action="store_true", help="torch.compile of the blocks")
    a.add_argument("--measure", action="store_true", help="time the parts, then stop")
    return a.parse_args()


class Run:
    """What teacher and students share: pictures, augmentation, schedule, log."""

    def __init__(self, args):
        self.args, self.begun, self.out = args, time.time(), Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.fused, self.batch_size = self.device.type == "cuda", args.batch
        torch.set_float32_matmul_precision("high")
        rows = data.read_classes(args.data)
        self.names, self.imagenet = [r[2] for r in rows], [r[1] for r in rows]
        sets = data.prepare(args.data, args.cache)
        self.train, self.val = ([t.to(self.device) for t in sets[s]] for s in ("train", "val"))
        self.augment = Augment(self.device, len(self.names), args.seed)
        self.order, self.at, self.compiled = torch.zeros(0), 0, {}
        self.log(f"pictures {len(self.train[0])} + {len(self.val[0])} on {self.device}")

    def log(self, line):
        line = f"{time.time() - self.begun:6.1f} {line}"
        print(line, flush=True)
        with open(self.out / "log.txt", "a") as f:
            f.write(line + "\n")

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16)

    def call(self, block, kind="teacher"):
        """block.forward, compiled on demand; a code object a kind keeps torch's caches apart."""
        if not self.args.compile:
            return block.forward
        if kind not in self.compiled:
            f = block.forward
            own = types.FunctionType(f.__code__.replace(co_name=f"{kind}_block"), f.__globals__, f"{kind}_block",
                                     f.__defaults__, f.__closure__)
            self.compiled[kind] = torch.compile(own, dynamic=False)
        return self.compiled[kind]

    def batch(self):
        if self.at + self.batch_size > len(self.order):
            self.order, self.at = torch.randperm(len(self.train[0]), device=self.device), 0
        rows = self.order[self.at:self.at + self.batch_size]
        self.at += self.batch_size
        return self.train[0][rows], self.train[1][rows]

    def rate(self, peak, p):
        """Linear warm-up, then cosine to 0.2 % of the peak."""
        warm = self.args.warmup
        if p < warm:
            return peak * (0.01 + 0.99 * p / warm)
        return peak * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * (p - warm) / (1 - warm))))

    @torch.no_grad()
    def evaluate(self, logits_of):
        """-> top-1 and top-5 in percent over the validation pictures; logits_of takes 0..1 pictures."""
        x, y = self.val
        rank = torch.cat([logits_of(part.float() / 255).topk(5, 1).indices for part in x.split(400)])
        right = rank == y[:, None]
        return tuple(100 * hit.float().mean().item() for hit in (right[:, 0], right.any(1)))

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def make_teacher(run):
    net = teaching.Teacher(len(run.names))
    args = run.args
    if args.resume:
        net.load_state_dict(torch.load(Path(args.resume, "teacher.pth"), weights_only=True))
    elif args.vit:
        net.load(args.vit, run.imagenet)
    net.to(run.device)

    def logits(x):
        with run.autocast():
            return net(x).float()

    if args.vit or args.resume:
        run.log("teacher as it comes: top-1 %.2f top-5 %.2f" % run.evaluate(logits))
    if args.tune > 0:
        teaching.tune(run, net, args.tune)
        run.log("teacher: top-1 %.2f top-5 %.2f" % run.evaluate(logits))
        save(halved(net.state_dict()), run.out / "teacher.pth")
    return net.eval().to(torch.bfloat16 if run.device.type == "cuda" else torch.float32)


def views(run, teacher, progress):
    """One augmented batch -> normalised pictures, mixed labels, the teacher's logits."""
    calm = progress >= run.args.mix_until
    with torch.no_grad():
        x, y = run.batch()
        x, target = run.augment(x, y, min_area=0.5 if calm else run.args.min_area, mix=0.0 if calm else 0.75)
        half = x.to(next(teacher.parameters()).dtype)
        return data.normalise(x), target, teacher(half, run.call(teaching.Block, "answer"))


def report(run, students, step, progress, last=False):
    parts = []
    for s in students:
        loss, scores = s.mean_loss(), run.evaluate(lambda x: s.ema(data.normalise(x)))
        line = f"{s.kind} loss {loss:.3f} top-1 {scores[0]:.2f} top-5 {scores[1]:.2f}"
        if last and s.kind in ("prepbn", "slab"):
            s.calibrate(run.train[0][torch.randperm(len(run.train[0]), device=run.device)[:10000]])
            scores = run.evaluate(lambda x: s.ema(data.normalise(x)))
            line += f", calibrated {scores[0]:.2f} {scores[1]:.2f}"
        parts.append(line)
        s.save(run.out, {"steps": s.steps, "epochs": round(s.steps * run.batch_size / len(run.train[0]), 1),
                         "progress": round(progress, 4), "val_top1": round(scores[0], 3),
                         "val_top5": round(scores[1], 3), "parameters": s.parameters(),
                         "recipe": recipe(run.args)})
    run.log(f"step {step} progress {progress:.3f} | " + " | ".join(parts))


def recipe(args):
    """The arguments that shape the result; no paths, so that log and export can be published."""
    return {k: v for k, v in vars(args).items() if k not in ("data", "vit", "cache", "out", "resume", "measure")}


def train(run, teacher, students):
    args, step, progress, reported = run.args, 0, 0.0, 0.0
    while progress < 1:
        if step == WARM:  # what was compiled until here doesn't count
            run.wait()
            start = time.time()
            seconds = args.seconds if args.until is None else max(20.0, run.begun + args.until - start)
            run.log(f"students: {seconds:.0f} s")
        x, target, answer = views(run, teacher, progress)
        for s in students:
            if step % s.every == 0 and not s.dead:
                s.step(x, target, answer, progress)
        step += 1
        if step % 8 == 0 and step > WARM:
            run.wait()
            progress = min(1.0, (time.time() - start) / seconds)
        if progress - reported >= 0.1 or step in (40, 400):
            report(run, students, step, progress)
            reported = progress
    report(run, students, step, 1.0, last=True)


def measure(run, teacher, students, rounds=12):
    """Milliseconds of each part, enqueued and done."""
    def timed(name, what):
        begin = time.time()
        what()
        run.wait()
        first = time.time() - begin
        for _ in range(3):
            what()
        run.wait()
        begin = time.time()
        for _ in range(rounds):
            what()
        queued = time.time() - begin
        run.wait()
        run.log(f"{name:8} first {first:5.1f} s, then {1e3 * (time.time() - begin) / rounds:7.2f} ms "
                f"(queued in {1e3 * queued / rounds:6.2f})")
    timed("augment", lambda: run.augment(*run.batch()))
    x, target, answer = views(run, teacher, 0.5)
    timed("views", lambda: views(run, teacher, 0.5))
    for s in students:
        timed(s.kind, lambda: s.step(x, target, answer, 0.5))
    timed("evaluate", lambda: [run.evaluate(lambda v: s.ema(data.normalise(v))) for s in students])


def main():
    args = arguments()
    run = Run(args)
    run.log(f"torch {torch.__version__} arguments {json.dumps(recipe(args))}")
    students = [Student(run, kind, args.lr if kind == "pool" else args.lr_deit, 1 if kind == "pool" else args.every)
                for kind in args.students.split(",")]
    for s in students:
        if args.resume:
            s.net.load_state_dict(torch.load(Path(args.resume, f"{s.kind}.pth"), weights_only=True), strict=False)
            s.ema.load_state_dict(s.net.state_dict())
        run.log(f"{s.kind}: {s.parameters()} parameters")
    teacher = make_teacher(run)
    if args.measure:
        measure(run, teacher, students)
    else:
        train(run, teacher, students)
    if run.device.type == "cuda":
        run.log(f"peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB on {torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
