"""The diffusion transformer of Wan2.2 at a small size, with upstream's tensor names.

Training needs neither 512 text tokens nor a timestep per token. Upstream pads the text with zero rows and attends to
them without a mask; all those rows have the same key and value, so one such row whose logit is raised by log(count)
gives the very same attention. And all tokens of one latent frame share their timestep, so `t` is [N, F] or [N, 1].
"""
from __future__ import annotations

import dataclasses
import functools

import torch
import torch.nn.functional as F
from torch import nn

TEXT_LENGTH = 512
FREQ_DIM = 256


@dataclasses.dataclass
class DitConfig:
    channels: int
    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    text_dim: int = 128

    def as_json(self, model_type: str) -> dict:
        return {"_class_name": "WanModel", "_diffusers_version": "0.33.0", "dim": self.dim, "eps": 1e-06,
                "ffn_dim": self.ffn_dim, "freq_dim": FREQ_DIM, "in_dim": self.channels, "model_type": model_type,
                "num_heads": self.num_heads, "num_layers": self.num_layers, "out_dim": self.channels,
                "text_len": TEXT_LENGTH, "text_dim": self.text_dim}


class RmsNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim), RmsNorm(dim)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [N, heads, L, head_dim]


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates neighbouring pairs of x [N, heads, L, d] by the angles behind cos and sin [L, d/2]."""
    pairs = x.float().unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2).type_as(x)


@functools.lru_cache(maxsize=8)
def rope_tables(head_dim: int, grid: tuple[int, int, int], device) -> tuple[torch.Tensor, torch.Tensor]:
    side = 2 * (head_dim // 6)
    angles = []
    for axis, (size, d) in enumerate(zip(grid, (head_dim - 2 * side, side, side))):
        frequency = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        angle = torch.arange(size, dtype=torch.float64)[:, None] * frequency
        shape = [1, 1, 1, d // 2]
        shape[axis] = size
        angles.append(angle.view(shape).expand(*grid, d // 2))
    angle = torch.cat(angles, dim=-1).flatten(0, 2)
    return angle.cos().float().to(device), angle.sin().float().to(device)


class Block(nn.Module):
    def __init__(self, dim: int, ffn_dim: int, heads: int):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim, heads), Attention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim))
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x, e, text, text_bias, extra, cos, sin):
        """x [N, F, HW, D] f32; e [N, F or 1, 6, D] f32; text [N - M, L, D]; extra [1, L', D], the text of the last M."""
        n, f, hw, d = x.shape
        m = (e + self.modulation[:, None]).unsqueeze(3).unbind(2)  # six of [N, F or 1, 1, D]

        y = F.layer_norm(x, (d,), eps=1e-6) * (1 + m[1]) + m[0]
        y, a = y.flatten(1, 2), self.self_attn
        q, k = rotate(a.split(a.norm_q(a.q(y))), cos, sin), rotate(a.split(a.norm_k(a.k(y))), cos, sin)
        v = a.split(a.v(y))
        y = F.scaled_dot_product_attention(q.type_as(v), k.type_as(v), v)
        x = x + a.o(y.transpose(1, 2).flatten(2)).view(n, f, hw, d).float() * m[2]

        y, a = self.norm3(x).flatten(1, 2), self.cross_attn
        q = a.split(a.norm_q(a.q(y)))
        k, v = a.split(a.norm_k(a.k(text))), a.split(a.v(text))
        few = k.shape[0]
        y = F.scaled_dot_product_attention(q[:few].type_as(v), k.type_as(v), v, attn_mask=text_bias.type_as(v))
        if extra is not None:
            k, v = a.split(a.norm_k(a.k(extra))), a.split(a.v(extra))
            k, v = k.type_as(v).expand(n - few, -1, -1, -1), v.expand(n - few, -1, -1, -1)
            y = torch.cat((y, F.scaled_dot_product_attention(q[few:].type_as(v), k, v)))
        x = x + a.o(y.transpose(1, 2).flatten(2)).view(n, f, hw, d).float()

        y = F.layer_norm(x, (d,), eps=1e-6) * (1 + m[4]) + m[3]
        return x + self.ffn(y).float() * m[5]


class Head(nn.Module):
    def __init__(self, dim: int, out: int):
        super().__init__()
        self.head = nn.Linear(dim, out)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def forward(self, x, e):
        shift, scale = (e.unsqueeze(2) + self.modulation[:, None]).unsqueeze(3).unbind(2)
        return self.head(F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift)


class Dit(nn.Module):
    def __init__(self, config: DitConfig):
        super().__init__()
        c, dim = config.channels, config.dim
        self.config = config
        self.patch_embedding = nn.Conv3d(c, dim, (1, 2, 2), (1, 2, 2))
        self.text_embedding = nn.Sequential(nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(FREQ_DIM, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(dim, config.ffn_dim, config.num_heads) for _ in range(config.num_layers))
        self.head = Head(dim, 4 * c)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for embedding in (self.text_embedding, self.time_embedding):
            nn.init.normal_(embedding[0].weight, std=0.05)
            nn.init.normal_(embedding[2].weight, std=0.05)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        nn.init.zeros_(self.head.head.weight)

    def forward(self, x, t, text, text_length, extra=None):
        """x [N, C, F, H, W]; t [N, F or 1] in 0..1000; text [N - M, L, text_dim] with its lengths [N - M];
        extra [L', text_dim]: one text that the last M rows share. Returns the velocity, as x."""
        n, c, f, h, w = x.shape
        h, w, dim = h // 2, w // 2, self.config.dim
        half = FREQ_DIM // 2
        frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angle = t.float()[..., None] * frequency
        with torch.autocast(x.device.type, enabled=False):
            e = self.time_embedding(torch.cat((angle.cos(), angle.sin()), dim=-1))
            e6 = self.time_projection(e).unflatten(-1, (6, dim))

        keep = torch.arange(text.shape[1], device=x.device) < text_length[:, None]
        rows = F.pad(text * keep[..., None], (0, 0, 0, 1))  # the last row stands for all of the padding
        bias = torch.zeros_like(keep, dtype=torch.float32).masked_fill(~keep, -1e4)
        bias = torch.cat((bias, torch.log((TEXT_LENGTH - text_length).float())[:, None]), dim=1)[:, None, None]
        rows = self.text_embedding(rows)
        if extra is not None:
            extra = self.text_embedding(F.pad(extra, (0, 0, 0, TEXT_LENGTH - extra.shape[0])))[None]

        patches = x.view(n, c, f, h, 2, w, 2).permute(0, 2, 3, 5, 1, 4, 6).flatten(4).view(n, f, h * w, 4 * c)
        y = F.linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias).float()
        cos, sin = rope_tables(dim // self.config.num_heads, (f, h, w), x.device)
        for block in self.blocks:
            y = block(y, e6, rows, bias, extra, cos, sin)
        y = self.head(y, e).float()
        return y.view(n, f, h, w, 2, 2, c).permute(0, 6, 1, 2, 4, 3, 5).reshape(n, c, f, 2 * h, 2 * w)
