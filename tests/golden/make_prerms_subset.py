"""Copies what tests/unit/convert/rewrite.c compares out of the data pack's goldens of pre-rmsnorm-transformer.

    python3 tests/golden/make_prerms_subset.py PATH/goldens

writes tests/golden/data/prerms.safetensors: of each golden the first block, the embeddings and the head, before ("NAME/ln/…") and after
the official conversion ("NAME/rms/…", "NAME/crms/…"), under the names that the test gives to the parts of a block. All in float32, as the
pack has them but for the example. A converted tensor that is as before is left out. Needs nothing but Python.
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
    header, body = {}, b""
    for name, (shape, values) in found.items():
        golden, form, key = name.split("/")
        floats = array("f", values)
        before = found.get(f"{golden}/ln/{key}")
        if form != "ln" and before is not None and array("f", before[1]) == floats:
            continue
        data = floats.tobytes()
        header[name] = {"dtype": "F32", "shape": squeeze(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    target = pathlib.Path(__file__).parent / "data" / "prerms.safetensors"
    target.write_bytes(struct.pack("<Q", len(text)) + text + body)
    print(f"{target.name}: {len(header)} tensors, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
