"""Copies what tests/unit/convert/rewrite.c compares out of the data pack's goldens of pre-rmsnorm-transformer.

    python3 tests/golden/make_prerms_subset.py PATH/goldens

writes tests/golden/data/prerms.safetensors: of each golden the first block, the embeddings and the head, before ("NAME/ln/…") and after
the official conversion ("NAME/rms/…", "NAME/crms/…"), under the names that the test gives to the parts of a block. All in float32, as the
pack has them but for the example. A converted tensor that is as before is left out. Then prerms_official_vit.safetensors: the whole official
ViT under timm's names (its norms without scales and shifts are ones with 1 and 0), with its input and its outputs for norms.mjs. Needs
nothing but Python.
"""
import json
import pathlib
import struct
import sys
from array import array

# ours → theirs; without ".weight" and ".bias"
VIT = {"stem": "to_patch_embedding.1", "position": "pos_embedding", "prefix": "cls_token", "qkv": "transformer.layers.0.1.to_qkv",
       "out": "transformer.layers.0.1.to_out", "head": "mlp_head.1"}
GPT = {"table": "wte", "prefix": "wpe", "qkv": "transformer.layers.0.1.to_qkv", "out": "transformer.layers.0.1.to_out", "head": "final_linear"}
TIMM = {"stem": "patch_embed.proj", "position": "pos_embed", "prefix": "cls_token", "norm1": "blocks.0.norm1", "qkv": "blocks.0.attn.qkv",
        "out": "blocks.0.attn.proj", "norm2": "blocks.0.norm2", "up": "blocks.0.mlp.fc1", "down": "blocks.0.mlp.fc2", "norm": "norm",
        "head": "head"}
NANOGPT = {"table": "transformer.wte", "prefix": "transformer.wpe", "norm1": "transformer.h.0.ln_1", "qkv": "transformer.h.0.attn.c_attn",
           "out": "transformer.h.0.attn.c_proj", "norm2": "transformer.h.0.ln_2", "up": "transformer.h.0.mlp.c_fc",
           "down": "transformer.h.0.mlp.c_proj", "norm": "transformer.ln_f", "head": "lm_head"}
EXAMPLE = {"position": "pos_embedding", "prefix": "cls_token", "qkv": "att_in_linear", "out": "att_out_linear", "head": "cls_head_linear"}
GOLDENS = {"official_vit": VIT, "official_gpt": GPT, "vit_affine": TIMM, "nanogpt_tied": NANOGPT}


def read(path: pathlib.Path) -> dict:
    """name → (shape, values)"""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = {"F32": "f", "F64": "d"}.get(entry["dtype"])
        if kind:
            out[name] = (entry["shape"], array(kind, data[8 + length + begin : 8 + length + end]))
    return out


def write(name: str, tensors: dict) -> None:
    """tensors: name → (dtype, shape, bytes)"""
    header, body = {}, b""
    for key, (dtype, shape, data) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    target = pathlib.Path(__file__).parent / "data" / name
    target.write_bytes(struct.pack("<Q", len(text)) + text + body)
    print(f"{name}: {len(header)} tensors, {target.stat().st_size} bytes")


def official_vit(folder: str) -> None:
    tensors, out = read(pathlib.Path(folder) / "prerms_official_vit.io.safetensors"), {}

    def take(ours: str, theirs: str, shape=None) -> None:
        was, values = tensors[theirs]
        out[ours] = ("F64" if values.typecode == "d" else "F32", shape or was, values.tobytes())

    def product(ours: str, theirs: str) -> None:
        for part in ("weight", "bias"):
            take(f"{ours}.{part}", f"weights_ln/{theirs}.{part}")

    def norm(ours: str) -> None:
        for part, value in (("weight", 1.0), ("bias", 0.0)):
            out[f"{ours}.{part}"] = ("F32", [64], array("f", [value] * 64).tobytes())

    for key in ("output_ln_f64", "output_rms_f64", "output_crms_f64", "input"):
        take(key, key)
    take("pos_embed", "weights_ln/pos_embedding")
    take("cls_token", "weights_ln/cls_token")
    product("patch_embed.proj", "to_patch_embedding.1")
    _, rows = tensors["weights_ln/to_patch_embedding.1.weight"]  # [64, (row, column, channel)]: a convolution's is channel first
    kernel = array("f", (rows[192 * o + 3 * cell + c] for o in range(64) for c in range(3) for cell in range(64)))
    out["patch_embed.proj.weight"] = ("F32", [64, 3, 8, 8], kernel.tobytes())
    for b in range(3):
        norm(f"blocks.{b}.norm1")
        product(f"blocks.{b}.attn.qkv", f"transformer.layers.{b}.1.to_qkv")
        product(f"blocks.{b}.attn.proj", f"transformer.layers.{b}.1.to_out")
        norm(f"blocks.{b}.norm2")
        product(f"blocks.{b}.mlp.fc1", f"transformer.layers.{b}.3.net.0")
        product(f"blocks.{b}.mlp.fc2", f"transformer.layers.{b}.3.net.2")
    norm("norm")
    product("head", "mlp_head.1")
    write("prerms_official_vit.safetensors", out)


def squeeze(shape: list) -> list:
    """[1, rows, c] is a table here, and only the first block of a stack is wanted."""
    return shape[1:] if len(shape) == 3 else shape


def main(folder: str) -> None:
    found = {}
    for golden, names in GOLDENS.items():
        tensors = read(pathlib.Path(folder) / f"prerms_{golden}.io.safetensors")
        for form in ("ln", "rms", "crms"):
            for ours, theirs in names.items():
                for part in ("weight", "bias"):
                    plain = tensors.get(f"weights_{form}/{theirs}") if part == "weight" else None
                    tensor = tensors.get(f"weights_{form}/{theirs}.{part}", plain)
                    if theirs.endswith("c_attn") and part == "bias":
                        continue  # the pack lacks it before the conversion (it looks like the mask buffers "attn.bias"), so nothing can be compared
                    if tensor is not None:
                        found[f"{golden}/{form}/{ours}.{part}"] = tensor
    tensors = read(pathlib.Path(folder) / "prerms_official_example.io.safetensors")
    for form, prefix in (("ln", ""), ("rms", "zm_"), ("crms", "compressed_")):
        for ours, theirs in EXAMPLE.items():
            for part in ("weight", "bias"):
                plain = tensors.get(prefix + theirs) if part == "weight" else None
                tensor = tensors.get(f"{prefix}{theirs}_{part}", plain)
                if tensor is None:
                    continue
                shape, values = tensor
                if theirs.startswith("att_"):  # the first of four blocks
                    shape = shape[1:]
                    values = values[: len(values) // 4]
                found[f"official_example/{form}/{ours}.{part}"] = (shape, values)
    kept = {}
    for name, (shape, values) in found.items():
        golden, form, key = name.split("/")
        floats = array("f", values)
        before = found.get(f"{golden}/ln/{key}")
        if form == "ln" or before is None or array("f", before[1]) != floats:
            kept[name] = ("F32", squeeze(shape), floats.tobytes())
    write("prerms.safetensors", kept)
    official_vit(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
