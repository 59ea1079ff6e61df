"""Reference outputs for the heads of ViTs that the data pack has no goldens of, computed in PyTorch.

    python3 tests/golden/make_heads.py        writes tests/golden/data/{mae_thorax,sit,sit_v1,sit_tuned,mp3,sparse_vit}_tinycfg.*

Written from the papers and from the key names of the official repositories (lambert-x/medical_mae models_vit.py, Sara-Ahmed/SiT
vision_transformer.py and vision_transformer_SiT.py, yogiprsty/Sparse-ViT model.py and prune.py; MP3 has published no code). Weights
and inputs are seeded noise; biases, norms and batch statistics are far from their usual 0 and 1, so that a swapped one shows.
Needs torch and safetensors; the outputs are in the repository, so nobody has to run this again.
"""
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from safetensors.torch import save_file

DATA = pathlib.Path(__file__).parent / "data"
NIH = ["Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax", "Consolidation",
       "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1)
        return self.proj((a @ v).transpose(1, 2).reshape(b, n, c))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden, eps=1e-6, attention=Attention):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn, self.mlp = attention(width, heads), Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Backbone(nn.Module):
    """Tokens in front (names in order), positions of all rows or none; the result is not normalised."""

    def __init__(self, size, patch, width, depth, heads, tokens=("cls_token",), positions=True, norm=True):
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, patch, patch)
        self.tokens = tokens
        for name in tokens:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, width)))
        rows = (size // patch) ** 2 + len(tokens)
        self.pos_embed = nn.Parameter(torch.zeros(1, rows, width)) if positions else None
        self.blocks = nn.ModuleList([Block(width, heads, 4 * width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, 1e-6) if norm else None

    def features(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([getattr(self, name).expand(x.shape[0], -1, -1) for name in self.tokens] + [x], 1)
        x = x + self.pos_embed if self.pos_embed is not None else x
        for block in self.blocks:
            x = block(x)
        return x if self.norm is None else self.norm(x)

    forward = features


class Thorax(Backbone):
    """The mean of the patches, then a norm, then 14 independent logits."""

    def __init__(self, size, patch, width, depth, heads):
        super().__init__(size, patch, width, depth, heads, norm=False)
        self.fc_norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, 14)

    def forward(self, x):
        return self.head(self.fc_norm(self.features(x)[:, 1:].mean(1)))


def picture(deconv, patches):
    side = round(patches.shape[1] ** 0.5)
    return deconv(patches.transpose(1, 2).unflatten(2, (side, side)))


class Sit(nn.Module):
    """(projection of the class token, the picture)"""

    def __init__(self, size, patch, width, depth, heads, hidden=40, length=24):
        super().__init__()
        self.backbone = Backbone(size, patch, width, depth, heads)
        self.head, self.head_recons = nn.Module(), nn.Module()
        self.head.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.GELU(),
            nn.Linear(hidden, length), nn.BatchNorm1d(length, affine=False))
        self.head_recons.mlp = nn.Sequential(*[m for _ in range(3) for m in (nn.Linear(width, width), nn.GELU())])
        self.head_recons.convTrans = nn.ConvTranspose2d(width, 3, patch, patch)

    def forward(self, x):
        x = self.backbone(x)
        return self.head.mlp(x[:, 0]), picture(self.head_recons.convTrans, self.head_recons.mlp(x[:, 1:]))


class SitFirst(Backbone):
    """(rotation, projection, picture)"""

    def __init__(self, size, patch, width, depth, heads):
        super().__init__(size, patch, width, depth, heads, tokens=("rot_token", "contrastive_token"))
        self.rot_head, self.contrastive_head = nn.Linear(width, 4), nn.Linear(width, 20)
        self.convTrans = nn.ConvTranspose2d(width, 3, patch, patch)
        for name in ("rot_w", "contrastive_w", "recons_w"):  # of the losses
            self.register_parameter(name, nn.Parameter(torch.ones(1)))

    def forward(self, x):
        x = self.features(x)
        return self.rot_head(x[:, 0]), self.contrastive_head(x[:, 1]), picture(self.convTrans, x[:, 2:])


class SitTuned(Backbone):
    def __init__(self, size, patch, width, depth, heads):
        super().__init__(size, patch, width, depth, heads)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 10))

    def forward(self, x):
        x = self.features(x)
        return self.head(torch.cat([x[:, 0], x[:, 1:].mean(1)], 1))


class Mp3(Backbone):
    def __init__(self, size, patch, width, depth, heads):
        super().__init__(size, patch, width, depth, heads, tokens=(), positions=False)
        self.pos_head = nn.Linear(width, (size // patch) ** 2)

    def forward(self, x):
        return self.pos_head(self.features(x))


class LinearGeneral(nn.Module):
    def __init__(self, inner, outer):
        super().__init__()
        self.dims = len(inner)
        self.weight, self.bias = nn.Parameter(torch.zeros(*inner, *outer)), nn.Parameter(torch.zeros(*outer))

    def forward(self, x):
        return torch.tensordot(x, self.weight, self.dims) + self.bias


class JaxAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        d = width // heads
        self.query, self.key, self.value = (LinearGeneral((width,), (heads, d)) for _ in range(3))
        self.out = LinearGeneral((heads, d), (width,))

    def forward(self, x):
        q, k, v = (f(x).permute(0, 2, 1, 3) for f in (self.query, self.key, self.value))  # [b, heads, n, d]
        a = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        return self.out((a @ v).permute(0, 2, 1, 3))


class SparseVit(nn.Module):
    def __init__(self, size, patch, width, depth, heads):
        super().__init__()
        self.embedding = nn.Conv2d(3, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = nn.Module()
        self.transformer.pos_embedding = nn.Module()
        self.transformer.pos_embedding.pos_embedding = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.transformer.encoder_layers = nn.ModuleList([Block(width, heads, 3 * width, 1e-5, JaxAttention) for _ in range(depth)])
        self.transformer.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, 10)

    def prune(self, ratio):
        """The official list: all weights of layers and of the norms in the blocks, together."""
        parts = [self.embedding, self.classifier]
        for layer in self.transformer.encoder_layers:
            a = layer.attn
            parts += [layer.norm1, a.query, a.key, a.value, a.out, layer.norm2, layer.mlp.fc1, layer.mlp.fc2]
        prune.global_unstructured([(p, "weight") for p in parts], prune.L1Unstructured, amount=ratio)

    def forward(self, x):
        x = self.embedding(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.transformer.pos_embedding.pos_embedding
        for layer in self.transformer.encoder_layers:
            x = layer(x)
        return self.classifier(self.transformer.norm(x)[:, 0])


def fill(net, g):
    """Noise of a size that keeps activations near 1."""
    for name, p in net.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        fan = p.shape[0] if "convTrans" in name else p[0].numel() if p.ndim > 1 else 1
        fan = p.shape[0] if ".attn." in name and p.ndim == 3 and p.shape[0] > p.shape[2] else fan
        scale = 0.5 if "token" in name or "pos_embed" in name else fan ** -0.5 if p.ndim > 1 and "bias" not in name else 0.2
        p.data = noise * scale + (1 if p.ndim == 1 and name.endswith("weight") else 0)
    for name, b in net.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(torch.randn(b.shape, generator=g) * 0.3)
        if name.endswith("running_var"):
            b.copy_(torch.rand(b.shape, generator=g) + 0.25)


def record(net, x, names):
    """-> outputs, {name: activation}"""
    kept, hooks = {}, []
    for name, module in net.named_modules():
        if name in names:
            hooks.append(module.register_forward_hook(lambda m, i, y, name=name: kept.__setitem__(f"act/{name}", y.detach().clone())))
    with torch.no_grad():
        out = net(x)
    for hook in hooks:
        hook.remove()
    return out if isinstance(out, tuple) else (out,), kept


def write(name, net, class_name, source, seed, acts, constructor, wf, ratio=0.0):
    g = torch.Generator().manual_seed(seed)
    fill(net, g)
    net.eval()
    if ratio:
        net.prune(ratio)
    x = torch.randn(2, 3, 32, 32, generator=g)
    out, kept = record(net, x, acts)
    assert len(kept) == len(acts), sorted(set(f"act/{a}" for a in acts) - set(kept))
    state = {k: v.clone().contiguous() for k, v in net.state_dict().items()}
    wide, _ = record(net.double(), x.double(), ())
    io, errors = {"input": x}, {}
    for i, (a, b) in enumerate(zip(out, wide)):
        key = "output" if len(out) == 1 else f"output{i}"
        io[key], io[f"{key}_f64"] = a.contiguous(), b.contiguous()
        errors[key] = {"rel_l2": ((a.double() - b).norm() / b.norm()).item()}
    save_file(state, DATA / f"{name}.safetensors")
    save_file(io | {k: v.contiguous() for k, v in kept.items()}, DATA / f"{name}.io.safetensors")
    (DATA / f"{name}.json").write_text(json.dumps({
        "family": source, "class": class_name, "constructor": constructor, "name": name, "seed": seed, "torch": torch.__version__,
        "input": {"layout": "NCHW", "size": list(x.shape)}, "wf": wf, "fp32_vs_fp64": errors}, indent=1) + "\n")
    print(name, sum(p.numel() for p in net.parameters()), errors)
    return state


def main():
    torch.manual_seed(0)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3, "mlp_ratio": 4, "qkv_bias": True}
    size = (32, 8, 48, 2, 3)
    wf = {"image_size": 32, "crop_pct": 1.0, "resample": "bicubic", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    blocks = ["blocks.0.norm1", "blocks.0.attn", "blocks.0.mlp", "blocks.0", "blocks.1"]
    behind = lambda root: [root + b for b in blocks]

    write("mae_thorax_tinycfg", Thorax(*size), "VisionTransformer", "lambert-x/medical_mae", 1, blocks + ["fc_norm"],
          shape | {"num_classes": 14, "global_pool": True},
          wf | {"mean": [0.5056] * 3, "std": [0.252] * 3, "labels": NIH, "scores": "sigmoid", "threshold": 0.5})
    state = write("sit_tinycfg", Sit(*size), "VisionTransformer", "Sara-Ahmed/SiT", 2,
                  behind("backbone.") + ["backbone.norm", "head.mlp.0", "head.mlp.1", "head_recons.mlp.0", "head_recons.mlp.1",
                                         "head_recons.convTrans"], shape, wf)
    noise = {f"module.{k}": torch.zeros((), dtype=v.dtype).expand(v.shape) for k, v in state.items()}  # takes no room
    torch.save({"student": noise, "teacher": state, "epoch": 1}, DATA / "sit_tinycfg.pth")
    write("sit_v1_tinycfg", SitFirst(*size), "VisionTransformer_SiT", "Sara-Ahmed/SiT", 3, blocks + ["norm", "convTrans"], shape, wf)
    write("sit_tuned_tinycfg", SitTuned(*size), "VisionTransformer", "Sara-Ahmed/SiT", 4, blocks + ["norm", "head.0", "head.1"],
          shape | {"num_classes": 10}, wf)
    write("mp3_tinycfg", Mp3(*size), "VisionTransformer", "MP3 (arXiv 2207.07611)", 5, blocks + ["norm"], shape, wf)
    write("sparse_vit_tinycfg", SparseVit(*size), "VisionTransformer", "yogiprsty/Sparse-ViT", 6,
          [f"transformer.encoder_layers.0.{b}" for b in ("norm1", "attn", "mlp")] + ["transformer.encoder_layers.1", "transformer.norm"],
          {"image_size": [32, 32], "patch_size": [8, 8], "emb_dim": 48, "mlp_dim": 144, "num_heads": 3, "num_layers": 2,
           "num_classes": 10, "attn_dropout_rate": 0.0, "dropout_rate": 0.1}, {"image_size": 32}, ratio=0.4)


if __name__ == "__main__":
    main()
