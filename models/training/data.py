"""The pictures: read train.tar.xz, val.tar.xz and classes.tsv once, keep them as uint8 arrays.

prepare() decodes with several processes and caches [N, 3, 64, 64] arrays, so a second start needs
neither the archives nor the time (10 s on 16 cores).
"""
import io
import multiprocessing
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
EDGE = 64


def read_classes(folder):
    """classes.tsv -> list of (wnid, ImageNet index, name) in label order."""
    rows = [r.split("\t") for r in Path(folder, "classes.tsv").read_text().splitlines()[1:] if r]
    rows.sort(key=lambda r: int(r[0]))
    return [(r[1], int(r[2]), r[3]) for r in rows]


def decode(jpeg):
    """JPEG bytes -> uint8 [3, 64, 64]; a grey picture is repeated on three channels."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    if picture.size != (EDGE, EDGE):
        raise ValueError(f"a picture is {picture.size}, expected {EDGE}x{EDGE}")
    return np.asarray(picture).transpose(2, 0, 1)


def decode_tar(path, label_of, processes):
    """-> uint8 pictures [N, 3, 64, 64] and int64 labels [N], in name order (the tar's may vary)."""
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and member.name.upper().endswith(".JPEG"):
                wnid = member.name.split("/")[-2]
                found.append((member.name, tar.extractfile(member).read(), label_of[wnid]))
    found.sort(key=lambda f: f[0])
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pictures = pool.map(decode, [f[1] for f in found], chunksize=250)
    return np.stack(pictures), np.array([f[2] for f in found], dtype=np.int64)


def prepare(folder, cache, processes=16):
    """-> {"train": (x, y), "val": (x, y)} as torch tensors, decoded on the first call only."""
    cache = Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    label_of = {row[0]: i for i, row in enumerate(read_classes(folder))}
    out = {}
    for split in ("train", "val"):
        fx, fy = cache / f"{split}_x.npy", cache / f"{split}_y.npy"
        if not fy.exists():
            x, y = decode_tar(Path(folder, f"{split}.tar.xz"), label_of, processes)
            np.save(fx, x)
            np.save(fy, y)
        out[split] = (torch.from_numpy(np.load(fx)), torch.from_numpy(np.load(fy)))
    return out


def normalise(x, mean=MEAN, std=STD):
    """[B, 3, H, W] in 0..1 -> the network's scale."""
    shape = (1, 3, 1, 1)
    return (x - torch.tensor(mean, device=x.device).view(shape)) / torch.tensor(std, device=x.device).view(shape)
