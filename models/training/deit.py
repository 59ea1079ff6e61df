"""One small DeiT in three kinds, with the state-dict keys of the SLAB repository (arXiv 2405.11582):

  ln      LayerNorm, softmax attention, cls token            keys of timm's VisionTransformer
  prepbn  PRepBN, softmax attention, cls token               normX = {norm1 = LayerNorm, norm2 = {alpha, bn}}
  slab    PRepBN, simplified linear attention, mean of tokens; cls_token is in the file but unused

PRepBN: y = lam * LN(x) + (1 - lam) * (BN(x) + alpha * x) while training, lam falling from 1 to 0;
only BN(x) + alpha * x = a * x + b per channel is used afterwards, so it folds into the next layer.
SLA: k += positional_encoding; q, k = relu; y = q (k^T v) / (q . sum k + 1e-6) + depthwise 5x5 of v,
its weights shared by all heads. Sums in float32.

Source: the sheets and formulas of the paper; written from its description.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

LN_EPS, BN_EPS, SLA_EPS = 1e-6, 1e-5, 1e-6


class RepBN(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        self.bn = nn.BatchNorm1d(width, eps=BN_EPS)

    def forward(self, x):
        bn = self.bn
        y = F.batch_norm(x.flatten(0, -2), bn.running_mean, bn.running_var, bn.weight, bn.bias,
                         self.training, 0.1 if bn.momentum is None else bn.momentum, BN_EPS)
        return y.view_as(x) + self.alpha * x


class PRepBN(nn.Module):
    def __init__(self, width, steps):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, LN_EPS)
        self.norm2 = RepBN(width)
        for name, value in (("warm", 0), ("iter", 0), ("total_step", steps)):
            self.register_buffer(name, torch.tensor(value))
        self.register_buffer("lam", torch.ones(()), persistent=False)

    def forward(self, x):
        y = self.norm2(x)
        return torch.lerp(y, self.norm1(x), self.lam) if self.training else y


class SoftmaxAttention(nn.Module):
    def __init__(self, width, heads, tokens):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class LinearAttention(nn.Module):
    def __init__(self, width, heads, tokens):
        super().__init__()
        self.heads, c = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.dwc = nn.Conv2d(c, c, 5, padding=2, groups=c)
        self.positional_encoding = nn.Parameter(torch.zeros(1, tokens, width))

    def local(self, v):
        """Depthwise 5x5 over the map of tokens: [B, N, C] -> [B, N, C]."""
        b, n, c = v.shape
        side = round(n ** 0.5)
        image = v.view(b, side, side, c).permute(0, 3, 1, 2)
        weight = self.dwc.weight.to(v.dtype).repeat(self.heads, 1, 1, 1)
        y = F.conv2d(image, weight, self.dwc.bias.to(v.dtype).repeat(self.heads), padding=2, groups=c)
        return y.permute(0, 2, 3, 1).reshape(b, n, c)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, c).unbind(2)
        heads = lambda t: t.view(b, n, self.heads, c // self.heads).transpose(1, 2)
        with torch.autocast(x.device.type, enabled=False):
            q, k = heads(F.relu(q.float())), heads(F.relu(k.float() + self.positional_encoding))
            z = 1 / ((q * k.sum(dim=2, keepdim=True)).sum(-1, keepdim=True) + SLA_EPS)
            y = q @ (k.transpose(2, 3) @ heads(v.float())) * z
            y = y.transpose(1, 2).reshape(b, n, c)
        return self.proj(y + self.local(v))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, tokens, norm, attention):
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attn, self.mlp = attention(width, heads, tokens), Mlp(width, 4 * width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Deit(nn.Module):
    """kind: "ln", "prepbn" or "slab". The residual stream stays float32."""

    def __init__(self, kind, img_size, patch_size, embed_dim, depth, num_heads, num_classes, steps=0):
        super().__init__()
        self.linear = kind == "slab"
        norm = (lambda w: nn.LayerNorm(w, LN_EPS)) if kind == "ln" else (lambda w: PRepBN(w, steps))
        tokens = (img_size // patch_size) ** 2
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim), requires_grad=not self.linear)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens + (not self.linear), embed_dim))
        attention = LinearAttention if self.linear else SoftmaxAttention
        self.blocks = nn.ModuleList(
            [Block(embed_dim, num_heads, tokens, norm, attention) for _ in range(depth)])
        self.norm = norm(embed_dim)
        self.head = nn.Linear(embed_dim, num_classes)
        self.initialise()

    def initialise(self):
        for name, p in self.named_parameters():
            if name in ("cls_token", "pos_embed") or "positional_encoding" in name or p.ndim == 2:
                nn.init.trunc_normal_(p, std=0.02)
            elif name.endswith(".bias") and "norm" not in name:
                nn.init.zeros_(p)

    def forward(self, x, call=Block.forward):
        """[B, 3, H, W] normalised -> [B, num_classes]; `call` runs one block (compiled or not)."""
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2).float()
        if not self.linear:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        x = x + self.pos_embed
        for block in self.blocks:
            x = call(block, x)
        x = self.norm(x)
        return self.head(x.mean(1) if self.linear else x[:, 0])

    def set_lambda(self, value):
        for m in self.modules():
            if isinstance(m, PRepBN):
                m.lam.fill_(value)

    def calibrate(self, batches, forward):
        """BatchNorm statistics of these weights: plain averages over `batches`; for averaged weights."""
        norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm1d)]
        if not norms:
            return
        sums = [[torch.zeros_like(m.running_mean), torch.zeros_like(m.running_var)] for m in norms]
        self.train()
        self.set_lambda(0.0)
        for m in norms:
            m.momentum = 1.0  # the buffers then hold the statistics of one batch
        for x in batches:
            forward(self, x)
            for m, (mean, var) in zip(norms, sums):
                mean += m.running_mean / len(batches)
                var += m.running_var / len(batches)
        for m, (mean, var) in zip(norms, sums):
            m.running_mean.copy_(mean)
            m.running_var.copy_(var)
            m.momentum = 0.1
        self.eval()
