"""Pictures for training: decode once to uint8, then augment whole batches with few tensor operations.

prepare() reads train.tar.xz, val.tar.xz and classes.tsv of the data folder and caches [N, 64, 64, 3]
arrays. Augment turns a uint8 batch into a normalised float batch: scale, aspect, shift, small
rotation and flip are one affine grid_sample; brightness, contrast, saturation and a channel tint are
one 3x4 colour matrix per picture; then CutMix or mixup. Cost: a few ms per batch of 64, against some
hundred ms for the network.
"""
import io
import math
import tarfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LUMA = torch.tensor([0.299, 0.587, 0.114])


def read_classes(folder):
    """classes.tsv -> list of (wnid, name) in label order."""
    rows = [r.split("\t") for r in Path(folder, "classes.tsv").read_text().splitlines()[1:] if r]
    rows.sort(key=lambda r: int(r[0]))
    return [(r[1], r[3]) for r in rows]


def decode_tar(path, label_of):
    """-> uint8 pictures [N, 64, 64, 3] and int64 labels [N], in name order (the tar's may vary)."""
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isfile() or not member.name.upper().endswith(".JPEG"):
                continue
            picture = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            if picture.size != (64, 64):
                raise ValueError(f"{member.name} is {picture.size}, expected 64x64")
            wnid = member.name.split("/")[-2]
            found.append((member.name, np.asarray(picture), label_of[wnid]))
    found.sort(key=lambda f: f[0])
    return np.stack([f[1] for f in found]), np.array([f[2] for f in found], dtype=np.int64)


def prepare(folder, cache):
    """-> {"train": (x, y), "val": (x, y)} as torch tensors, decoded on the first call only."""
    cache = Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    label_of = {wnid: i for i, (wnid, _) in enumerate(read_classes(folder))}
    out = {}
    for split in ("train", "val"):
        fx, fy = cache / f"{split}_x.npy", cache / f"{split}_y.npy"
        if not fy.exists():
            x, y = decode_tar(Path(folder, f"{split}.tar.xz"), label_of)
            np.save(fx, x)
            np.save(fy, y)
        out[split] = (torch.from_numpy(np.load(fx)), torch.from_numpy(np.load(fy)))
    return out


def normalise(x):
    """uint8 [B, H, W, 3] -> float [B, H, W, 3]."""
    return (x.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)


class Augment:
    """Random view of a batch. `strength` scales geometry and colour; mix = chance of CutMix/mixup."""

    def __init__(self, generator, min_area=0.35, strength=1.0, mix=0.5):
        self.g, self.min_area, self.strength, self.mix = generator, min_area, strength, mix

    def uniform(self, n, lo, hi):
        return torch.rand(n, generator=self.g) * (hi - lo) + lo

    def geometry(self, x, size):  # [B, 3, H, W] -> [B, 3, size, size]
        n, s = x.shape[0], self.strength
        side = self.uniform(n, self.min_area, 1.0).sqrt()
        ratio = (self.uniform(n, -1, 1) * math.log(4 / 3) * 0.5 * s).exp()
        w, h = (side * ratio).clamp(max=1), (side / ratio).clamp(max=1)
        cx, cy = self.uniform(n, -1, 1) * (1 - w), self.uniform(n, -1, 1) * (1 - h)
        turn = self.uniform(n, -0.2, 0.2) * s * (torch.rand(n, generator=self.g) < 0.3)
        flip = (torch.rand(n, generator=self.g) < 0.5) * 2.0 - 1
        c, d = turn.cos(), turn.sin()
        rows = [torch.stack([w * c * flip, -h * d, cx], 1), torch.stack([w * d * flip, h * c, cy], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), (n, 3, size, size), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def colour(self, x):  # [B, 3, H, W] in 0..1 -> [B, H, W, 3] normalised
        n, s = x.shape[0], self.strength
        gain = self.uniform(n, 1 - 0.3 * s, 1 + 0.3 * s)
        contrast = self.uniform(n, 1 - 0.3 * s, 1 + 0.3 * s)
        colourful = self.uniform(n, 1 - 0.4 * s, 1 + 0.4 * s)
        colourful[torch.rand(n, generator=self.g) < 0.05 * s] = 0  # some grey pictures
        tint = (torch.randn(n, 3, generator=self.g) * 0.05 * s).exp()
        # out = M x + t, with M = tint * gain * (colourful * I + (1 - colourful) * luma);
        # contrast pulls towards the picture's own mean.
        m = colourful[:, None, None] * torch.eye(3) + (1 - colourful)[:, None, None] * LUMA
        m = m * gain[:, None, None] * tint[:, :, None]
        mean = (m @ x.mean(dim=(2, 3))[:, :, None]).squeeze(2)
        t = mean * (1 - contrast)[:, None]
        m = m * contrast[:, None, None]
        m, t = m / torch.tensor(STD)[:, None], (t - torch.tensor(MEAN)) / torch.tensor(STD)
        flat = x.permute(0, 2, 3, 1).reshape(n, -1, 3)
        return torch.baddbmm(t[:, None, :], flat, m.transpose(1, 2)).view(n, *x.shape[2:], 3)

    def mixed(self, x, y, classes, smoothing):
        """-> x and soft targets [B, classes]; partner of a picture = the batch turned by one."""
        target = F.one_hot(y, classes).float() * (1 - smoothing) + smoothing / classes
        if torch.rand((), generator=self.g) >= self.mix:
            return x, target
        size = x.shape[1]
        if torch.rand((), generator=self.g) < 0.5:  # CutMix: a box of the partner, uniform area
            part = torch.rand((), generator=self.g).item()
            edge = max(1, round(size * math.sqrt(part)))
            top, left = (int(torch.randint(size - edge + 1, (), generator=self.g)) for _ in "yx")
            x2 = x.clone()
            x2[:, top:top + edge, left:left + edge] = \
                x.roll(1, 0)[:, top:top + edge, left:left + edge]
            keep, x = 1 - edge * edge / (size * size), x2
        else:  # mixup with Beta(0.4, 0.4), drawn as a ratio of gammas
            a, b = torch._standard_gamma(torch.full((2,), 0.4), generator=self.g).tolist()
            keep = max(a, b) / max(a + b, 1e-8)
            x = x * keep + x.roll(1, 0) * (1 - keep)
        return x, target * keep + target.roll(1, 0) * (1 - keep)

    def __call__(self, x, y, size, classes, smoothing):
        x = x.permute(0, 3, 1, 2).float() / 255
        x = self.colour(self.geometry(x, size)).contiguous()
        return self.mixed(x, y, classes, smoothing)
