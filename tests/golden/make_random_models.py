"""Writes tests/golden/random/models.json: many small configurations of PyPI's timm and transformers with weights that a formula gives
(random.mjs has the same formula, so the file holds names, shapes and outputs, no weights). Run by hand where torch is installed:

    python tests/golden/make_random_models.py [PATTERN]      with a pattern: only names that match, printed, nothing written

Per model: class and constructor (what --config reads), tensors as NAME: [shape, centre, half range], and runs: an input's shape, the
library's output in float64 and how far its float32 output is from that. A model with `refused` must not convert; the expression is for
the sentence. `rewrites` says which norm rewrites must be refused, and why; all others must hold."""
import json, math, pathlib, re, sys, tempfile, zlib

import numpy as np
import timm
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file
from timm.models import metaformer, vision_transformer
from timm.models.metaformer import MetaFormer
from timm.models.deit import VisionTransformerDistilled
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()


# ---- the formula: a 32-bit hash of the element's number, as a number in [-1, 1) with 24 bits ----

def noise(seed, count):
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + seed * 0x85EBCA6B).astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float64) / 2 ** 23 - 1


def fill(seed, shape, centre, half):
    return (centre + half * noise(seed, math.prod(shape))).astype(np.float32).reshape(shape)


def spread(name, shape):
    """Centre and half range of a tensor: products keep the size of what they read, norms and scales are far from their first values."""
    last = name.rsplit(".", 1)[-1]
    if last in ("weight", "gamma", "scale", "layer_scale_1", "layer_scale_2") and len(shape) == 1:
        return (1.0, 0.4) if "norm" in name else (0.6, 0.4)
    if last == "relative_position_bias_table":
        return 0.0, 1.5
    if last == "weight" and len(shape) > 1:
        return 0.0, round(math.sqrt(3 / math.prod(shape[1:])), 5)
    return 0.0, 0.5 if len(shape) > 1 else 0.25


# ---- the configurations ----

VIT = dict(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=7)
SWIN = dict(img_size=56, patch_size=4, embed_dim=24, depths=[2, 2], num_heads=[2, 3], window_size=7, num_classes=7)
POOL = dict(depths=[1, 1, 2, 1], dims=[16, 24, 32, 40], num_classes=7, downsample_norm=None, norm_layers="GroupNorm1", token_mixers="Pooling",
            mlp_act="GELU", mlp_bias=True, use_mlp_head=False, layer_scale_init_values=1e-5, res_scale_init_values=None)
HF_VIT = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=32, patch_size=8, num_labels=7)
HF_SWIN = dict(embed_dim=24, depths=[2, 2], num_heads=[2, 3], window_size=7, image_size=56, patch_size=4, num_labels=7)
HF_POOL = dict(depths=[1, 1, 2, 1], hidden_sizes=[16, 24, 32, 40], mlp_ratio=4.0, num_labels=7, layer_scale_init_value=1e-5)
PVT2 = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 20, 32], num_heads=[1, 2, 5, 8], num_classes=7)
HF_PVT = dict(depths=[1, 1, 2, 1], hidden_sizes=[8, 16, 20, 32], num_attention_heads=[1, 2, 5, 8], image_size=64, num_labels=7)
OUTPUT = {"crms": "is an output"}
POOL_REFUSES = {"rms": "takes its statistics over more than one row", "crms": "takes its statistics over more than one row"}


def vit(name, *sizes, **change):
    return dict(name=f"timm-vit-{name}", make=VisionTransformer, constructor=VIT | change, sizes=sizes)


def deit(name, *sizes, **change):
    return dict(name=f"timm-deit-{name}", make=VisionTransformerDistilled, constructor=VIT | change, sizes=sizes)


def swin(name, *sizes, **change):
    return dict(name=f"timm-swin-{name}", make=SwinTransformer, constructor=SWIN | change, sizes=sizes)


def pool(name, *sizes, **change):
    return dict(name=f"timm-poolformer-{name}", make=MetaFormer, constructor=POOL | change, sizes=sizes, rewrites=POOL_REFUSES)


def pvt2(name, *sizes, **change):
    return dict(name=f"timm-pvtv2-{name}", make=PyramidVisionTransformerV2, constructor=PVT2 | change, sizes=sizes)


# whai362/PVT's names for modules of timm and transformers: its file's keys by patterns, k and v in one product. Both v2 have the same
# epsilons; in v1 those of the norms behind convolutions are PyTorch's.
OFFICIAL = [(r"^(?:stages\.0\.downsample|patch_embed)\.", "patch_embed1."), (r"^stages\.(\d)\.downsample\.", "patch_embed{}."),
            (r"^stages\.(\d)\.blocks\.", "block{}."), (r"^stages\.(\d)\.norm\.", "norm{}."), (r"mlp\.dwconv\.", "mlp.dwconv.dwconv."),
            (r"^pvt\.encoder\.patch_embeddings\.(\d)\.position_embeddings", "pos_embed{}"), (r"^pvt\.encoder\.patch_embeddings\.\d\.cls_token", "cls_token"),
            (r"^pvt\.encoder\.patch_embeddings\.(\d)\.", "patch_embed{}."), (r"^pvt\.encoder\.block\.(\d)\.", "block{}."), (r"^pvt\.encoder\.", ""),
            (r"projection\.", "proj."), (r"attention\.self\.query", "attn.q"), (r"attention\.self\.(?:key|value)", "attn.kv"),
            (r"attention\.self\.sequence_reduction", "attn.sr"), (r"attention\.self\.layer_norm", "attn.norm"), (r"attention\.output\.dense", "attn.proj"),
            (r"layer_norm_", "norm"), (r"layer_norm", "norm"), (r"mlp\.dense", "mlp.fc"), (r"^classifier", "head")]


def official_name(key):
    for pattern, name in OFFICIAL:
        key = re.sub(pattern, lambda m: name.format(*(int(g) + 1 for g in m.groups())), key)
    return key


def official(spec, constructor, kind):
    return spec | dict(name="official-" + spec["name"].split("-", 1)[1], official=dict({"class": kind}, constructor=constructor))


def hf(name, kind, base, *sizes, **change):
    return dict(name=f"hf-{name}", make=kind, config=base | change, sizes=sizes, **({"rewrites": POOL_REFUSES} if base is HF_POOL else {}))


def refused(sentence, spec):
    return spec | dict(refused=sentence)


def refuses(rewrites, spec):
    return spec | dict(rewrites=rewrites)


T = transformers
MODELS = [
    vit("plain", (2, 32, 32)),
    vit("patch14", (1, 56, 56), img_size=56, patch_size=14),
    vit("patch16-one-head", (1, 64, 64), img_size=64, patch_size=16, num_heads=1),
    vit("wide-picture", (2, 24, 56), img_size=[24, 56]),
    vit("tall-picture-registers", (1, 56, 24), img_size=[56, 24], reg_tokens=3),
    vit("no-qkv-bias", (1, 32, 32), qkv_bias=False),
    vit("average-norm-after", (2, 32, 32), global_pool="avg"),
    vit("average-norm-before", (2, 32, 32), global_pool="avg", fc_norm=False),
    vit("token-norm-after", (1, 32, 32), global_pool="token", fc_norm=True),
    vit("no-class-token", (2, 32, 32), global_pool="avg", class_token=False),
    vit("no-class-token-norm-before", (1, 32, 32), global_pool="avg", class_token=False, fc_norm=False),
    vit("registers-no-class-token", (1, 32, 32), global_pool="avg", class_token=False, reg_tokens=4),
    vit("registers-in-positions", (1, 32, 32), reg_tokens=4),
    vit("registers-not-in-positions", (1, 32, 32), reg_tokens=4, no_embed_class=True),
    vit("class-token-not-in-positions", (1, 32, 32), no_embed_class=True, init_values=1e-6),
    vit("registers-average", (1, 32, 32), reg_tokens=1, global_pool="avg", no_embed_class=True),
    vit("no-positions", (2, 32, 48), pos_embed="none", dynamic_img_size=True),
    vit("q-and-k-norm", (2, 32, 32), qk_norm=True, qkv_bias=False),
    vit("layer-scale-q-and-k-norm", (1, 32, 32), qk_norm=True, init_values=0.1, global_pool="avg"),
    vit("narrow-mlp", (1, 32, 32), mlp_ratio=1.5, depth=3),
    vit("one-class", (1, 42, 42), img_size=42, patch_size=14, embed_dim=16, depth=1, num_heads=1, num_classes=1, global_pool="avg"),
    vit("grey", (2, 32, 32), in_chans=1),
    vit("five-channels", (1, 32, 32), in_chans=5),
    vit("other-sizes", (1, 32, 32), (1, 48, 64), (2, 24, 40), dynamic_img_size=True),
    vit("other-sizes-registers", (1, 40, 24), (1, 32, 32), dynamic_img_size=True, reg_tokens=2, no_embed_class=True),
    refuses(OUTPUT, vit("features", (2, 32, 32), num_classes=0)),
    refuses(OUTPUT, vit("pooled-features", (2, 32, 32), num_classes=0, global_pool="avg")),
    refuses({"rms": "takes no mean away already", "crms": "takes no mean away already"}, vit("rms-norm", (2, 32, 32), norm_layer="rmsnorm")),
    vit("heads-of-10", (1, 32, 32), embed_dim=30, num_heads=3),
    deit("plain", (2, 32, 32)),
    deit("wide-picture", (1, 16, 40), img_size=[16, 40], qkv_bias=False),
    deit("layer-scale", (1, 32, 32), init_values=0.1, depth=3, num_heads=6),
    refused("no head_dist", deit("features", num_classes=0)),
    deit("other-sizes", (1, 32, 32), (1, 48, 40), dynamic_img_size=True),
    swin("plain", (2, 56, 56)),
    swin("odd-maps", (1, 60, 60), img_size=60),
    swin("wide-picture", (1, 44, 76), img_size=[44, 76]),
    swin("window-3-by-5", (1, 56, 56), window_size=[3, 5]),
    swin("window-4-three-stages", (1, 72, 72), img_size=72, depths=[1, 2, 3], num_heads=[1, 2, 4], window_size=4),
    swin("always-partition", (1, 56, 40), img_size=[56, 40], window_size=8, always_partition=True),
    swin("patch2", (1, 30, 30), img_size=30, patch_size=2, window_size=4),
    swin("no-qkv-bias", (1, 56, 56), qkv_bias=False, mlp_ratio=2.0),
    swin("other-sizes", (1, 56, 56), (1, 64, 48), (1, 76, 68), strict_img_size=False),
    refuses(OUTPUT, swin("features", (1, 56, 56), num_classes=0)),
    refuses({"crms": "begins the residual stream"},
            swin("one-stage-features", (1, 56, 44), img_size=[56, 44], depths=[3], num_heads=[4], window_size=[3, 5], num_classes=0)),
    swin("window-per-stage", (1, 56, 56), window_size=[[7, 7], [4, 4]]),
    pool("plain", (2, 64, 64)),
    pool("odd-picture", (1, 61, 83)),
    pool("no-layer-scale", (1, 48, 48), layer_scale_init_values=None),
    pool("two-stages", (1, 40, 40), depths=[2, 1], dims=[24, 40]),
    pool("features", (1, 48, 48), num_classes=0),
    hf("vit-plain", T.ViTForImageClassification, HF_VIT, (2, 32, 32)),
    hf("vit-wide-picture", T.ViTForImageClassification, HF_VIT, (1, 24, 40), image_size=[24, 40]),
    hf("vit-no-qkv-bias", T.ViTForImageClassification, HF_VIT, (1, 32, 32), qkv_bias=False, patch_size=16, layer_norm_eps=1e-6),
    hf("vit-grey", T.ViTForImageClassification, HF_VIT, (1, 32, 32), num_channels=1, intermediate_size=72),
    hf("vit-other-sizes", T.ViTForImageClassification, HF_VIT, (1, 32, 32), (1, 48, 64), (1, 16, 64)),
    hf("deit-plain", T.DeiTForImageClassification, HF_VIT, (2, 32, 32)),
    hf("deit-teacher", T.DeiTForImageClassificationWithTeacher, HF_VIT, (2, 32, 32)),
    hf("deit-teacher-other-sizes", T.DeiTForImageClassificationWithTeacher, HF_VIT, (1, 40, 56)),
    hf("swin-plain", T.SwinForImageClassification, HF_SWIN, (2, 56, 56)),
    hf("swin-odd-maps", T.SwinForImageClassification, HF_SWIN, (1, 60, 60), image_size=60),
    hf("swin-window-5", T.SwinForImageClassification, HF_SWIN, (1, 72, 56), (1, 56, 56), image_size=[72, 56], window_size=5),
    hf("swin-window-of-the-second-map", T.SwinForImageClassification, HF_SWIN, (1, 32, 32), (1, 68, 48), depths=[1, 2], num_heads=[3, 1], window_size=4, image_size=32),
    hf("swin-no-qkv-bias", T.SwinForImageClassification, HF_SWIN, (1, 64, 64), image_size=64, window_size=4, qkv_bias=False, depths=[1, 2, 1], num_heads=[1, 2, 4]),
    hf("poolformer-plain", T.PoolFormerForImageClassification, HF_POOL, (2, 64, 64)),
    hf("poolformer-pool5", T.PoolFormerForImageClassification, HF_POOL, (1, 57, 70), pool_size=5),
    hf("poolformer-no-layer-scale", T.PoolFormerForImageClassification, HF_POOL, (1, 64, 64), use_layer_scale=False, mlp_ratio=2.0),
    refuses({"rms": "begins the residual stream", "crms": "stem_norm"}, vit("clip-norm-in-front", (2, 32, 32), pre_norm=True)),
    refused("attn_pool|global_pool", vit("map-pooling", global_pool="map")),
    refused("global_pool", vit("max-pooling", global_pool="max")),
    refused("global_pool", vit("average-and-max", global_pool="avgmax")),
    refused("pool_include_prefix", vit("average-with-prefix", global_pool="avg", pool_include_prefix=True)),
    refused("act_layer|activation", vit("tanh-gelu", act_layer="gelu_tanh")),
    refused("RMS norms of q and k", vit("rms-norm-of-q-and-k", norm_layer="rmsnorm", qk_norm=True)),
    refused("norm_layer", vit("batch-norm-like", norm_layer="layernormfp32")),
    refused("patch_embed.norm", vit("norm-in-the-stem", embed_norm_layer="layernorm")),
    refuses({"rms": "residual stream", "crms": "norm1_out"}, vit("post-norm-blocks", (2, 32, 32), block_fn="ResPostBlock")),
    refused("no known architecture|attn", vit("parallel-blocks", block_fn="ParallelScalingBlock")),
    refused("mlp_layer|no known architecture", vit("gated-mlp", mlp_layer="SwiGLU")),
    refused("mlp_layer", vit("packed-gated-mlp", mlp_layer="GluMlp")),
    refused("norm", vit("no-final-norm", final_norm=False)),
    refused("proj|bias", vit("no-proj-bias", proj_bias=False)),
    refused("attn.norm|scale_attn_norm", vit("norm-in-attention", scale_attn_norm=True)),
    refused("mlp.norm|scale_mlp_norm", vit("norm-in-mlp", scale_mlp_norm=True)),
    refused("mlp.act|mlp_act", pool("star-relu", mlp_act="StarReLU")),
    refused("bias", pool("no-mlp-bias", mlp_bias=False)),
    refused("res_scale", pool("scaled-residuals", res_scale_init_values=1.0)),
    refused("token_mixer", pool("convolutions", token_mixers="SepConv")),
    refused("token_mixer", pool("attention", token_mixers="Attention")),
    refused("norm_layers", pool("layer-norm", norm_layers="LayerNorm2d")),
    refused("head", pool("mlp-head", use_mlp_head=True)),
    refused("downsample", pool("norm-before-downsampling", downsample_norm="LayerNorm2d")),
    refused("head_dim|qkv", swin("wide-heads", head_dim=16)),
    refused("position", hf("swin-absolute-positions", T.SwinForImageClassification, HF_SWIN, use_absolute_embeddings=True)),
    refused("hidden_act|activation", hf("vit-relu", T.ViTForImageClassification, HF_VIT, hidden_act="relu")),
    refused("vit_mae", hf("vit-mae", T.ViTMAEModel, HF_VIT)),
    refused("yolos", hf("yolos", T.YolosModel, HF_VIT | dict(num_detection_tokens=4, image_size=[32, 32]))),
    refused("beit", hf("beit", T.BeitModel, HF_VIT | dict(layer_scale_init_value=0.0))),
    refused("no known architecture", hf("dinov2", T.Dinov2ForImageClassification, HF_VIT)),
    refused("no known architecture", hf("swinv2", T.Swinv2ForImageClassification, HF_SWIN)),
    refused("hidden_act|activation", hf("swin-tanh-gelu", T.SwinForImageClassification, HF_SWIN, hidden_act="gelu_new")),
    pvt2("plain", (2, 64, 64), (1, 96, 64), (1, 75, 91)),
    pvt2("no-qkv-bias", (1, 64, 64), qkv_bias=False, sr_ratios=[4, 1, 2, 1], mlp_ratios=[2, 3, 4, 4]),
    refuses({"crms": "begins the residual stream"}, pvt2("no-reduction", (1, 32, 48), sr_ratios=[1, 1, 1, 1], num_heads=[1, 2, 5, 4])),
    pvt2("two-stages-grey", (1, 40, 40), depths=[2, 1], embed_dims=[12, 20], num_heads=[3, 2], sr_ratios=[2, 1], mlp_ratios=[4, 4], in_chans=1),
    pvt2("features", (2, 64, 64), num_classes=0),
    hf("pvt-plain", T.PvtForImageClassification, HF_PVT, (2, 64, 64)),
    hf("pvt-no-qkv-bias", T.PvtForImageClassification, HF_PVT, (1, 96, 96), image_size=96, qkv_bias=False, sequence_reduction_ratios=[4, 2, 1, 1]),
    hf("pvt-wide-mlp", T.PvtForImageClassification, HF_PVT, (1, 64, 64), mlp_ratios=[2, 3, 5, 6], layer_norm_eps=1e-5, num_attention_heads=[2, 4, 4, 4]),
    hf("pvtv2-plain", T.PvtV2ForImageClassification, HF_PVT, (2, 64, 64), (1, 64, 100)),
    hf("pvtv2-other-patches", T.PvtV2ForImageClassification, HF_PVT, (1, 40, 48), patch_sizes=[5, 3, 5, 3], strides=[2, 2, 2, 1], sr_ratios=[4, 2, 2, 1]),
    hf("pvtv2-no-qkv-bias", T.PvtV2ForImageClassification, HF_PVT, (1, 64, 64), qkv_bias=False, layer_norm_eps=1e-5),
    official(pvt2("plain", (1, 64, 96)), PVT2, "PyramidVisionTransformerV2"),
    official(hf("pvt-class-token", T.PvtForImageClassification, HF_PVT, (2, 64, 64)), PVT2 | dict(img_size=64, qkv_bias=True), "PyramidVisionTransformer"),
    refused("pooling|linear", pvt2("pooled-attention", linear=True)),
    refused("pooling|linear", hf("pvtv2-pooled-attention", T.PvtV2ForImageClassification, HF_PVT, linear_attention=True)),
    refused("hidden_act|activation", hf("pvt-relu", T.PvtForImageClassification, HF_PVT, hidden_act="relu")),
]


# ---- running them ----

def named(text):
    """The class of this name, or the text itself (norm_layer and act_layer take both)."""
    places = (vision_transformer, metaformer, timm.layers, torch.nn)
    return next((getattr(p, text) for p in places if isinstance(getattr(p, text, None), type)), text)


def build(spec, folder):
    """The model in eval mode, and name → shape of its file."""
    if spec.get("official"):
        model, _ = build(spec | dict(official=None), folder)
        shapes = {}
        for key, value in model.state_dict().items():
            shape = shapes.setdefault(official_name(key), [0, *value.shape[1:]])
            shape[0] += value.shape[0]
        return model, shapes
    if "config" in spec:
        kind = spec["make"]
        model = kind(kind.config_class(**spec["config"])).eval()
        model.save_pretrained(folder)
        with safe_open(folder / "model.safetensors", "np") as f:
            shapes = {k: list(f.get_slice(k).get_shape()) for k in f.keys() if f.get_slice(k).get_dtype() == "F32"}
        return model, shapes
    args = {k: named(v) if isinstance(v, str) else v for k, v in spec["constructor"].items()}
    for key in ("img_size", "window_size"):
        if isinstance(args.get(key), list):
            args[key] = tuple(args[key])
    model = spec["make"](**args).eval()
    return model, {k: list(v.shape) for k, v in model.state_dict().items() if v.dtype == torch.float32}


def load_official(spec, folder, weights, dtype):
    model, _ = build(spec | dict(official=None), folder)
    state, begun = {}, {}
    for key, value in model.state_dict().items():
        name, rows = official_name(key), value.shape[0]
        first = begun.get(name, 0)
        state[key] = torch.from_numpy(weights[name][first:first + rows])
        begun[name] = first + rows
    assert all(begun[k] == len(v) for k, v in weights.items())
    model.load_state_dict(state)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm) and re.search(r"patch_embeddings\.\d\.layer_norm$|self\.layer_norm$", name):
            module.eps = 1e-5
    return model.to(dtype)


def load(spec, folder, weights, dtype):
    if spec.get("official"):
        return load_official(spec, folder, weights, dtype)
    if "config" in spec:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return spec["make"].from_pretrained(folder, dtype=dtype).eval()
    model, _ = build(spec, folder)
    missing = model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=True)
    assert not missing.missing_keys, missing
    return model.to(dtype)


def run(spec, model, x):
    with torch.no_grad():
        if "config" not in spec:
            y = model(x)
        else:
            side = spec["config"].get("image_size", 0)
            own = list(x.shape[2:]) == (side if isinstance(side, list) else [side, side]) or re.search("poolformer|pvt", spec["name"])
            y = model(pixel_values=x, **({} if own else {"interpolate_pos_encoding": True})).logits
    return y.reshape(y.shape[0], -1).double().numpy()


def golden(spec):
    entry = {"name": spec["name"]}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model, shapes = build(spec, folder)
        if spec.get("official"):
            entry["config"] = spec["official"]
        elif "config" in spec:
            config = json.loads((folder / "config.json").read_text())
            entry["config"] = {k: v for k, v in config.items() if k not in ("id2label", "label2id", "dtype", "transformers_version")}
            entry["config"]["id2label"] = {str(i): f"LABEL_{i}" for i in range(7)}
        else:
            entry["config"] = {"class": spec["make"].__name__, "constructor": spec["constructor"]}
        entry["seed"] = zlib.crc32(spec["name"].encode()) % 1000000  # so that a new model changes no other
        entry["tensors"] = {k: [s, *spread(k, s)] for k, s in shapes.items()}
        if "refused" in spec:
            entry["refused"] = spec["refused"]
            return entry
        if "rewrites" in spec:
            entry["rewrites"] = spec["rewrites"]
        # a tensor's seed is the model's plus its place; inputs take 90 … 99 … of it
        weights = {k: fill(entry["seed"] * 1000 + i, s, c, h) for i, (k, (s, c, h)) in enumerate(entry["tensors"].items())}
        channels = spec.get("constructor", {}).get("in_chans", spec.get("config", {}).get("num_channels", 3))
        entry["runs"] = []
        for i, (n, h, w) in enumerate(spec["sizes"]):
            shape = [n, channels, h, w]
            x = torch.from_numpy(fill(entry["seed"] * 1000 + 900 + i, shape, 0.1, 1.6))
            # loaded anew each time: Swin of transformers keeps the windows of the smallest picture that it has seen
            truth, other = (run(spec, load(spec, folder, weights, t), x.to(t)) for t in (torch.float64, torch.float32))
            fp32 = float(np.linalg.norm(other - truth) / np.linalg.norm(truth))
            entry["runs"].append({"shape": shape, "fp32": float(f"{fp32:.2e}"), "output": truth.reshape(-1).tolist()})
            if spec.get("constructor", {}).get("pos_embed") != "none" and spec["make"] in (VisionTransformer, VisionTransformerDistilled):
                side = spec["constructor"]["img_size"]
                if [h, w] != (side if isinstance(side, list) else [side, side]):
                    entry["runs"][-1]["f64"] = 1e-7  # timm resamples positions in float32 whatever the model's type
    return entry


def main():
    pattern = re.compile(sys.argv[1]) if len(sys.argv) > 1 else None
    entries = []
    for spec in MODELS:
        if pattern is None or pattern.search(spec["name"]):
            entries.append(golden(spec))
            print(entries[-1]["name"], [(r["shape"], r["fp32"]) for r in entries[-1].get("runs", [])], flush=True)
    if pattern is not None:
        return
    target = pathlib.Path(__file__).parent / "random" / "models.json"
    target.parent.mkdir(exist_ok=True)
    head = {"timm": timm.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    lines = ",\n".join(json.dumps(e, separators=(",", ":")) for e in entries)
    target.write_text(f'{{"made_with":{json.dumps(head)},\n"models":[\n{lines}\n]}}\n')
    print(len(entries), "models,", target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
