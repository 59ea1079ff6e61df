"""Makes pictures/ (tiny PNG and JPEG files of every kind) and pictures.bin, what they must decode to.

Expectations come from Pillow (convert("RGB"), exif_transpose) with libjpeg-turbo, except where Pillow is not right: 16-bit grey
is v >> 8 here. All must be equal.
Needs Pillow, numpy and cjpeg (of libjpeg-turbo, for sampling factors that Pillow does not write); run in this folder:
python3 make_pictures.py

Record of pictures.bin, little endian: u8 length and bytes of the file name, u32 w, h; then h × w × 3 bytes.
"""
import io
import os
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image, ImageOps

W, H = 11, 7
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
records = []


def expect(name, data, rgb):
    with open("pictures/" + name, "wb") as f:
        f.write(data)
    h, w, _ = rgb.shape
    records.append(bytes([len(name)]) + name.encode() + struct.pack("<II", w, h) + rgb.tobytes())


def by_pillow(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)).convert("RGB")), np.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pack(samples, depth):
    """samples: [h, w, channels] integers; filter type 0 in front of each row, then one row of type 4."""
    out = b""
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            line = flat.astype(">u2").tobytes()
        else:
            bits = ((flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(-1).astype(np.uint8)
            line = np.packbits(bits).tobytes()
        out += b"\0" + line
    return out


def png(color, depth, samples, interlaced=False, extra=b"", after=b""):
    h, w = samples.shape[:2]
    if interlaced:
        raw = b""
        for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
            part = samples[y::dy, x::dx]
            if part.size:
                raw += pack(part, depth)
    else:
        raw = pack(samples, depth)
    header = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + after +
            chunk(b"IEND", b""))


def exif(orientation, big):
    e = ">" if big else "<"
    return ((b"MM" if big else b"II") + struct.pack(e + "HIH", 42, 8, 2) + struct.pack(e + "HHIHH", 0x0100, 3, 1, 5, 0) +
            struct.pack(e + "HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack(e + "I", 0))


def make_pngs():
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 256, 256 * 3, dtype=np.uint8)
    for color, depths in {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}.items():
        for depth in depths:
            samples = rng.integers(0, 1 << depth, (H, W, CHANNELS[color]))
            colors = palette[: 3 << depth].tobytes() if color == PALETTE else b""
            plte = chunk(b"PLTE", colors) if colors else b""
            kinds = {"": b""}
            if color == PALETTE:
                kinds["_trns"] = chunk(b"tRNS", bytes([0, 128]))
            if color in (GREY, RGB):
                kinds["_trns"] = chunk(b"tRNS", samples[0, 0].astype(">u2").tobytes())
            for kind, trns in kinds.items():
                for interlaced in (False, True):
                    data = png(color, depth, samples, interlaced, plte + trns)
                    name = f"{['grey', '', 'rgb', 'palette', 'greyalpha', '', 'rgba'][color]}{depth}{kind}{'_i' if interlaced else ''}.png"
                    if color in (GREY, GREY_ALPHA) and depth == 16:
                        want = np.repeat(samples[:, :, :1] >> 8, 3, 2).astype(np.uint8)
                        if color == GREY and not kind and not interlaced:
                            print("16-bit grey: Pillow differs from v >> 8 in", int((by_pillow(data) != want).sum()), "values")
                    else:
                        want = by_pillow(data)
                    expect(name, data, want)
    # Indices that the palette lacks.
    data = png(PALETTE, 4, rng.integers(0, 16, (H, W, 1)), extra=chunk(b"PLTE", palette[:15].tobytes()))
    expect("palette4_short.png", data, by_pillow(data))
    # Pillow's own writer: all filter types.
    y, x = np.mgrid[0:40, 0:33]
    smooth = np.stack([x * 7 % 256, y * 6, (x * y) % 256], 2).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(smooth).save(out, "PNG")
    expect("filters.png", out.getvalue(), smooth)
    samples = rng.integers(0, 256, (5, 3, 3))
    for o in range(1, 9):
        data = png(RGB, 8, samples, extra=chunk(b"eXIf", exif(o, True)) if o % 2 else b"", after=b"" if o % 2 else chunk(b"eXIf", exif(o, False)))
        expect(f"orientation{o}.png", data, by_pillow(data))
    expect("one_pixel.png", png(RGB, 8, samples[:1, :1]), samples[:1, :1].astype(np.uint8))


def scene(w, h):
    """Smooth, coloured, without symmetry."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    r = 128 + 100 * np.sin(x / w * 3) * np.cos(y / h * 2)
    g = 200 * x / w + 40 * (y > h / 2)
    b = 220 * y / h + 20 * np.sin(x / 3)
    return np.clip(np.stack([r, g, b], 2), 0, 255).astype(np.uint8)


def jpeg(picture, **options):
    out = io.BytesIO()
    picture.save(out, "JPEG", **{"quality": 90, **options})
    return out.getvalue()


def without_app14(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def make_jpegs():
    rgb = Image.fromarray(scene(37, 29))
    files = {
        "grey.jpg": jpeg(rgb.convert("L")),
        "grey_progressive.jpg": jpeg(rgb.convert("L"), progressive=True),
        "rgb_444.jpg": jpeg(rgb, subsampling="4:4:4"),
        "rgb_422.jpg": jpeg(rgb, subsampling="4:2:2"),
        "rgb_420.jpg": jpeg(rgb, subsampling="4:2:0"),
        "rgb_progressive.jpg": jpeg(rgb, progressive=True),
        "rgb_progressive_420.jpg": jpeg(rgb, progressive=True, subsampling="4:2:0"),
        "rgb_restart.jpg": jpeg(rgb, restart_marker_blocks=2),
        "rgb_optimized.jpg": jpeg(rgb, optimize=True),
        "rgb_low_quality.jpg": jpeg(rgb, quality=20),
        "rgb_unconverted.jpg": jpeg(rgb, keep_rgb=True),
        "one_pixel.jpg": jpeg(Image.fromarray(scene(1, 1))),
        "one_column.jpg": jpeg(Image.fromarray(scene(1, 19))),
        "one_row.jpg": jpeg(Image.fromarray(scene(19, 1))),
        "comment_and_thumbnail.jpg": jpeg(rgb, comment=b"\xff\xd9 in a comment"),
    }
    files["rgb_extended.jpg"] = files["rgb_444.jpg"].replace(b"\xff\xc0\0\x11", b"\xff\xc1\0\x11")
    cmyk = Image.fromarray(np.dstack([255 - scene(37, 29), (scene(37, 29)[:, :, 0] // 3)]), "CMYK")
    files["cmyk.jpg"] = jpeg(cmyk)
    files["cmyk_progressive.jpg"] = jpeg(cmyk, progressive=True)
    files["cmyk_no_adobe.jpg"] = without_app14(files["cmyk.jpg"])
    ycck = bytearray(files["cmyk.jpg"])
    ycck[files["cmyk.jpg"].index(b"Adobe") + 11] = 2
    files["ycck.jpg"] = bytes(ycck)
    for name, sampling, more in [("440", "1x2", ["-progressive"]), ("411", "4x1", ["-restart", "1"]), ("410", "4x2", []), ("441", "1x4", []),
                                 ("mixed", "2x2,2x1,1x2", ["-progressive", "-restart", "3B"]), ("fine_chroma", "1x1,1x2,2x1", [])]:
        ppm = io.BytesIO()
        rgb.save(ppm, "PPM")
        command = ["cjpeg", "-quality", "90", "-sample", sampling, *more]
        files[f"rgb_{name}.jpg"] = subprocess.run(command, input=ppm.getvalue(), stdout=subprocess.PIPE, check=True).stdout
    noise = np.random.default_rng(2).integers(0, 2, (24, 24, 3), dtype=np.uint8) * 255
    files["rgb_extreme.jpg"] = jpeg(Image.fromarray(noise), quality=100, subsampling="4:2:0")  # values far outside 0 … 255 before they are cut
    small = Image.fromarray(scene(34, 33))  # more than a tile of 32
    for o in range(1, 9):
        files[f"orientation{o}.jpg"] = jpeg(small, exif=b"Exif\0\0" + exif(o, o % 2 == 0))
    for name, data in files.items():
        expect(name, data, by_pillow(data))


if __name__ == "__main__":
    os.makedirs("pictures", exist_ok=True)
    make_pngs()
    make_jpegs()
    data = b"".join(records)
    with open("pictures.bin", "wb") as f:
        f.write(data)
    print(len(records), "pictures,", len(data), "bytes of expectations")
