"""Writes the seed corpora of the fuzz targets beside this script: small files of every kind that
the readers know, so that the fuzzers start behind the first checks. Run it after a change; the
files are committed. No packages needed."""

import io, json, os, pickle, struct, sys, types, zipfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(data)


# ---- GGUF ----
def string(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def gguf(kvs, tensors, data, version=3, align=32):
    out = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(kvs)) + b"".join(
        string(k) + v for k, v in kvs
    )
    for name, dims, kind, offset in tensors:
        out += string(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims)
        out += struct.pack("<IQ", kind, offset)
    return out + b"\0" * (-len(out) % align) + data


def value(kind, fmt, v):
    return struct.pack("<I" + fmt, kind, v)


scalars = [
    ("u8", value(0, "B", 255)),
    ("i8", value(1, "b", -1)),
    ("u16", value(2, "H", 65535)),
    ("i16", value(3, "h", -2)),
    ("u32", value(4, "I", 7)),
    ("i32", value(5, "i", -7)),
    ("f32", value(6, "f", 0.5)),
    ("bool", value(7, "B", 1)),
    ("str", struct.pack("<I", 8) + string("naïve")),
    ("u64", value(10, "Q", 2**63)),
    ("i64", value(11, "q", -(2**40))),
    ("f64", value(12, "d", 1e300)),
]
arrays = [
    ("a.u8", struct.pack("<IIQ3B", 9, 0, 3, 1, 2, 3)),
    ("a.f32", struct.pack("<IIQ2f", 9, 6, 2, 1, 2)),
    ("a.bool", struct.pack("<IIQ2B", 9, 7, 2, 0, 1)),
    ("a.i64", struct.pack("<IIQq", 9, 11, 1, -5)),
    ("a.str", struct.pack("<IIQ", 9, 8, 2) + string("") + string("two")),
    ("a.none", struct.pack("<IIQ", 9, 8, 0)),
]
save("gguf", "scalars", gguf(scalars, [], b""))
save("gguf", "arrays", gguf(arrays, [], b"", version=2))
save(
    "gguf",
    "tensors",
    gguf(
        [],
        [("w", (4, 2), 0, 0), ("q", (32, 1, 1), 8, 32), ("h", (3,), 1, 96), ("s", (), 28, 128)],
        bytes(range(136)),
    ),
)
save(
    "gguf",
    "aligned",
    gguf(
        [("general.alignment", value(4, "I", 64))],
        [("b", (5,), 24, 64), ("a", (2,), 26, 0)],
        b"\1" * 69,
        align=64,
    ),
)
save("gguf", "page", b"<!DOCTYPE html><html><head><title>404</title></head></html>")

# ---- JSON ----
for i, text in enumerate(
    [
        '{"a":[1,-2.5e-3,true,false,null,"x\\u00e9\\ud83d\\ude00\\n"],"b":{"c":{}}}',
        "[[[[[]]]]]",
        "0.1",
        '"\u00fc\U0001f600"',
        "\ufeff[1e308,-0,123456789012345678]",
        '{"a":1,"a":2}',
        " [ 1 , 2 ] ",
    ]
):
    save("json", "seed%d" % i, text.encode())


# ---- safetensors ----
def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


save(
    "safetensors",
    "floats",
    safetensors(
        {
            "__metadata__": {"format": "pt"},
            "a": entry("F32", [2, 2], 0, 16),
            "b": entry("F16", [3], 16, 22),
            "c": entry("BF16", [1], 22, 24),
            "d": entry("F64", [], 24, 32),
        },
        bytes(range(32)),
    ),
)
save(
    "safetensors",
    "whole",
    safetensors(
        {
            "a": entry("I64", [1], 0, 8),
            "b": entry("I32", [1], 8, 12),
            "c": entry("I16", [1], 12, 14),
            "d": entry("I8", [1], 14, 15),
            "e": entry("U8", [1], 15, 16),
            "f": entry("BOOL", [1], 16, 17),
            "g": entry("F32", [0, 3], 17, 17),
        },
        bytes(range(17)),
    ),
)
save(
    "safetensors",
    "prefixed",
    safetensors({"module.a": entry("I8", [2], 0, 2), "module.b": entry("I8", [2], 2, 4)}, b"abcd"),
)


# ---- pickles: objects that pickle themselves as torch does ----
def module(name, **members):
    m = sys.modules.setdefault(name, types.ModuleType(name))
    for k, v in members.items():
        setattr(m, k, v)
        v.__module__, v.__qualname__, v.__name__ = name, k, k
    return m


class Kind:  # stands for a storage type, pickled as a global
    pass


def function():
    def f(*_):
        raise RuntimeError("never called")

    return f


rebuild, parameter, unknown = function(), function(), function()
kinds = {
    n: type(n, (Kind,), {})
    for n in ("FloatStorage", "LongStorage", "ByteStorage", "BFloat16Storage", "ComplexStorage")
}
Namespace = type("Namespace", (), {})
module("torch", **kinds)
module(
    "torch._utils",
    _rebuild_tensor_v2=rebuild,
    _rebuild_parameter=parameter,
    _rebuild_sparse=unknown,
)
module("argparse", Namespace=Namespace)


class Storage:
    def __init__(self, kind, key, n):
        self.id = ("storage", kinds[kind], key, "cpu", n)


class Tensor:
    def __init__(self, storage, offset, size, stride, how=rebuild):
        self.args, self.how = (storage, offset, size, stride, False, {}), how

    def __reduce__(self):
        return self.how, self.args


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return parameter, (self.tensor, True, {})


class Pickler(pickle._Pickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Storage) else None


def dump(obj, protocol=2):
    out = io.BytesIO()
    Pickler(out, protocol).dump(obj)
    return out.getvalue()


f = Storage("FloatStorage", "0", 16)
args = Namespace()
args.lr = 0.1
plain = {
    "weight": Tensor(f, 0, (2, 3), (3, 1)),
    "transposed": Tensor(f, 1, (3, 2), (1, 3)),
    "tied": Tensor(f, 0, (2, 3), (3, 1)),
    "expanded": Tensor(f, 2, (4, 2), (1, 0)),
    "scalar": Tensor(f, 15, (), ()),
    "none": None,
    "long": Tensor(Storage("LongStorage", "1", 1), 0, (1,), (1,)),
    "empty": Tensor(Storage("FloatStorage", "2", 0), 0, (0, 5), (5, 1)),
    "byte": Tensor(Storage("ByteStorage", "1", 8), 4, (2, 2), (2, 1)),
    "bf": Parameter(Tensor(Storage("BFloat16Storage", "1", 4), 0, (4,), (1,))),
}
save("pickle", "plain", dump(plain))
save("pickle", "plain4", dump(plain, 4))
save(
    "pickle",
    "nested",
    dump(
        {
            "model": {"module." + k: v for k, v in plain.items()},
            "args": args,
            "epoch": 2**70,
            "lst": [1.5, (2, b"x")],
            "set": {1, 2},
            "text": "naïve\0",
            "neg": -5,
        }
    ),
)
save("pickle", "special", dump({"state_dict": {"a": Tensor(f, 0, (1,), (1,), unknown)}}))
save("pickle", "complex", dump({"a": Tensor(Storage("ComplexStorage", "0", 2), 0, (1,), (1,))}))
save("pickle", "outside", dump({"a": Tensor(f, 10, (3, 3), (3, 1))}))
for name, entries in {
    "archive": [
        ("m/data.pkl", dump(plain)),
        ("m/byteorder", b"little"),
        ("m/data/0", bytes(64)),
        ("m/data/1", bytes(8)),
        ("m/data/2", b""),
    ],
    "big_endian": [("m/data.pkl", dump(plain)), ("m/byteorder", b"big")],
}.items():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for path, data in entries:
            z.writestr(zipfile.ZipInfo(path), data)
    save("pickle", name, out.getvalue())


def legacy(obj, storages, little=True, version=1001):
    """The container from before PyTorch 1.6: five pickles, then counts and elements."""
    parts = [0x1950A86A20F9469CFC6C, version, {"protocol_version": 1001, "little_endian": little}, obj]
    out = b"".join(dump(p) for p in parts) + dump([key for key, _, _ in storages])
    return out + b"".join(struct.pack("<q", n) + data for _, n, data in storages)


whole = [("0", 16, bytes(range(64))), ("1", 1, bytes(8)), ("2", 0, b"")]
plain.pop("byte"), plain.pop("bf")  # storage 1 has one type here, as torch writes it
save("pickle", "legacy", legacy(plain, whole))
save("pickle", "legacy_model", legacy({"model": plain, "args": args}, whole))
save("pickle", "legacy_cut", legacy(plain, whole)[:-70])
save("pickle", "legacy_big_endian", legacy(plain, whole, little=False))
save("pickle", "legacy_overflow", legacy(plain, [("0", 2**62 + 1, bytes(64))] + whole[1:]))
