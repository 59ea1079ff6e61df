"""Copies the op vectors that our ops have twins for out of the data pack's ops_torch.safetensors.

    python3 tests/golden/make_ops_subset.py PATH/ops_torch.safetensors

writes tests/golden/data/ops_torch.safetensors: inputs (F32, from torch's own run) and float64 outputs, in the order of the
names below. Needs nothing but Python. Run again when an op with vectors in the pack is added.
"""
import json
import pathlib
import struct
import sys

OPS = [
    "gelu_erf", "groupnorm1_nchw", "layernorm_channels_nchw", "layernorm_smallvar_eps1e-05",
    "layernorm_smallvar_eps1e-06", "layernorm_smallvar_eps1e-12", "avgpool3_s1_nopadcount", "avgpool5_s1_nopadcount",
    "conv7_s4_p2_odd", "conv3_s2_p1_odd", "conv3_s1_p1", "conv4_s4_remainder", "attention_full",
    "dwconv3_p1", "dwconv5_p2", "interp_linear_up", "interp_linear_16_144",
    "interp_bilinear_up", "interp_bilinear_down", "interp_bicubic_up", "interp_bicubic_down",
    "rmsnorm_eps1e-5", "batchnorm_eval", "repbn",
    "silu", "rope_half", "rope_interleaved", "attention_causal_offset",
]


def main(source: str) -> None:
    data = pathlib.Path(source).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8 : 8 + length])
    tensors.pop("__metadata__", None)
    header, body = {}, b""
    for op in OPS:
        names = sorted(n for n in tensors if n.startswith(op + "/in/") or n == op + "/out/y_f64")
        for name in names:
            begin, end = tensors[name]["data_offsets"]
            header[name] = dict(tensors[name], data_offsets=[len(body), len(body) + end - begin])
            body += data[8 + length + begin : 8 + length + end]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    target = pathlib.Path(__file__).parent / "data" / "ops_torch.safetensors"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(struct.pack("<Q", len(text)) + text + body)
    print(f"{target.name}: {len(header)} tensors, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
