"""Makes resize.bin: what Pillow's Image.resize, then CenterCrop as torchvision and timm do it, give for small
pictures of seeded noise. The C test makes the same noise, so only the results are kept.
Needs Pillow before 13 (which runs the vertical pass first for some shapes, with other roundings; every published
accuracy is older): in this folder, python3 make_vectors.py

Record, little endian: u32 source w, h, target w, h, crop_pct × 1000, resample (0 nearest, 1 bilinear, 2 bicubic),
squash, seed, kind (0 noise, 1 noise of black and white), resized w, h, i32 left, top; then target h × w × 3 bytes.
"""
import math
import random
import struct

import PIL
from PIL import Image

assert int(PIL.__version__.split(".")[0]) < 13, "Pillow 13 orders the passes differently"
FILTERS = [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC]


def noise(w, h, seed, kind):
    out = bytearray(w * h * 3)
    x = seed
    for i in range(len(out)):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = (x >> 24) if kind == 0 else (255 if x >> 31 else 0)
    return Image.frombytes("RGB", (w, h), bytes(out))


def resized_size(w, h, target_w, target_h, crop_pct):
    scaled_w, scaled_h = math.floor(target_w / crop_pct), math.floor(target_h / crop_pct)
    if scaled_w == scaled_h:
        short, long = min(w, h), max(w, h)
        new_short, new_long = scaled_w, int(scaled_w * long / short)
        return (new_short, new_long) if w <= h else (new_long, new_short)
    ratio = min(h / scaled_h, w / scaled_w)
    return int(round(w / ratio)), int(round(h / ratio))


def offset(n, crop):
    return -((crop - n) // 2) if n < crop else int(round((n - crop) / 2.0))


def record(w, h, tw, th, pct, resample, squash, seed, kind):
    picture = noise(w, h, seed, kind)
    rw, rh = (tw, th) if squash else resized_size(w, h, tw, th, pct / 1000)
    left, top = (0, 0) if squash else (offset(rw, tw), offset(rh, th))
    resized = picture.resize((rw, rh), FILTERS[resample])
    out = Image.new("RGB", (tw, th))
    out.paste(resized, (-left, -top))
    head = struct.pack("<11I2i", w, h, tw, th, pct, resample, squash, seed, kind, rw, rh, left, top)
    return head + out.tobytes()


def cases():
    sizes = [(1, 1), (1, 7), (7, 1), (2, 3), (5, 5), (13, 11), (32, 32), (33, 31), (31, 64), (101, 17), (17, 101), (64, 48),
             (200, 3), (3, 200), (1, 300), (300, 1), (127, 129), (255, 254)]
    for i, (w, h) in enumerate(sizes):
        for resample in range(3):
            for kind in range(2):
                yield w, h, 8 + i % 5, 8 + i % 5, (900, 875, 1000, 950, 800)[i % 5], resample, 0, 7 * i + resample, kind
                yield w, h, 9 + i % 4, 7 + i % 6, 1000, resample, 1, 11 * i + resample, kind
    yield 37, 23, 37, 23, 1000, 2, 1, 1, 0    # nothing to do
    yield 37, 23, 37, 11, 1000, 2, 1, 2, 0    # only the vertical pass
    yield 37, 23, 11, 23, 1000, 2, 1, 3, 0    # only the horizontal pass
    yield 40, 30, 12, 12, 1300, 2, 0, 4, 0    # crop_pct above 1: black border
    yield 40, 31, 13, 13, 1500, 0, 0, 5, 0
    yield 30, 41, 16, 9, 900, 2, 0, 6, 0      # a target that is not square
    yield 90, 41, 9, 16, 875, 1, 0, 7, 0
    yield 500, 333, 32, 32, 900, 2, 0, 8, 0
    yield 640, 480, 40, 40, 900, 2, 0, 9, 1
    dice = random.Random(3)
    for i in range(90):
        w, h = dice.randint(1, 150), dice.randint(1, 150)
        t = dice.randint(1, 24)
        u = dice.choice([t, t, dice.randint(1, 24)])
        yield w, h, t, u, dice.choice([700, 800, 875, 900, 950, 960, 1000]), dice.choice([0, 1, 2, 2]), \
            dice.randint(0, 1), i, dice.randint(0, 1)


if __name__ == "__main__":
    data = b"".join(record(*c) for c in cases())
    with open("resize.bin", "wb") as f:
        f.write(data)
    print(len(data), "bytes")
