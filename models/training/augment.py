"""Random views of a whole batch on the device, with few tensor operations.

Crop (area, aspect, shift), turn and flip are one affine grid_sample; brightness, contrast,
saturation, hue-like tint and grey are one 3x4 colour matrix a picture; then each picture is left
alone, gets a box of another one (CutMix) or is mixed with another one (mixup). The result stays in
0..1, so that teacher and student see the very same picture, each on its own scale.
"""
import math

import torch
import torch.nn.functional as F


class Augment:
    def __init__(self, device, classes, seed, smoothing=0.0):
        self.g = torch.Generator(device).manual_seed(seed)
        self.device, self.classes, self.smoothing = device, classes, smoothing
        self.luma = torch.tensor([0.299, 0.587, 0.114], device=device)
        self.eye = torch.eye(3, device=device)

    def uniform(self, n, lo=0.0, hi=1.0):
        return torch.rand(n, generator=self.g, device=self.device) * (hi - lo) + lo

    def chance(self, n, p):
        return self.uniform(n) < p

    def geometry(self, x, min_area):  # [B, 3, H, W]
        n = x.shape[0]
        side = self.uniform(n, min_area, 1.0).sqrt()
        ratio = (self.uniform(n, -1, 1) * math.log(4 / 3) * 0.5).exp()
        w, h = (side * ratio).clamp(max=1), (side / ratio).clamp(max=1)
        cx, cy = self.uniform(n, -1, 1) * (1 - w), self.uniform(n, -1, 1) * (1 - h)
        turn = self.uniform(n, -0.25, 0.25) * self.chance(n, 0.4)
        flip = self.chance(n, 0.5) * 2.0 - 1
        c, d = turn.cos(), turn.sin()
        rows = [torch.stack([w * c * flip, -h * d, cx], 1), torch.stack([w * d * flip, h * c, cy], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), x.shape, align_corners=False)
        return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def colour(self, x, strength):
        n, s = x.shape[0], strength
        gain, contrast = self.uniform(n, 1 - 0.4 * s, 1 + 0.4 * s), self.uniform(n, 1 - 0.4 * s, 1 + 0.4 * s)
        vivid = self.uniform(n, 1 - 0.4 * s, 1 + 0.4 * s) * ~self.chance(n, 0.05 * s)
        tint = (torch.randn(n, 3, generator=self.g, device=self.device) * 0.05 * s).exp()
        # out = M x + t with M = tint * gain * (vivid * I + (1 - vivid) * luma); contrast pulls
        # towards the picture's own mean.
        m = vivid[:, None, None] * self.eye + (1 - vivid)[:, None, None] * self.luma
        m = m * gain[:, None, None] * tint[:, :, None]
        t = (m @ x.mean(dim=(2, 3))[:, :, None]) * (1 - contrast)[:, None, None]
        return torch.baddbmm(t, m * contrast[:, None, None], x.flatten(2)).view_as(x).clamp(0, 1)

    def mixed(self, x, target, mix):
        """Partner of a picture: the batch turned by one. -> pictures, targets [B, classes]"""
        n, _, height, width = x.shape
        kind, share = self.uniform(n), self.uniform(n)
        ys = torch.arange(height, device=self.device)[None, :, None]
        xs = torch.arange(width, device=self.device)[None, None, :]
        edge = (share.sqrt() * height).round()
        top, left = (self.uniform(n) * (height - edge)).floor(), (self.uniform(n) * (width - edge)).floor()
        inside = lambda axis, start: (axis >= start[:, None, None]) & (axis < (start + edge)[:, None, None])
        box = (inside(ys, top) & inside(xs, left))[:, None].float()  # share of the partner, per pixel
        blend = 0.5 * share  # mixup: at most half of the partner
        cut, soft = kind < 0.55 * mix, (kind >= 0.55 * mix) & (kind < mix)
        part = box * cut[:, None, None, None] + (blend * soft)[:, None, None, None]
        given = (edge * edge / (height * width)) * cut + blend * soft
        x = torch.lerp(x, x.roll(1, 0), part)
        return x, torch.lerp(target, target.roll(1, 0), given[:, None])

    def __call__(self, x, y, min_area=0.3, strength=1.0, mix=0.7):
        """uint8 [B, 3, H, W], labels [B] -> pictures in 0..1, soft targets [B, classes]."""
        x = self.colour(self.geometry(x.float() / 255, min_area), strength)
        target = F.one_hot(y, self.classes).float() * (1 - self.smoothing) + self.smoothing / self.classes
        return self.mixed(x, target, mix)
