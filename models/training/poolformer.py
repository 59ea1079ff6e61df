"""PoolFormer for training, with the state-dict keys of the official sail-sg checkpoints.

Block:  x += s1 * (pool(n1(x)) - n1(x));   x += s2 * fc2(gelu(fc1(n2(x)))),   n = GroupNorm(1 group)
pool = 3x3 average over the cells that exist, gelu = the erf form, s1/s2 = one factor per channel.

Source: the architecture as published (arXiv 2111.11418); written from its description.
The forward pass moves every per-channel factor into the weights (exact in real arithmetic, see
Block.forward), works on [B, H, W, C] so that 1x1 convolutions are plain matrix products, keeps
activations in the type of the stem's output and computes statistics in float32.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

EPS = 1e-5  # of every GroupNorm


def nchw(x):
    """[B, H, W, C] seen as [B, C, H, W] (a view; torch calls this layout channels_last)."""
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """A strided convolution without norm: the stem, and the step between two stages."""

    def __init__(self, c_in, c_out, kernel, stride, pad):
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, kernel, stride, pad)

    def forward(self, x):  # [B, H, W, c_in] -> [B, H', W', c_out]
        return nhwc(self.proj(nchw(x)))


class Mlp(nn.Module):
    """Holds fc1/fc2 as 1x1 convolutions, because that is the shape in official checkpoints."""

    def __init__(self, c, hidden):
        super().__init__()
        self.fc1 = nn.Conv2d(c, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, c, 1)


class Block(nn.Module):
    def __init__(self, c, mlp_ratio, layer_scale):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, c, eps=EPS)
        self.norm2 = nn.GroupNorm(1, c, eps=EPS)
        self.mlp = Mlp(c, int(c * mlp_ratio))
        self.layer_scale_1 = nn.Parameter(torch.full((c,), float(layer_scale)))
        self.layer_scale_2 = nn.Parameter(torch.full((c,), float(layer_scale)))

    def forward(self, x):  # [B, H, W, C]
        # Pooling averages real cells only, so mean and beta of norm1 cancel in pool(n) - n and what
        # is left of the norm is one factor per image: pool(n) - n = gamma * rstd * (pool(x) - x).
        f = x.float()
        var = f.square().mean((1, 2, 3), keepdim=True) - f.mean((1, 2, 3), keepdim=True).square()
        pool = nhwc(F.avg_pool2d(nchw(f), 3, 1, 1, count_include_pad=False))
        f = f + (pool - f) * (torch.rsqrt(var + EPS) * (self.layer_scale_1 * self.norm1.weight))

        # gamma and beta of norm2 go into fc1, the layer scale into fc2.
        w1, w2 = self.mlp.fc1.weight.flatten(1), self.mlp.fc2.weight.flatten(1)
        b1 = self.mlp.fc1.bias + (w1 * self.norm2.bias).sum(1)
        n = F.layer_norm(f, f.shape[1:], eps=EPS)
        h = F.gelu(F.linear(n.to(x.dtype), w1 * self.norm2.weight, b1))
        s2 = self.layer_scale_2
        return (f + F.linear(h, s2[:, None] * w2, s2 * self.mlp.fc2.bias)).to(x.dtype)


class PoolFormer(nn.Module):
    """Four stages; argument names are those of the official constructor."""

    def __init__(self, layers, embed_dims, mlp_ratios, num_classes, downsamples=(True,) * 4,
                 in_patch_size=7, in_stride=4, in_pad=2,
                 down_patch_size=3, down_stride=2, down_pad=1, layer_scale_init_value=1e-5):
        super().__init__()
        self.patch_embed = PatchEmbed(3, embed_dims[0], in_patch_size, in_stride, in_pad)
        network = []
        for i, depth in enumerate(layers):
            network.append(nn.Sequential(*[
                Block(embed_dims[i], mlp_ratios[i], layer_scale_init_value) for _ in range(depth)]))
            if i + 1 < len(layers) and (downsamples[i] or embed_dims[i] != embed_dims[i + 1]):
                network.append(PatchEmbed(embed_dims[i], embed_dims[i + 1],
                                          down_patch_size, down_stride, down_pad))
        self.network = nn.ModuleList(network)
        self.norm = nn.GroupNorm(1, embed_dims[-1], eps=EPS)
        self.head = nn.Linear(embed_dims[-1], num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, x, call=Block.forward):
        """[B, 3, H, W] normalised -> [B, num_classes]; `call` runs one block (compiled or not)."""
        x = self.patch_embed(nhwc(x.contiguous(memory_format=torch.channels_last)))
        for part in self.network:
            if isinstance(part, PatchEmbed):
                x = part(x)
            else:
                for block in part:
                    x = call(block, x)
        n = F.layer_norm(x.float(), x.shape[1:], eps=EPS).mean(dim=(1, 2))  # [B, C]
        return self.head(n * self.norm.weight + self.norm.bias)


def multiply_adds(net, size):
    """Multiply-adds of one square picture, convolutions and matrix products only."""
    total, hw = 0, size
    for part in [net.patch_embed, *net.network]:
        if isinstance(part, PatchEmbed):
            k, s, p = part.proj.kernel_size[0], part.proj.stride[0], part.proj.padding[0]
            hw = (hw + 2 * p - k) // s + 1
            total += part.proj.weight.numel() * hw * hw
        else:
            total += sum(2 * b.mlp.fc1.weight.numel() for b in part) * hw * hw
    return total + net.head.weight.numel()
